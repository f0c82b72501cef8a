"""Seven real bots that know nothing of psv, in one fleet that `psv adopt` wrote: ready, answer, heartbeat, kill -9, stop, memory.

No byte of them is changed, their networks are doubles that speak the real protocols. What an operator adds by hand to what adopt
wrote is in `_by_hand`: a readiness that only he can know, and the signal that a bot ends well on.
"""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import signal
import socket
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import tomlkit
from tests.cli.conftest import PSV, environment
from tests.doubles.discord import make_venv
from tests.supervisor.live import LiveFleet, eventually
from tests.unchanged.crew import EXAMPLES, KINDS, Kind, Networks, networks

pytestmark = pytest.mark.slow
PATIENCE_S = 20.0
_FOUND_BY_ADOPT = {"aiogram-bot", "ptb-bot"}
each = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@dataclass
class Crew:
    """The fleet, and the networks it is on."""

    fleet: LiveFleet
    networks: Networks
    adopted: dict[str, dict[str, object]]
    """The bots as adopt wrote them, before anything was added by hand."""

    def psv(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the real command in the fleet's folder; it must succeed."""
        done = subprocess.run(
            [*PSV, *words],
            cwd=self.fleet.folder,
            env=environment(PSV_RUNTIME_DIR=os.environ["PSV_RUNTIME_DIR"]),
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, f"psv {' '.join(words)}: {done.stdout}{done.stderr}"
        return done


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    """All seven, adopted and up; the fleet and the doubles are gone afterwards."""
    base = tmp_path_factory.mktemp("unchanged")
    folder = base / "bots"
    shutil.copytree(EXAMPLES, folder)
    with networks() as found, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PSV_RUNTIME_DIR", str(base / "runtime"))
        for kind in KINDS:
            lines = [f"{name}={value}\n" for name, value in found.environment(kind, 0, _unused_port).items()]
            (folder / kind.name / ".env").write_text("".join(lines))
        make_venv(folder / "discord-bot" / ".venv")
        crew = Crew(LiveFleet(folder), found, {})
        try:
            crew.psv("adopt", *(f"{kind.name}/main.py" for kind in KINDS))
            crew.adopted = tomllib.loads((folder / "fleet.toml").read_text())["bots"]
            _by_hand(folder)
            crew.psv("up", "--detach", "--wait")
            yield crew
            crew.psv("down")
        finally:
            crew.fleet.stop()


def _by_hand(folder: Path) -> None:
    """Add to fleet.toml what adopt cannot read out of the source."""
    config = tomlkit.parse((folder / "fleet.toml").read_text())
    for kind in KINDS:
        bot = config["bots"][kind.name]  # type: ignore[index]
        port = dict(line.split("=", 1) for line in (folder / kind.name / ".env").read_text().splitlines()).get("PORT", "")
        if kind.name not in _FOUND_BY_ADOPT:
            bot.update(tomlkit.parse(f"ready = {kind.ready.format(port=port) if port else kind.ready}"))  # type: ignore[union-attr]
        if kind.stop_signal != "TERM":
            bot.update(tomlkit.parse(f'stop = {{ signal = "{kind.stop_signal}" }}'))  # type: ignore[union-attr]
        if port:
            bot.update(tomlkit.parse(f'health = {{ http = "http://127.0.0.1:{port}/healthz", every = "1s" }}'))  # type: ignore[union-attr]
    (folder / "fleet.toml").write_text(tomlkit.dumps(config))


def _unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@each
def test_it_runs_as_it_is(crew: Crew, kind: Kind) -> None:
    """Adopted as a script, forked from a zygote, ready by its own sign; its file is the one in examples/ to the byte."""
    bot = crew.fleet.until(kind.name, state="RUNNING")
    assert (bot["kind"], crew.fleet.detail(kind.name)["via"].split()[0]) == ("script", "zygote")
    eventually(lambda: crew.fleet.bot(kind.name)["health"] == "healthy", "it is healthy, Flask by its page", PATIENCE_S)
    assert crew.adopted[kind.name]["env_file"] == f"{kind.name}/.env"
    assert ("ready" in crew.adopted[kind.name]) == (kind.name in _FOUND_BY_ADOPT)
    assert filecmp.cmp(EXAMPLES / kind.name / "main.py", crew.fleet.folder / kind.name / "main.py", shallow=False)


@each
def test_it_answers(crew: Crew, kind: Kind) -> None:
    """A person writes to it on its network and has the answer there."""
    crew.fleet.until(kind.name, state="RUNNING")
    _is_listening(crew, kind)
    crew.networks.answers(kind, 0, "good morning", PATIENCE_S)


@each
def test_the_event_loop_beats_where_there_is_one(crew: Crew, kind: Kind) -> None:
    """asyncio in the main thread has a pulse; threads, a synchronous loop and Flask have none (docs/howto/hung-bots.md)."""
    crew.fleet.until(kind.name, state="RUNNING")
    if kind.has_loop:
        first = eventually(lambda: crew.fleet.detail(kind.name)["beat_age_s"] is not None, "it beats", PATIENCE_S)
        assert first and crew.fleet.detail(kind.name)["lag_s"] is not None
    else:
        assert crew.fleet.detail(kind.name)["beat_age_s"] is None


@each
def test_killed_it_is_back_and_answers(crew: Crew, kind: Kind) -> None:
    """kill -9: the next generation is ready and does its work; at no time did two of them poll with one token."""
    before = crew.fleet.until(kind.name, state="RUNNING")
    os.kill(before["pid"], signal.SIGKILL)
    after = eventually(
        lambda: (b := crew.fleet.bot(kind.name))["generation"] > before["generation"] and b["state"] == "RUNNING" and b,
        "it is back",
        PATIENCE_S,
    )
    assert after["pid"] != before["pid"]
    last = crew.fleet.detail(kind.name)["last_exit"]
    assert (last["reason"], last["signal"], last["generation"]) == ("signal", "SIGKILL", before["generation"])
    _is_listening(crew, kind)
    crew.networks.answers(kind, 0, f"are you there, {after['generation']}?", PATIENCE_S)
    assert not crew.networks.telegram.conflicts


@each
def test_it_stops_in_its_time(crew: Crew, kind: Kind) -> None:
    """Asked by the signal that it listens to, it ends by itself and takes its leave of the network; it can be started again."""
    before = crew.fleet.until(kind.name, state="RUNNING")
    _is_listening(crew, kind)
    crew.psv("stop", kind.name)
    crew.fleet.until(kind.name, state="STOPPED")
    last = crew.fleet.detail(kind.name)["last_exit"]
    assert (last["reason"], last["generation"]) == ("admin", before["generation"])
    assert kind.ends_with in (last["exit_code"], last["signal"])
    assert crew.fleet.copies(kind.name) == []
    farewell = {"discord": (crew.networks.discord, 1000), "irc": (crew.networks.irc, "bye")}.get(kind.network)
    if farewell is not None:
        network, word = farewell
        eventually(lambda: network.closed[crew.networks.token(kind, 0)][-1:] == [word], "the network was told", PATIENCE_S)
    assert json.loads(crew.psv("start", kind.name, "--json").stdout)[0]["state"] == "RUNNING"


def test_the_memory_of_each_is_known(crew: Crew) -> None:
    """`psv ls` shows it for every kind of them, a few seconds after the start at the latest."""
    for kind in KINDS:
        shown = eventually(lambda: crew.fleet.bot(kind.name)["memory_bytes"], f"the memory of {kind.name} was taken", PATIENCE_S)
        assert 1 << 20 < shown < 200 << 20


def _is_listening(crew: Crew, kind: Kind) -> None:
    """Wait until the present generation is on a network that keeps nothing for later; Telegram does."""
    if kind.network != "telegram":
        generation = crew.fleet.bot(kind.name)["generation"]
        crew.networks.of(kind).wait_for_ready(crew.networks.token(kind, 0), generation, PATIENCE_S)
