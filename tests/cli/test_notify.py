"""`psv notify test`: what is sent, what came back, and what is said when there is nobody to be told."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import FLEET, Psv
from tests.notify.conftest import Receiver, receiver

__all__ = ["receiver"]


def channels(folder: Path, text: str) -> None:
    (folder / "fleet.toml").write_text(FLEET + text)
    (folder / "bots.py").write_text("bot = None\n")


def test_each_channel_is_tried(psv: Psv, folder: Path, receiver: Receiver) -> None:
    """A line a channel; 1 because one of them failed, and why. No fleet need run."""
    channels(folder, f'[notify.good]\nto = "webhook"\nurl = "{receiver.url}/hook"\n[notify.bad]\nto = "command"\ncommand = ["sh", "-c", "echo no route; exit 3"]\n')
    done = psv("notify", "test")
    assert done.returncode == 1, done.stderr
    assert "good     webhook  delivered  HTTP 200 OK" in done.stdout
    assert "bad      command  failed     exit code 3: no route" in done.stdout
    (message,) = receiver.messages("test")
    assert message["fleet"] == "demo" and "nothing is wrong" in message["text"]

    done = psv("notify", "test", "go*", "--json")
    (row,) = json.loads(done.stdout)
    assert (done.returncode, row["name"], row["ok"], row["said"]) == (0, "good", True, "HTTP 200 OK")


def test_nobody_to_be_told(psv: Psv, folder: Path) -> None:
    """No channel, an unknown one, a file with a mistake: status 2 and the way out."""
    done = psv("notify", "test")
    assert done.returncode == 2 and "no table [notify.NAME]" in done.stderr
    channels(folder, '[notify.ops]\nto = "webhook"\nurl = "http://127.0.0.1:1"\n')
    done = psv("notify", "test", "opz")
    assert done.returncode == 2 and 'there is no channel "opz"; did you mean "ops"?' in done.stderr
    channels(folder, '[notify.ops]\nto = "webhook"\n')
    done = psv("notify", "test")
    assert done.returncode == 2 and "expected one of them" in done.stderr
