"""Laws of `psv secret`: values come in by stdin and never come out."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from tests.cli.conftest import PSV, Psv, environment

from processsupervisor.kernel.files import write_json
from processsupervisor.kernel.paths import FleetPaths

VALUE = "the-value-nobody-sees"
FLEET = '[fleet]\nname = "demo"\n[bots.anna]\ncommand = ["sleep", "9"]\nenv = { TOKEN = "secret:token" }\noptions = { a = ["secret:other"] }\n'


@pytest.fixture(autouse=True)
def fleet_toml(folder: Path) -> None:
    """One bot that uses two secrets."""
    (folder / "fleet.toml").write_text(FLEET)


def test_set_list_rm_rotate(psv: Psv, folder: Path) -> None:
    """Each says what it did and for whom; the value is in no output and in no file."""
    done = [psv("secret", "set", "token", stdin=VALUE + "\n"), psv("secret", "set", "token", stdin=VALUE), psv("secret", "set", "spare", stdin="x")]
    assert [one.stdout for one in done] == [
        "secret token is set; anna has it from the next start (psv restart)\n",
        "secret token is changed; anna has it from the next start (psv restart)\n",
        "secret spare is set\n",
    ]
    done.append(psv("secret", "list"))
    header, *lines = done[-1].stdout.splitlines()
    assert header.split() == ["NAME", "SET", "BY", "BOTS"]
    assert [(line.split()[0], line.split()[-1]) for line in lines] == [("other", "anna"), ("spare", "-"), ("token", "anna")] and "not set" in lines[0]
    rows = json.loads(psv("secret", "list", "--json").stdout)
    assert [list(row) for row in rows] == [["name", "set_at", "by", "bots"]] * 3 and rows[0]["set_at"] is None
    done.append(psv("secret", "rotate"))
    assert done[-1].stdout.startswith("2 secrets written with a new key, in ")
    done.append(psv("secret", "rm", "token"))
    assert done[-1].stdout == "secret token is removed; anna cannot start without it\n"
    assert psv("secret", "rm", "token").returncode == 2
    assert not any(VALUE in one.stdout + one.stderr for one in done)
    assert not any(VALUE.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    notes = [json.loads(line) for line in (folder / ".psv" / "data" / "secrets.audit").read_text().splitlines()]
    assert [(note["act"], note["names"]) for note in notes] == [
        ("set", ["token"]), ("set", ["token"]), ("set", ["spare"]), ("rotate", ["spare", "token"]), ("rm", ["token"]),
    ]  # fmt: skip


def test_a_terminal_is_asked_without_echo(folder: Path) -> None:
    """Twice; two values that differ change nothing."""
    for again, status in ((VALUE, 0), ("typo", 2)):
        parent, child = pty.openpty()
        with subprocess.Popen([*PSV, "secret", "set", "token"], cwd=folder, stdin=child, stdout=child, stderr=child, env=environment(), start_new_session=True) as psv:
            os.close(child)
            shown = b""
            for answer, prompt in ((VALUE, b"shown): "), (again, b"again: ")):
                while prompt not in shown:
                    shown += os.read(parent, 4096)
                os.write(parent, answer.encode() + b"\n")
            try:
                while data := os.read(parent, 4096):
                    shown += data
            except OSError:
                pass  # the end, as Linux says it
            assert psv.wait(30) == status
        os.close(parent)
        assert VALUE.encode() not in shown


def test_check_names_what_is_not_there(psv: Psv, folder: Path) -> None:
    """Each with its place and the way out, and the bot alone is left out; a lost key is said."""
    (folder / "value.txt").write_text("x")
    more = '[bots.berta]\ncommand = ["sleep", "9"]\nenv = { A = "file:value.txt", B = "literal:secret:x", C = "https://x", D = "cmd:echo s3cret" }\n'
    (folder / "fleet.toml").write_text(FLEET + more)
    psv("secret", "set", "tokem", stdin=VALUE)
    found = psv("check", "--json")
    problems = json.loads(found.stdout)
    assert found.returncode == 1
    assert [(problem["code"], problem["line"], problem["message"]) for problem in problems] == [
        ("reference-secret", 5, "secret:token is not in the secret store"),
        ("reference-secret", 6, "secret:other is not in the secret store"),
    ]
    assert problems[0]["hint"] == "psv secret set token, or did you mean secret:tokem?"
    bad = 'A = "env:NOWHERE_SET", B = "file:gone", C = "cmd:no-such-program s3cret", D = "secret:a b", E = "env:"'
    (folder / "fleet.toml").write_text(f'[fleet]\nname = "demo"\n[bots.anna]\ncommand = ["sleep", "9"]\nenv = {{ {bad} }}\n')
    found = psv("check", "--json")
    problems = json.loads(found.stdout)
    assert sorted(problem["code"] for problem in problems) == [
        "reference-file", "reference-malformed", "reference-malformed", "reference-program", "reference-variable",
    ]  # fmt: skip
    assert all("literal:" in problem["hint"] for problem in problems) and "s3cret" not in found.stdout + found.stderr
    (folder / "fleet.toml").write_text(FLEET)
    (folder / ".psv" / "data" / "secret.key").unlink()
    assert "the key of the secret store is not there" in psv("check").stderr
    refused = psv("secret", "set", "token", stdin=VALUE)
    assert (refused.returncode, VALUE in refused.stderr) == (2, False) and "the key of the secret store is not there" in refused.stderr


def test_what_cannot_be_set(psv: Psv) -> None:
    """An empty value, a name that cannot be, bytes that are no text: status 2, nothing is made."""
    assert psv("secret", "set", "token", stdin="").returncode == 2
    assert psv("secret", "set", "to/ken", stdin=VALUE).returncode == 2
    assert psv("secret", "rotate").returncode == 2
    assert psv("secret", "list").stdout.splitlines()[1:] != [] and psv("secret").returncode == 2


def test_logs_hide_the_present_value_after_a_reboot(psv: Psv, folder: Path) -> None:
    """What was printed before it stands in the log, and nothing is remembered: the store still tells it."""
    psv("secret", "set", "token", stdin=VALUE)
    paths = FleetPaths(folder)
    write_json(paths.applied, {"bots": [{"name": "anna", "env": {"TOKEN": "secret:token"}, "options": {"f": ["file:value.txt"]}}]})
    (folder / "value.txt").write_text("value of a file")
    paths.bot_logs("anna").mkdir(parents=True)
    (paths.bot_logs("anna") / "stdout.log").write_text(f"it is {VALUE} and the value of a file\n")
    shown = psv("logs", "anna").stdout
    assert shown.endswith("it is [redacted] and the [redacted]\n")


def test_a_line_break_in_a_secret_is_told(psv):
    """A key has some, a token none; the value is not shown."""
    done = psv("secret", "set", "token", stdin="123456:AA\nbb\n")
    assert done.returncode == 0 and "psv: the value has 2 lines" in done.stderr and "AA" not in done.stdout + done.stderr
    assert psv("secret", "set", "token", stdin="123456:AAbb\n").stderr == ""
