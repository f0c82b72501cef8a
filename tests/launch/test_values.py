"""launch.values, valuecommand and known, with real files, programs and a real store: what references stand for, and what goes wrong."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.supervisor.live import eventually

from processsupervisor.config.secretstore import SecretStore
from processsupervisor.kernel.anchor import Anchor
from processsupervisor.kernel.files import write_json
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.launch import known, values
from processsupervisor.launch.context import LaunchFailed
from processsupervisor.launch.environment import compose
from processsupervisor.launch.values import resolve_all, resolve_options
from processsupervisor.process.compact import compact

SECRET = "the-value-nobody-sees"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A fleet's folder with a store; what is remembered of it goes afterwards."""
    paths = FleetPaths(tmp_path)
    paths.ensure()
    SecretStore(paths).set("anna", SECRET, "test")
    yield tmp_path
    remembered = known._folder(paths)
    if remembered is not None:
        shutil.rmtree(remembered)


def spec_of(folder: Path, *texts: str, **more: Any) -> dict[str, Any]:
    return {"name": "bot", "folder": str(folder), "env": {f"V{n}": text for n, text in enumerate(texts)}, **more}


def why(folder: Path, text: str, **more: Any) -> LaunchFailed:
    with pytest.raises(LaunchFailed) as caught:
        resolve_all(spec_of(folder, text, **more))
    assert caught.value.hint and SECRET not in str(caught.value) and str(caught.value).startswith("env.V0: ")
    return caught.value


def test_an_env_file_is_stronger_than_psvs_own_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing that is set nowhere is taken for empty."""
    monkeypatch.setenv("IN_BOTH", "of psv")
    monkeypatch.setenv("IN_PSV", "of psv")
    (folder / ".env").write_text("IN_BOTH=of the file\nEMPTY=\n")
    spec = spec_of(folder, "env:IN_BOTH", "env:IN_PSV", "env:EMPTY", env_files=[str(folder / ".env")])
    assert resolve_all(spec) == {"env:IN_BOTH": "of the file", "env:IN_PSV": "of psv", "env:EMPTY": ""}
    assert why(folder, "env:NOWHERE").reason is Reason.CONFIG


def test_the_environment_of_psv_is_the_keepers(folder: Path) -> None:
    """A zygote has another one: it is read from the process that psvd names, and from no other that has its pid."""
    with subprocess.Popen(["sleep", "60"], env={**os.environ, "OF_KEEPER": "is here"}) as keeper:
        own = Identity.of(keeper.pid)
        assert own is not None
        eventually(lambda: b"OF_KEEPER" in Path(f"/proc/{keeper.pid}/environ").read_bytes(), "it is executed")
        assert resolve_all(spec_of(folder, "env:OF_KEEPER", keeper=own.to_json())) == {"env:OF_KEEPER": "is here"}
        other = Identity(own.pid, own.start_ticks + 1, own.boot_id, own.pid_namespace)
        with pytest.raises(LaunchFailed) as caught:
            resolve_all(spec_of(folder, "env:OF_KEEPER", keeper=other.to_json()))
        keeper.kill()
    assert caught.value.reason is Reason.START_FAILED


def test_files(folder: Path) -> None:
    """One line end goes; what is no small text is refused, and a FIFO holds nobody up."""
    (folder / "two").write_bytes(b"a\nb\r\n")
    (folder / "large").write_bytes(b"x" * (values.MOST_BYTES + 1))
    (folder / "binary").write_bytes(b"\xff\xfe")
    (folder / "nul").write_bytes(b"a\0b")
    os.mkfifo(folder / "fifo")
    (folder / "loop").symlink_to("loop")
    found = resolve_all(spec_of(folder, "file:two", f"file:{folder}/two"))
    assert set(found.values()) == {"a\nb"}
    for name in ("large", "binary", "nul", "fifo", "loop", "gone", ".", "x" * 5000):
        assert why(folder, f"file:{name}").reason is Reason.CONFIG


def test_commands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a shell, in the fleet's folder, several at a time; the key of the store is not in their environment."""
    monkeypatch.setenv("PSV_SECRET_KEY", "0" * 64)
    (folder / "tool.sh").write_text('#!/bin/sh\necho "  $1 in $(pwd) $PSV_SECRET_KEY "\n')
    (folder / "tool.sh").chmod(0o755)
    began = time.monotonic()
    texts = ["cmd:./tool.sh 'a $HOME'", *(f"cmd:sh -c 'sleep 1; echo {n}'" for n in range(8))]
    found = resolve_all(spec_of(folder, *texts))
    assert found[texts[0]] == f"a $HOME in {folder}" and [found[text] for text in texts[1:]] == [str(n) for n in range(8)]
    assert time.monotonic() - began < 6


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        ("cmd:false", Reason.START_FAILED, "cmd:false ended with exit code 1"),
        ("cmd:true", Reason.START_FAILED, "cmd:true printed nothing"),
        ("cmd:echo ' '", Reason.START_FAILED, "printed nothing"),
        ("cmd:sh -c 'kill -9 $$'", Reason.START_FAILED, "killed by signal 9"),
        ("cmd:sh -c 'yes the-value-nobody-sees'", Reason.START_FAILED, "more than"),
        ("cmd:sh -c 'printf \"the-value-nobody-sees\\377\"'", Reason.START_FAILED, "not UTF-8"),
        ("cmd:sh -c 'echo the-value-nobody-sees >&2; exit 3'", Reason.START_FAILED, "exit code 3"),
        ("cmd:no-such-program", Reason.CONFIG, "cannot be run"),
        ("cmd:./gone.sh", Reason.CONFIG, "cannot be run"),
    ],
)
def test_commands_that_give_no_value(folder: Path, text: str, reason: Reason, words: str) -> None:
    """A vault may be away for a while: tried again; a program that is not there is a mistake. What was printed is never shown."""
    error = why(folder, text)
    assert error.reason is reason and words in error.message


def test_a_command_that_hangs_is_ended_with_its_tree(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its deadline, with what it started in sessions of their own; the other command's value does not help."""
    monkeypatch.setattr(values, "COMMAND_S", 1.0)
    began = time.monotonic()
    (folder / "hang.sh").write_text('#!/bin/sh\nsetsid sh -c "echo $$ > pids; exec sleep 300" &\nsleep 0.2\necho partial\nsleep 300\n')
    (folder / "hang.sh").chmod(0o755)
    error = why(folder, "cmd:./hang.sh")
    assert error.reason is Reason.START_FAILED and "not done within 1 s" in error.message and time.monotonic() - began < 10
    assert below(folder) == []
    assert resolve_all(spec_of(folder, "cmd:sh -c 'setsid sleep 300 & echo done'")) == {"cmd:sh -c 'setsid sleep 300 & echo done'": "done"}
    eventually(lambda: below(folder) == [], "what it left has ended")


def below(folder: Path) -> list[str]:
    """Return the command lines of what runs in `folder`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "cwd") == str(folder):
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found


def test_secrets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By name; a missing one, a lost key and a damaged store are mistakes with a way out."""
    assert resolve_all(spec_of(folder, "secret:anna")) == {"secret:anna": SECRET}
    assert "is not in the secret store; psv secret set berta" in str(why(folder, "secret:berta"))
    key = folder / ".psv" / "data" / "secret.key"
    key.chmod(0o644)
    assert "chmod 600" in why(folder, "secret:anna").hint
    key.unlink()
    assert "the key of the secret store is not there" in why(folder, "secret:anna").message
    (folder / ".psv" / "data" / "secrets.json").write_text("{}")
    assert why(folder, "secret:anna").reason is Reason.CONFIG


def test_a_process_between_that_dies_is_no_value(folder: Path) -> None:
    """It is tried again: nothing says that the next one dies too."""
    for argv in (["false"], ["sh", "-c", "kill -9 $$"], ["echo", "[]"], ["/nowhere/python"]):
        with pytest.raises(LaunchFailed) as caught:
            resolve_all(spec_of(folder, "secret:anna", value_helper=argv))
        assert caught.value.reason is Reason.START_FAILED


def test_options_of_a_bot_that_runs(folder: Path) -> None:
    """As at its start; a bot of another user cannot read them and is told so."""
    options = {"token": "secret:anna", "n": 1}
    assert resolve_options(spec_of(folder), options) == {"token": SECRET, "n": 1} and options["token"] == "secret:anna"
    assert resolve_options(spec_of(folder, user="nobody"), {"n": 1}) == {"n": 1}
    with pytest.raises(LaunchFailed, match="only the owner"):
        resolve_options(spec_of(folder, user="nobody"), options)


def test_an_environment_has_values(folder: Path) -> None:
    """What is composed for hooks and probes too; other texts stay as they are."""
    environment = compose(spec_of(folder, "secret:anna", "plain:x", "literal:env:x", kind="native"))
    assert (environment["V0"], environment["V1"], environment["V2"]) == (SECRET, "plain:x", "env:x")


def test_values_are_remembered_in_memory_only(folder: Path) -> None:
    """In each form in which they may be printed, those of earlier starts too, within a bound; nowhere below the fleet's folder."""
    paths = FleetPaths(folder)
    if not known.is_kept(paths):
        pytest.skip("needs /dev/shm")
    SecretStore(paths).set("key", "-----BEGIN-----\nabcdefgh\n\"quoted\"\n", "test")
    resolve_all(spec_of(folder, "secret:anna", "secret:key"))
    SecretStore(paths).set("anna", "another-value", "test")
    resolve_all(spec_of(folder, "secret:anna", "cmd:echo abc"))
    assert {SECRET, "another-value", "-----BEGIN-----", "abcdefgh"} <= set(known.known_values(paths, "bot"))
    assert "abc" not in known.known_values(paths, "bot") and known.known_values(paths, "other") == ()
    paths.bot_logs("bot").mkdir(parents=True)
    assert known.known_by_logs(str(paths.bot_logs("bot"))) == known.known_values(paths, "bot")
    known.move(paths, "bot", "renamed")
    assert SECRET in known.known_values(paths, "renamed") and known.known_values(paths, "bot") == ()
    for n in range(12):
        known.remember(paths, "bot", [f"{n}" * 40_000])
    kept = known.known_values(paths, "bot")
    assert "11" * 40_000 in kept and sum(map(len, kept)) <= known.MOST_BYTES
    for path in folder.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def test_logs_wait_for_what_is_forgotten(folder: Path) -> None:
    """After a reboot a closed segment stays raw until the bot has been started: then it is rewritten without the value."""
    paths = FleetPaths(folder)
    if not known.is_kept(paths):
        pytest.skip("needs /dev/shm")
    logs = paths.bot_logs("bot")
    logs.mkdir(parents=True)
    paths.psv.rename(folder / "elsewhere")
    paths.psv.symlink_to("elsewhere")  # as for another disk
    segment = logs / "stdout.000001.log"
    segment.write_text(f"it is {SECRET}\n")
    as_logd = f"{Anchor(paths.logs / 'bots').path}/bot/{segment.name}"
    write_json(paths.applied, {"bots": [spec_of(folder, "secret:anna")]})
    assert compact(as_logd, str(folder)) == os.EX_TEMPFAIL and segment.exists()
    resolve_all(spec_of(folder, "secret:anna"))
    assert compact(as_logd, str(folder)) == 0 and not segment.exists()
    assert gzip.decompress(Path(f"{segment}.gz").read_bytes()) == b"it is [redacted]\n"
