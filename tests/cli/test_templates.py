"""Each template of `psv init` as a fleet that runs: up, ready, does its job, down."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.cli.conftest import Psv, environment
from tests.cli.test_up import end
from tests.supervisor.live import eventually

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="fleets need Linux")]


@pytest.fixture
def made(psv: Psv, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A fleet after the template that the test names, up and ready; down afterwards with nothing left."""
    target = tmp_path / "made"
    assert psv("init", str(target), "--template", request.param, cwd=tmp_path).returncode == 0
    try:
        started = psv("up", "--detach", "--wait", "--timeout", "60s", cwd=target)
        assert (started.returncode, started.stderr) == (0, ""), started.stdout
        assert "1 bot ready" in started.stdout
        yield target
        down = psv("down", cwd=target)
        assert (down.returncode, down.stderr) == (0, "") and "stopped 1 bot" in down.stdout
    finally:
        end(target, psv)


@pytest.mark.parametrize("made", ["echo"], indirect=True)
def test_echo_answers(psv: Psv, made: Path) -> None:
    """It says what one says."""
    assert psv("chat", "echo", "hello", cwd=made).stdout == "You said: hello\n"


@pytest.mark.parametrize("made", ["web-faq"], indirect=True)
def test_faq_answers_on_the_page(psv: Psv, made: Path) -> None:
    """A question put to the page's chat is answered out of the documents, with the place; its own test passes."""
    address = json.loads(psv("status", "--json", cwd=made).stdout)["web"].rstrip("/")
    question = {"id": "m1", "text": "When are you open?", "conversation": "c1"}
    assert httpx.post(f"{address}/chat/faq/messages", json=question, timeout=30, trust_env=False).status_code == 202

    def answers() -> str:
        kept = httpx.get(f"{address}/chat/faq/history", params={"conversation": "c1"}, timeout=30, trust_env=False).json()
        return "\n".join(message["text"] for message in kept["messages"] if message["from"] == "bot")

    eventually(lambda: "from nine to five" in answers(), "an answer out of the documents")
    assert "workshop.md#when-are-you-open" in answers()
    assert "do not know" in psv("chat", "faq", "Who painted the Mona Lisa?", cwd=made).stdout
    own = subprocess.run([sys.executable, "-m", "unittest"], cwd=made, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert own.returncode == 0 and "Ran 2 tests" in own.stderr


@pytest.mark.parametrize("made", ["script"], indirect=True)
def test_script_is_kept_running(psv: Psv, made: Path) -> None:
    """Its output is kept, and after a kill it is there again."""
    eventually(lambda: "tick 1" in psv("logs", "main", cwd=made).stdout, "its first line")
    first = json.loads(psv("bot", "list", "--json", cwd=made).stdout)[0]
    assert first["kind"] == "script" and psv("bot", "signal", "main", "-s", "KILL", cwd=made).returncode == 0

    def is_back() -> bool:
        now = json.loads(psv("bot", "list", "--json", cwd=made).stdout)[0]
        return now["state"] == "RUNNING" and now["pid"] != first["pid"]

    eventually(is_back, "the program, started again")
