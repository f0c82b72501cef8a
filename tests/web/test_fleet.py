"""The list of bots, once and live: what it carries, how seldom psvd is asked, and psvd going away and coming back."""

from __future__ import annotations

import time

from tests.web.webfleet import Fleet, bot_object, wait_for


def test_api_bots_is_bot_list(fleet: Fleet) -> None:
    """GET /api/bots gives psvd's objects unchanged; without psvd it is 503 in one line of JSON."""
    away = fleet.client.get(f"{fleet.url}/api/bots")
    assert (away.status_code, away.json()["code"], "retry-after" in away.headers) == (503, "no-supervisor", True)
    supervisor = fleet.start_supervisor()
    assert fleet.client.get(f"{fleet.url}/api/bots").json() == list(supervisor.bots.values())


def test_first_everything_then_changes(fleet: Fleet) -> None:
    """The first event has all bots with chat and last words; later ones only what changed, a state at once."""
    supervisor = fleet.start_supervisor()
    with fleet.events("/api/events") as events:
        first = next(events)["data"]
        assert (first["supervisor"], first["fleet"], first["full"]) == (True, "demo", True)
        assert [(bot["name"], bot["chat"], "last_log" in bot) for bot in first["bots"]] == [
            ("guide", True, True),
            ("notes", True, True),
            ("legacy", False, True),
        ]
        wait_for("the watch", lambda: "fleet.watch" in supervisor.calls)
        began = time.monotonic()
        supervisor.change("notes", state="RESTARTING", reason="admin")
        change = next(events)["data"]
        assert time.monotonic() - began < 0.9
        assert change["full"] is False
        assert [(bot["name"], bot["state"], bot["reason"]) for bot in change["bots"]] == [("notes", "RESTARTING", "admin")]


def test_one_upstream_for_all_readers(fleet: Fleet) -> None:
    """However many look, psvd is watched once and asked for the list at most once a second; times alone are no news."""
    supervisor = fleet.start_supervisor()
    with fleet.events("/api/events") as one, fleet.events("/api/events") as two:
        assert next(one)["data"] == next(two)["data"]
        began, before = time.monotonic(), supervisor.calls.count("bot.list")
        for number in range(40):
            supervisor.change("guide", uptime_s=float(number), cpu_percent=number / 10)
            supervisor.change("notes", state="RUNNING", memory_bytes=3_000_000 + number)
            time.sleep(0.05)  # 40 changes over two seconds
        lists = supervisor.calls.count("bot.list") - before
        assert supervisor.calls.count("fleet.watch") == 1
        assert lists <= time.monotonic() - began + 1
        changed = next(one)["data"]["bots"]
        assert [bot["name"] for bot in changed] == ["notes"]


def test_supervisor_away_and_back(fleet: Fleet) -> None:
    """When psvd goes the readers are told and keep the list; when it is back they have it live again. Chat goes on."""
    supervisor = fleet.start_supervisor()
    fleet.start_bot("guide")
    with fleet.events("/api/events") as events:
        next(events)
        supervisor.close()
        fleet.supervisor = None
        away = next(events)["data"]
        assert (away["supervisor"], away["bots"]) == (False, [])
        assert fleet.post("guide", {"id": "m1", "text": "still here"}).status_code == 202
        supervisor = fleet.start_supervisor()
        supervisor.change("guide", pid=4712)
        back = next(events)["data"]
        while not any(bot["name"] == "guide" and bot["pid"] == 4712 for bot in back["bots"]):
            back = next(events)["data"]
        assert back["supervisor"] is True


def test_without_supervisor_from_the_start(fleet: Fleet) -> None:
    """With psvd away from the start the bots stand there by name, as the configuration has them."""
    with fleet.events("/api/events") as events:
        first = next(events)["data"]
    assert first["supervisor"] is False
    assert [(bot["name"], bot["state"], bot["chat"]) for bot in first["bots"]] == [
        ("guide", None, True),
        ("notes", None, True),
        ("legacy", None, False),
    ]


def test_bots_come_and_go(fleet: Fleet) -> None:
    """A bot that is new or gone makes a whole list, in psvd's order."""
    supervisor = fleet.start_supervisor()
    with fleet.events("/api/events") as events:
        next(events)
        del supervisor.bots["notes"]
        supervisor.bots["extra"] = bot_object("extra")
        update = next(events)["data"]
        assert update["full"] is True
        assert [bot["name"] for bot in update["bots"]] == ["guide", "legacy", "extra"]


def test_thousand_bots(tmp_path: object, fleet: Fleet) -> None:
    """A list of a thousand bots comes whole, and a change of one is one object."""
    fleet.bots = {f"bot{number:04d}": "native" for number in range(1000)}
    supervisor = fleet.start_supervisor()
    with fleet.events("/api/events") as events:
        assert len(next(events)["data"]["bots"]) == 1000
        wait_for("the watch", lambda: "fleet.watch" in supervisor.calls)
        supervisor.change("bot0500", state="FAILED", reason="oom")
        assert [bot["name"] for bot in next(events)["data"]["bots"]] == ["bot0500"]
