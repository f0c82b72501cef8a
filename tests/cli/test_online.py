"""Laws of `psv doctor --online`, against servers of the test's own: what is asked, what the answers mean, and that no token is ever shown."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from tests.cli.conftest import Psv
from tests.cli.networks import ALL, DISCORD_TOKEN, MATRIX_TOKEN, MODEL_KEY, SLACK_TOKEN, TELEGRAM_TOKEN, Networks, Poller
from tests.cli.test_errors import store
from tests.supervisor.live import eventually

from processsupervisor.cli import networks as asking
from processsupervisor.cli import online
from processsupervisor.cli.credentials import kind_of, parse_bases
from processsupervisor.config.load import load_fleet
from processsupervisor.kernel.errors import UsageError
from processsupervisor.kernel.files import write_json
from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.context import LaunchContext
from processsupervisor.launch.locks import lock_resources

FLEET = f"""
[fleet]
name = "demo"
[bots.ann]
command = ["sleep", "1"]
env_file = "ann.env"
lock = [{{ env = "BOT_TOKEN" }}]
[bots.bob]
command = ["sleep", "1"]
env = {{ DISCORD_TOKEN = "{DISCORD_TOKEN}", SLACK_BOT = "{SLACK_TOKEN}", DISCORD_PUBLIC_KEY = "abc", SECRET_KEY = "no token at all" }}
[bots.cat]
command = ["sleep", "1"]
[bots.cat.env]
LLM_API_KEY = "{MODEL_KEY}"
LLM_BASE_URL = "BASE/local"
LLM_MODEL = "huge"
MATRIX_ACCESS_TOKEN = "{MATRIX_TOKEN}"
MATRIX_HOMESERVER = "BASE/matrix"
"""


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Networks]:
    """The servers; the proxies of the machine are not asked for them."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    found = Networks()
    yield found
    found.close()


@pytest.fixture
def three(folder: Path, servers: Networks) -> Path:
    """A fleet with five credentials in an env file and in env tables."""
    (folder / "fleet.toml").write_text(FLEET.replace("BASE/", servers.base("")))
    (folder / "ann.env").write_text(f"BOT_TOKEN={TELEGRAM_TOKEN}\nANTHROPIC_API_KEY={MODEL_KEY}\n")
    return folder


def bases(servers: Networks, **others: str) -> str:
    kinds = {kind: servers.base(kind) for kind in ("telegram", "discord", "slack", "anthropic")} | others
    return ",".join(f"{kind}={url}" for kind, url in kinds.items())


def ask(psv: Psv, *words: str) -> tuple[int, dict[str, list[tuple[str, str]]]]:
    """Return the status and {check: [(level, found)]} of what was asked online; no output ever holds a token."""
    done = psv("doctor", "--online", "--json", *words)
    assert not [token for token in ALL if token[-12:] in done.stdout + done.stderr]
    rows: dict[str, list[tuple[str, str]]] = {}
    for row in json.loads(done.stdout):
        if ": " in row["check"]:
            rows.setdefault(row["check"], []).append((row["level"], row["found"]))
    return done.returncode, rows


def test_every_token_and_key_is_tried(psv: Psv, three: Path, servers: Networks) -> None:
    """Who each one is, logins left, whether somebody polls, models; found in env_file and env; what is no token is not tried."""
    servers.telegram.updates = []
    status, rows = ask(psv, "--base-url", bases(servers))
    assert rows == {
        "telegram: ann (BOT_TOKEN)": [("ok", "@shop_bot"), ("ok", "nobody polls")],
        "anthropic: ann (ANTHROPIC_API_KEY)": [("ok", "1 models at " + servers.base("").split("/")[2])],
        "discord: bob (DISCORD_TOKEN)": [("ok", "@shop"), ("ok", "990 of 1000 logins left, anew in 2h00m")],
        "slack: bob (SLACK_BOT)": [("ok", "@shop in Acme")],
        "llm: cat (LLM_API_KEY)": [("note", "2 models, and huge is none of them")],
        "matrix: cat (MATRIX_ACCESS_TOKEN)": [("ok", "@shop:example.org")],
    }
    assert status == 0
    assert "telegram: ann (BOT_TOKEN)" in psv("doctor", "--online", "--base-url", bases(servers)).stdout


def test_refused_unreachable_moved_and_dripping(three: Path, servers: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is bad; a server that is not there, redirects or never ends its answer is a note, and all of it ends in time."""
    monkeypatch.setattr(asking, "POLL_S", 0.5)
    servers.refused = {"slack", "matrix"}
    others = {"telegram": "http://127.0.0.1:9", "discord": servers.base("dripping"), "anthropic": servers.base("moved")}
    began = time.monotonic()
    rows = {finding.check: finding for finding in online.ask_all(FleetPaths(three), bases(servers, **others), 1.0)}
    assert time.monotonic() - began < 15
    assert rows["slack: bob (SLACK_BOT)"].level == rows["matrix: cat (MATRIX_ACCESS_TOKEN)"].level == "bad"
    assert rows["telegram: ann (BOT_TOKEN)"][1:3] == ("note", "no answer from 127.0.0.1:9: Connection refused")
    assert rows["discord: bob (DISCORD_TOKEN)"].level == "note"
    assert "302" in rows["anthropic: ann (ANTHROPIC_API_KEY)"].found
    assert not [seen for seen in servers.seen if "elsewhere" in seen]


def test_a_refused_token_is_a_failure(psv: Psv, three: Path, servers: Networks) -> None:
    """Status 1, as of every bad finding."""
    servers.refused, servers.telegram.webhook = {"discord"}, "https://example.org"
    status, rows = ask(psv, "--base-url", bases(servers))
    assert rows["discord: bob (DISCORD_TOKEN)"][0][0] == "bad"
    assert status == 1


@pytest.mark.parametrize(("logins", "level"), [(100, "ok"), (99, "note"), (0, "bad")])
def test_logins_left(three: Path, servers: Networks, logins: int, level: str) -> None:
    """Below a tenth is a note, none at all is bad."""
    servers.logins = logins
    token = asking.Credential("discord", "DISCORD_TOKEN", DISCORD_TOKEN, servers.base("discord"), ("bob",))
    found = asking.look(token, asking.Round(5.0, lambda c: [], lambda bots: 0, lambda c: ""))[-1]
    assert (found.level, found.found) == (level, f"{logins} of 1000 logins left, anew in 2h00m")


def credential(three: Path, servers: Networks) -> asking.Credential:
    return asking.Credential("telegram", "BOT_TOKEN", TELEGRAM_TOKEN, servers.base("telegram"), ("ann",))


def looked(three: Path, servers: Networks) -> list[tuple[str, str]]:
    paths = FleetPaths(three)
    applied = load_fleet(three).applied
    assert applied is not None
    elsewhere = partial(online._elsewhere, applied["bots"])
    round_ = asking.Round(5.0, partial(online._running, paths), partial(online._conflicts, paths), elsewhere)
    return [(finding.level, finding.found) for finding in asking.look(credential(three, servers), round_)]


def test_somebody_else_polls(three: Path, servers: Networks) -> None:
    """Another poller shows, and no update is taken from it or confirmed for it."""
    servers.telegram.updates = []
    other = Poller(servers)
    try:
        assert looked(three, servers)[-1] == ("bad", "somebody else polls")
    finally:
        other.stop()


def test_updates_wait_and_nobody_takes_them(three: Path, servers: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are still there afterwards, all of them."""
    monkeypatch.setattr(asking, "POLL_S", 0.5)
    assert looked(three, servers)[-1] == ("ok", "nobody polls; updates wait")
    assert [update["update_id"] for update in servers.telegram.updates] == [7, 8]


def test_a_webhook_is_named_by_its_host(three: Path, servers: Networks) -> None:
    """Its path may be a secret; nobody is asked who polls."""
    servers.telegram.webhook = "https://hooks.example.org/secret-path"
    level, found = looked(three, servers)[-1]
    assert (level, found) == ("note", "a webhook at hooks.example.org is set, 2 updates wait")
    assert servers.telegram.polls == 0


def test_a_bot_that_runs_is_not_disturbed(three: Path, servers: Networks) -> None:
    """Its own log tells whether somebody else polls."""
    own = Identity.of(os.getpid())
    assert own is not None
    FleetPaths(three).bot_run("ann").mkdir()
    write_json(FleetPaths(three).bot_run("ann") / "lock", own.to_json())
    assert looked(three, servers)[-1] == ("ok", "ann runs on it, without a conflict in its log")
    store(three, "ann", "telegram.error.Conflict: Conflict: terminated by other getUpdates request; make sure that only one bot instance is running\n")
    assert looked(three, servers)[-1] == ("bad", "somebody else polls too: 1 conflicts in the log of ann")
    assert servers.telegram.polls == 0


def test_who_runs_with_it_on_this_machine_is_not_disturbed(three: Path, servers: Networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot of another fleet, known by its lock; the same program under something else: named, without a poll that would send it away."""
    monkeypatch.setenv("PSV_RUNTIME_DIR", str(tmp_path / "runtime"))
    context = LaunchContext({"name": "zoe", "lock": [{"env": "T"}]}, 1, -1, FleetPaths(tmp_path / "other"))
    lock_resources(context, {"T": TELEGRAM_TOKEN})
    held = looked(three, servers)[-1]
    for descriptor in context.kept_fds:
        os.close(descriptor)
    assert held[0] == "bad" and held[1].startswith(f"somebody else has it: bot zoe of the fleet in {tmp_path}/other (pid ")

    program = subprocess.Popen(["sleep", "3599"], cwd=three)
    try:
        (three / "fleet.toml").write_text((three / "fleet.toml").read_text().replace('["sleep", "1"]', '["sleep", "3599"]', 1))
        level, found = eventually(lambda: row if "elsewhere" in (row := looked(three, servers)[-1])[1] else None, "the program is seen")
        assert level == "bad" and f"ann: it runs elsewhere (started by hand, pid {program.pid}); stop it there: kill {program.pid}" in found
    finally:
        program.kill()
        program.wait()
    assert servers.telegram.polls == 0


@pytest.mark.parametrize(("name", "value", "kind"), [
    ("ANYTHING", TELEGRAM_TOKEN, "telegram"), ("X", f"Bot {DISCORD_TOKEN}", "discord"), ("SHOP_TELEGRAM_BOT_TOKEN", "wrong", "telegram"),
    ("DISCORD_PUBLIC_KEY", "abc", None), ("SECRET_KEY", "abc", None), ("OPENAI_API_KEY", "EMPTY", "openai"), ("GROQ_API_KEY", "x", "groq"),
    ("SHOP_API_KEY", "x", None), ("LLM_API_KEY", "x", "llm"), ("MINE_KEY", "x", "mine"), ("OPENAI_API_KEY", "", None), ("SLACK_APP_TOKEN", "xapp-1-x", None),
])  # fmt: skip
def test_kinds(name: str, value: str, kind: str | None) -> None:
    """By the form of the value, else by the name; a key of nobody knows whom is not sent anywhere."""
    assert kind_of(name, value, {"LLM_BASE_URL": "http://x", "SHOP_API_URL": "http://y"}, {"mine": "http://z"}) == kind


@pytest.mark.parametrize("text", ["telegram", "telegram=ftp://x", "=http://x", "Tele gram=http://x"])
def test_a_wrong_base_url_is_refused(psv: Psv, text: str) -> None:
    """With what is expected; --base-url alone is refused too."""
    with pytest.raises(UsageError, match="expected NAME=URL"):
        parse_bases(text)
    assert psv("doctor", "--base-url", "telegram=http://x").returncode == 2


def test_tokens_with_characters_that_no_token_has(three: Path, servers: Networks) -> None:
    """Nothing is sent, and the error does not show them either."""
    odd = asking.Credential("discord", "DISCORD_TOKEN", "abc\r\nX: y", servers.base("discord"), ("bob",))
    (finding,) = asking.look(odd, asking.Round(5.0, lambda c: [], lambda bots: 0, lambda c: ""))
    assert finding.level == "note"
    assert "abc" not in str(finding)
    assert "abc" not in repr(odd)
    assert servers.seen == []

