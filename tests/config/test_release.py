"""Laws of bots with source = "releases": what of them comes from the release, what stays, and what is said when it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from processsupervisor.config.cmdline import patterns_of
from processsupervisor.config.load import Loaded, load_fleet
from processsupervisor.config.release import FROM_FOLDER, release_before, running_release
from processsupervisor.config.rules import look_again
from processsupervisor.config.spec import BotSpec
from processsupervisor.kernel.paths import FleetPaths

Load = Callable[[str], Loaded]


@pytest.fixture
def code(folder: Path) -> Path:
    """The files of release 7, which was deployed."""
    paths = FleetPaths(folder)
    paths.ensure()
    code = paths.release(7) / "files"
    code.mkdir(parents=True)
    for name in ("bots.py", "main.py", "run.sh", "words.txt"):
        (code / name).write_text("")
    (code / "run.sh").chmod(0o755)
    paths.applied.write_text(json.dumps({"release": 7}))
    return code


def bot_of(loaded: Loaded) -> BotSpec:
    assert loaded.applied is not None, loaded.problems
    return loaded.applied["bots"][0]


def test_code_comes_from_the_release_and_nothing_else(folder: Path, code: Path, load: Load) -> None:
    """Script and program do; working folder, env files and locks stay: bots write there, and tokens are no code."""
    (folder / "tokens").write_text("A=b\n")
    more = 'env_file = "tokens"\nlock = [{ file = "my.session" }]\n'
    spec = bot_of(load(f'[bots.a]\nsource = "releases"\nscript = "main.py"\n{more}'))
    assert (spec["script"], spec["release"], spec["error"]) == (str(code / "main.py"), 7, None)
    assert (spec["cwd"], spec["env_files"]) == (str(folder), [str(folder / "tokens")])
    assert spec["lock"] == [{"file": str(folder / "my.session")}]
    spec = bot_of(load('[bots.a]\nsource = "releases"\nrun = "bots:bot"\n'))
    assert (spec["run"], spec["release"], spec["python"], spec["error"]) == ("bots:bot", 7, None, None)


def test_a_command_finds_its_program_and_its_words_in_the_release(folder: Path, code: Path, load: Load) -> None:
    """Words that begin with "./" and are there; a bare word that would be there too is warned of, for it is read from the folder."""
    loaded = load('[bots.a]\nsource = "releases"\ncommand = ["./run.sh", "./words.txt", "./state.db", "words.txt"]\nargs = ["./main.py"]\n')
    spec = bot_of(loaded)
    assert spec["command"] == [str(code / "run.sh"), str(code / "words.txt"), "./state.db", "words.txt"]
    assert spec["args"] == [str(code / "main.py")]
    assert [(p.code, p.severity) for p in loaded.problems] == [("release-word", "warning")]
    assert '"./words.txt"' in loaded.problems[0].hint
    spec = bot_of(load('[bots.a]\nsource = "releases"\ncommand = ["sh", "-c", "true"]\n'))
    assert (spec["command"], spec["error"]) == (["sh", "-c", "true"], None)


def test_a_program_of_a_virtual_environment_stays_where_it_is(folder: Path, code: Path, load: Load) -> None:
    """No virtual environment of the folder is in a release."""
    (folder / "venv" / "bin").mkdir(parents=True)
    (folder / "venv" / "pyvenv.cfg").write_text("")
    (folder / "venv" / "bin" / "python").symlink_to("/bin/sh")
    spec = bot_of(load('[bots.a]\nsource = "releases"\ncommand = ["venv/bin/python", "./main.py"]\n'))
    assert spec["command"] == [str(folder / "venv" / "bin" / "python"), str(code / "main.py")]


def test_the_environment_of_the_release_is_taken_by_those_that_name_none(folder: Path, code: Path, load: Load) -> None:
    """Also by a command that begins with "python"."""
    python = code.parent / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/bin/sh")
    for program in ('run = "bots:bot"', 'script = "main.py"', 'command = ["python", "./main.py"]'):
        assert bot_of(load(f'[bots.a]\nsource = "releases"\n{program}\n'))["python"] == str(python)
    assert bot_of(load('[bots.a]\nsource = "releases"\ncommand = ["sh"]\n'))["python"] is None
    assert bot_of(load('[bots.a]\nsource = "releases"\nscript = "main.py"\npython = "/bin/sh"\n'))["python"] == "/bin/sh"


def test_what_the_release_lacks_is_a_mistake_although_the_folder_has_it(folder: Path, code: Path, load: Load) -> None:
    """check looks where the bot will look."""
    spec = bot_of(load('[bots.a]\nsource = "releases"\nscript = "other.py"\n'))
    assert spec["error"] is not None
    assert str(code / "other.py") in spec["error"]
    (code / "bots.py").unlink()
    spec = bot_of(load('[bots.a]\nsource = "releases"\nrun = "bots:bot"\n'))
    assert spec["error"] is not None
    assert "module bots is neither in release 7 nor installed" in spec["error"]


def test_without_a_deploy_it_is_a_mistake_of_that_bot(folder: Path, load: Load) -> None:
    """The others run; the way out is named."""
    loaded = load('[bots.a]\nsource = "releases"\nscript = "main.py"\n[bots.b]\nscript = "main.py"\n')
    assert [(p.code, p.bots, p.line) for p in loaded.problems] == [("no-release", ("a",), 4)]
    assert "psv release create" in loaded.problems[0].hint
    assert loaded.applied is not None
    assert [spec["release"] for spec in loaded.applied["bots"]] == [None, None]


def test_a_script_outside_of_the_folder_is_in_no_release(tmp_path: Path, folder: Path, code: Path, load: Load) -> None:
    """It would change under the bot."""
    loaded = load('[bots.a]\nsource = "releases"\nscript = "../elsewhere.py"\n')
    assert [p.code for p in loaded.problems] == ["release-outside"]


def test_a_release_that_is_gone_is_one_mistake_and_may_come_back(folder: Path, code: Path, load: Load) -> None:
    """Said at check and again before each start, in words that name the release."""
    spec = bot_of(load('[bots.a]\nsource = "releases"\nscript = "main.py"\n'))
    code.rename(code.with_name("away"))
    loaded = load('[bots.a]\nsource = "releases"\nscript = "main.py"\n')
    assert [p.code for p in loaded.problems] == ["release-missing"]
    look_again(spec, folder)
    assert spec["error"] is not None
    assert spec["error"].startswith("release 7 is not there: ")
    code.with_name("away").rename(code)
    look_again(spec, folder)
    assert spec["error"] is None


def test_another_release_is_loaded_when_it_is_asked_for(folder: Path, code: Path, load: Load) -> None:
    """That is all that a deploy is."""
    load('[bots.a]\nsource = "releases"\nscript = "main.py"\n')
    other = FleetPaths(folder).release(8) / "files"
    other.mkdir(parents=True)
    (other / "main.py").write_text("")
    loaded = load_fleet(folder, release=8)
    assert loaded.applied is not None
    assert loaded.applied["release"] == 8
    assert bot_of(loaded)["script"] == str(other / "main.py")
    assert bot_of(load('[bots.a]\nscript = "main.py"\n'))["release"] is None


@pytest.mark.parametrize("program", ['script = "main.py"', 'command = ["./run.sh", "./main.py"]'])
def test_the_same_program_that_runs_elsewhere_is_known(code: Path, load: Load, program: str) -> None:
    """Whoever runs it there, runs the file in the folder: no second copy is started."""
    from_release = bot_of(load(f'[bots.a]\nsource = "releases"\n{program}\n'))
    patterns = patterns_of(from_release)
    assert patterns[0].words[-1].endswith("/main.py") and ".psv" not in repr(patterns)
    (code.parents[3] / "main.py").write_text("")
    beside = bot_of(load(f"[bots.a]\n{program}\n"))
    assert [Path(word).name for word in patterns[0].words] == [Path(word).name for word in patterns_of(beside)[0].words]


def test_psv_dev_takes_everything_from_the_folder(folder: Path, code: Path, load: Load) -> None:
    """What is worked on is there."""
    load('[bots.a]\nsource = "releases"\nscript = "main.py"\n')
    loaded = load_fleet(folder, release=FROM_FOLDER)
    assert (bot_of(loaded)["script"], bot_of(loaded)["release"], loaded.problems) == (str(folder / "main.py"), None, ())


def test_which_release_runs_and_which_ran_before(folder: Path, code: Path) -> None:
    """One that was taken back for its faults is not gone back to."""
    paths = FleetPaths(folder)
    assert (running_release(paths), release_before(paths)) == (7, None)
    deployed = {"history": [None, 5, 6, 7], "rejected": {"6": {"reason": "bad", "at": 1.0}}, "watch": None}
    paths.deployed.write_text(json.dumps(deployed))
    assert release_before(paths) == 5
    paths.deployed.write_text("torn")
    assert release_before(paths) is None
