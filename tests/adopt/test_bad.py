"""Laws of what cannot be adopted: a clear word with its place, exit status 2, and not one file written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.adopt.samples import LOOP, TELEGRAM_TOKEN

from processsupervisor.adopt.program import CannotRead
from processsupervisor.adopt.reading import read_paths
from processsupervisor.adopt.writing import make_plan
from processsupervisor.kernel.errors import ConfigError, PsvError

SUP = "[program:a]\ncommand=/bin/true\n"
BAD = {
    # name of the file, its text, what stands in the message
    "python 2": ("main.py", "import os\nprint 'hello'\n", ":2: Python 2 source"),
    "python syntax": ("main.py", "def f(:\n    pass\n", ":1: syntax error"),
    "no such file": ("", "", "does not exist"),
    "a binary": ("Procfile", "a\0b", "is not a text file"),
    "no kind": ("notes.txt", "hello\n", "is of no kind that psv adopt reads"),
    "procfile line": ("Procfile", "bot: python a.py\nnonsense\n", ":2: found no entry"),
    "procfile twice": ("Procfile", "bot: a\nbot: b\n", ":2: bot is given a second time"),
    "procfile quote": ("Procfile", "bot: python 'a.py\n", ":1: bot: no closing quotation"),
    "procfile empty": ("Procfile", "# nothing\n", "no process is named"),
    "supervisord line": ("supervisord.conf", SUP + "nonsense\n", ":3: found neither [section] nor key=value"),
    "supervisord no command": ("supervisord.conf", "[program:a]\nuser=x\n", ":1: [program:a] has no command"),
    "supervisord number": ("supervisord.conf", SUP + "numprocs=many\n", ":3: found numprocs=many"),
    "supervisord numprocs": ("supervisord.conf", SUP + "numprocs=2\n", ":3: numprocs is 2, but process_name"),
    "supervisord signal": ("supervisord.conf", SUP + "stopsignal=STOPP\n", ":3: found the signal STOPP"),
    "supervisord restart": ("supervisord.conf", SUP + "autorestart=maybe\n", ":3: autorestart=maybe"),
    "supervisord variable": ("supervisord.conf", "[program:a]\ncommand=%(ENV_NO_SUCH_VARIABLE)s\n", ":2: %(ENV_NO_SUCH_VARIABLE)s has no value"),
    "supervisord environment": ("supervisord.conf", SUP + "environment=A=1 B=2\n", ":3: environment is not well formed"),
    "supervisord nothing": ("supervisord.conf", "[supervisord]\n", "no [program:NAME]"),
    "unit without exec": ("a.service", "[Service]\nRestart=always\n", "a has no ExecStart"),
    "unit twice": ("a.service", "[Service]\nExecStart=/bin/true\nExecStart=/bin/false\n", ":3: a has a second ExecStart"),
    "unit restart": ("a.service", "[Service]\nExecStart=/bin/true\nRestart=yes\n", ":3: found Restart=yes"),
    "unit time": ("a.service", "[Service]\nExecStart=/bin/true\nTimeoutStopSec=soon\n", ":3: found TimeoutStopSec=soon"),
    "unit quote": ("a.service", "[Service]\nExecStart=/bin/sh -c 'a\n", ":2: found an opening '"),
    "unit section": ("a.service", "[Unit]\nDescription=x\n", "there is no [Service]"),
    "template alone": ("a@.service", "[Service]\nExecStart=/bin/true %i\n", "a template, and no instance"),
    "pm2 json": ("ecosystem.json", '{"apps": [\n  {"name": "a",}\n]}', ":2: "),
    "pm2 no apps": ("ecosystem.json", '{"name": "a"}', "found no apps with a script"),
    "pm2 kind": ("ecosystem.json", '{"apps": [{"script": "a.py", "env": [1]}]}', "found env of another kind"),
    "pm2 size": ("ecosystem.json", '{"apps": [\n{"script": "a.py",\n"max_memory_restart": "lots"}]}', ":3: found max_memory_restart"),
    "pm2 twice": ("ecosystem.json", '{"apps": [{"script": "a.py"}, {"script": "a.py"}]}', "the name a is given a second time"),
    "pm2 program": ("ecosystem.config.js", "module.exports = {}", "psv adopt runs nothing unasked"),
    "compose yaml": ("compose.yaml", "services:\n  a: [1\n  b: 2\n", "expected YAML"),
    "compose nothing": ("compose.yaml", "version: '3'\n", "there are no services"),
    "compose restart": ("compose.yaml", "services:\n  a:\n    build: .\n    command: x\n    restart: perhaps\n", ":5: found restart: perhaps"),
    "compose variable": ("compose.yaml", "services:\n  a:\n    build: .\n    command: x ${NO_SUCH_VARIABLE}\n", ":4: ${NO_SUCH_VARIABLE} has no value"),
    "compose extends": ("compose.yaml", "services:\n  a:\n    extends: b\n", ":3: a extends another service"),
    "compose object": ("compose.yaml", "services: !!python/object/apply:os.system ['touch pwned']\n", "compose.yaml"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_is_one_clear_word(case: str, tmp_path: Path) -> None:
    """The message has the place and what was found, the hint a way out; nothing is written."""
    name, text, expected = BAD[case]
    (tmp_path / "Dockerfile").write_text("FROM x\nCMD true\n")
    path = tmp_path / (name or "nowhere.py")
    if name:
        path.write_text(text)
    before = sorted(entry.name for entry in tmp_path.iterdir())

    with pytest.raises(CannotRead) as caught:
        read_paths([str(path)], allow_js=False)

    assert expected in str(caught.value), str(caught.value)
    assert caught.value.hint and caught.value.exit_status == 2
    assert sorted(entry.name for entry in tmp_path.iterdir()) == before


def test_aliases_that_unfold_without_end(tmp_path: Path) -> None:
    """A small file that stands for a billion values is refused at once."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (tmp_path / "compose.yaml").write_text("\n".join([*lines, "services: *a9\n"]))
    with pytest.raises(CannotRead, match="unfolds to more than"):
        read_paths([str(tmp_path / "compose.yaml")], allow_js=False)


def test_ecosystem_program_sees_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With --allow-js node runs it, but with PATH alone; what it prints besides does not disturb."""
    if shutil.which("node") is None:
        pytest.skip("needs node")
    monkeypatch.setenv("SECRET_OF_MINE", "x")
    code = "console.log('noise');\nmodule.exports = { apps: [{ name: 'n', script: 'a.sh', env: { SEEN: Object.keys(process.env).sort().join() } }] };\n"
    (tmp_path / "ecosystem.config.cjs").write_text(code)
    source = read_paths([str(tmp_path / "ecosystem.config.cjs")], allow_js=True)[0]
    assert source.programs[0].env == {"SEEN": "PATH"}


def test_ecosystem_program_that_fails(tmp_path: Path) -> None:
    """node's own error is told with its line."""
    if shutil.which("node") is None:
        pytest.skip("needs node")
    (tmp_path / "ecosystem.config.js").write_text("module.exports = {\n  apps: [,,{]\n}\n")
    with pytest.raises(CannotRead, match=r"config.js:2: node says SyntaxError"):
        read_paths([str(tmp_path / "ecosystem.config.js")], allow_js=True)


def test_python2_under_a_supervisor_stays_a_command(tmp_path: Path) -> None:
    """A program that Python 3 cannot parse is run as it was, in its own interpreter, and that is told."""
    (tmp_path / "old.py").write_text("print 'hello'\n")
    (tmp_path / "supervisord.conf").write_text("[program:old]\ncommand=/usr/bin/env python3 old.py\n")
    sources = read_paths([str(tmp_path / "supervisord.conf")], allow_js=False)
    plan = make_plan(tmp_path, "demo", sources)
    assert 'command = ["python3", "old.py"]' in plan.text
    assert any("Python 2 source" in left.why for left in plan.left_out)


def test_missing_venv_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    """The bot is written as it was, and psv check's word about its interpreter is given."""
    (tmp_path / "a.py").write_text(LOOP)
    (tmp_path / "supervisord.conf").write_text(f"[program:a]\ncommand={tmp_path}/venv/bin/python a.py\n[program:b]\ncommand=sleep 60\n")
    plan = make_plan(tmp_path, "demo", read_paths([str(tmp_path / "supervisord.conf")], allow_js=False))
    assert [problem.code for problem in plan.problems] == ["python-missing"]
    assert {bot.name for bot in plan.added} == {"a", "b"}


def test_relative_program_is_found_in_its_folder(tmp_path: Path) -> None:
    """A program named relative to its working folder is named relative to fleet.toml."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/run.sh").write_text("#!/bin/sh\n")
    (tmp_path / "sub/run.sh").chmod(0o755)
    (tmp_path / "supervisord.conf").write_text("[program:a]\ncommand=./run.sh x\ndirectory=sub\n")
    plan = make_plan(tmp_path, "demo", read_paths([str(tmp_path / "supervisord.conf")], allow_js=False))
    assert 'command = ["sub/run.sh", "x"]' in plan.text and plan.problems == []


def test_unit_with_shell_words_is_told(tmp_path: Path) -> None:
    """systemd hands `|` to the program; so does psv, and says so."""
    (tmp_path / "a.service").write_text("[Service]\nExecStart=/bin/cat /dev/null | tee log\nWorkingDirectory=/tmp\n")
    source = read_paths([str(tmp_path / "a.service")], allow_js=False)[0]
    assert source.programs[0].argv == ["/bin/cat", "/dev/null", "|", "tee", "log"]
    assert any("no shell reads it" in left.why for left in source.left_out)


def test_unit_kinds_that_are_left_out(tmp_path: Path) -> None:
    """A daemon that forks, a oneshot and a timer are each told with the way out; no bot is made of them."""
    (tmp_path / "a.service").write_text("[Service]\nType=forking\nExecStart=/bin/true\n")
    (tmp_path / "b.service").write_text("[Service]\nType=oneshot\nExecStart=/bin/true\n")
    (tmp_path / "b.timer").write_text("[Timer]\nOnCalendar=daily\n")
    paths = [str(tmp_path / name) for name in ("a.service", "b.service", "b.timer")]
    source = read_paths(paths, allow_js=False)[0]
    assert source.programs == []
    assert [left.why.split(":")[0] for left in source.left_out] == [
        "puts itself into the background", "ends by itself", "a timer unit",
    ]  # fmt: skip


def test_unknown_keys_are_told(tmp_path: Path) -> None:
    """A misspelt key is named with the nearest one, and the program is carried over without it."""
    (tmp_path / "supervisord.conf").write_text(SUP + "autostrat=false\n")
    source = read_paths([str(tmp_path / "supervisord.conf")], allow_js=False)[0]
    assert any(left.what == "autostrat" and '"autostart"' in left.why and left.place.line == 3 for left in source.left_out)


def test_faulty_fleet_toml_is_not_touched(tmp_path: Path) -> None:
    """What is there has to be right first."""
    (tmp_path / "Procfile").write_text("a: sleep 60\n")
    (tmp_path / "fleet.toml").write_text("[fleet\n")
    with pytest.raises(ConfigError, match="nothing was written"):
        make_plan(tmp_path, "demo", read_paths([str(tmp_path / "Procfile")], allow_js=False))
    assert (tmp_path / "fleet.toml").read_text() == "[fleet\n"


def test_nothing_is_left_when_writing_fails(tmp_path: Path) -> None:
    """A folder in place of fleet.toml's temporary file: the env file made before is taken away again."""
    from processsupervisor.adopt.writing import write_plan

    (tmp_path / "supervisord.conf").write_text(f'[program:a]\ncommand=sleep 60\nenvironment=BOT_TOKEN="{TELEGRAM_TOKEN}"\n')
    plan = make_plan(tmp_path, "demo", read_paths([str(tmp_path / "supervisord.conf")], allow_js=False))
    (tmp_path / f".fleet.toml.{os.getpid()}.tmp").mkdir()
    with pytest.raises(PsvError, match="nothing was changed"):
        write_plan(plan)
    assert not (tmp_path / "a.env").exists() and not (tmp_path / "fleet.toml").exists()




def test_ecosystem_program_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that runs for ever is ended at the deadline."""
    if shutil.which("node") is None:
        pytest.skip("needs node")
    monkeypatch.setattr("processsupervisor.adopt.pm2.NODE_TIMEOUT_S", 1.0)
    (tmp_path / "ecosystem.config.js").write_text("while (true) {}\n")
    with pytest.raises(CannotRead, match="did not end within 1 s"):
        read_paths([str(tmp_path / "ecosystem.config.js")], allow_js=True)
