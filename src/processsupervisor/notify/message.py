"""What is sent: one message about one cause, with all bots that it concerns; the same bytes at every try, under the same id."""

from __future__ import annotations

import secrets
import shlex
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypedDict

from processsupervisor.notify.lastexit import LastExit, Place, words_of
from processsupervisor.observe.redact import redact

MOST_BOTS = 20
_MOST_CHARACTERS = 1500
"""Discord takes 2,000, Telegram 4,096."""
_MOST_OF_A_TITLE = 200
_MOST_OF_A_TEXT = 300
ENDED = frozenset({"failed", "crash-loop", "hang", "oom", "disk", "budget"})
"""Causes that the last exit of a bot explains."""
_TOGETHER_S = 5.0
_WORDS: dict[str, tuple[str, str]] = {
    "failed": ("{bot} has failed", "{count} bots have failed"),
    "crash-loop": ("{bot} ends again and again", "{count} bots end again and again"),
    "hang": ("{bot} hung and is replaced", "{count} bots hung and are replaced"),
    "oom": ("{bot} used up its memory", "{count} bots used up their memory"),
    "deaf": ("{bot} is cut off from its network", "{count} bots are cut off from their network"),
    "disk": ("disk trouble: {bot}", "disk trouble: {count} bots"),
    "budget": ("{bot} has used up its logins", "{count} bots have used up their logins"),
    "recovered": ("{bot} has recovered", "{count} have recovered"),
    "psvd": ("psvd ended, or gives no answer", "psvd ended, or gives no answer"),
    "keeper": ("the keeper is away", "the keeper is away"),
    "test": ("this is a test", "this is a test"),
}


class Gathered(NamedTuple):
    """What was gathered of one bot; `times` from `first_at` to `last_at` (epoch seconds), `text` of the last."""

    bot: str
    times: int
    text: str
    first_at: float
    last_at: float


class Sender(NamedTuple):
    """Which fleet tells, and from where."""

    fleet: str
    host: str
    folder: str


class About(TypedDict):
    """One bot in a message; of its last exit, when that is known and is why."""

    bot: str
    count: int
    text: str
    first_at: float
    last_at: float
    message: str
    exit_code: int | None
    signal: str | None
    exception: Place | None


class Message(TypedDict):
    """What a webhook or a command gets as JSON."""

    id: str
    fleet: str
    host: str
    folder: str
    cause: str
    bot: str
    count: int
    at: float
    title: str
    text: str
    command: str
    bots: list[About]


def compose(sender: Sender, cause: str, gathered: Sequence[Gathered], exits: Mapping[str, LastExit] | None = None) -> Message:
    """Return the message about all that was `gathered` of one cause, which is not empty; `exits` are the last ones of its bots."""
    known = exits or {}
    about = [_about(g, _last(cause, g, known.get(g.bot))) for g in gathered]
    title = f"[{sender.fleet}] {_title(cause, about)}"
    lines = [_line(entry) for entry in about[:MOST_BOTS]]
    if len(about) == 1 and title.endswith(lines[0]):
        lines = []
    if len(about) > MOST_BOTS:
        lines.append(f"and {len(about) - MOST_BOTS} more; see psv status")
    command = _command(sender.folder, cause, about)
    text = "\n".join([f"{title} ({sender.host})", *lines])
    room = _MOST_CHARACTERS - len(command) - 1
    text = text if len(text) <= room else text[: max(0, room - 1)] + "…"
    return {
        "id": secrets.token_hex(8),
        "fleet": sender.fleet,
        "host": sender.host,
        "folder": sender.folder,
        "cause": cause,
        "bot": about[0]["bot"] if len(about) == 1 else "",
        "count": sum(entry["count"] for entry in about),
        "at": max(entry["last_at"] for entry in about),
        "title": title,
        "text": f"{text}\n{command}" if command else text,
        "command": command,
        "bots": about,
    }


def _last(cause: str, gathered: Gathered, last: LastExit | None) -> LastExit | None:
    """Return the last exit when it is why: the bot is FAILED by it, or it came just before what is told."""
    if last is None or cause not in ENDED:
        return None
    return last if last["is_failed"] or abs(gathered.last_at - last["at"]) <= _TOGETHER_S else None


def _about(gathered: Gathered, last: LastExit | None) -> About:
    text = redact(gathered.text)
    if last is not None and (words := words_of(last, text)):
        text = " ".join(text.split())[:_MOST_OF_A_TEXT]
        is_exit = last["exit_code"] is not None or last["signal"] is not None  # else there was no process, or nobody saw its end
        text += f", {words}" if "last exit: " in text else f"; last exit: {words}" if is_exit else f": {words}"
    return {
        "bot": gathered.bot,
        "count": gathered.times,
        "text": text,
        "first_at": gathered.first_at,
        "last_at": gathered.last_at,
        "message": last["message"] if last is not None else "",
        "exit_code": last["exit_code"] if last is not None else None,
        "signal": last["signal"] if last is not None else None,
        "exception": last["exception"] if last is not None else None,
    }


def _title(cause: str, about: Sequence[About]) -> str:
    one, many = _WORDS[cause]
    if len(about) > 1:
        return many.format(count=len(about))
    if about[0]["bot"]:
        return one.format(bot=about[0]["bot"])
    words = " ".join(about[0]["text"].split())[:_MOST_OF_A_TITLE]
    return words if cause == "recovered" else one.format(bot=words)


def _command(folder: str, cause: str, about: Sequence[About]) -> str:
    """Return what to type to see more; empty for what needs no look."""
    if cause in ("recovered", "test"):
        return ""
    what = "ls" if len(about) > 1 else f"bot status {about[0]['bot']}" if about[0]["bot"] else "status"
    return f"psv -C {shlex.quote(folder)} {what}"


def _line(entry: About) -> str:
    name = f"{entry['bot']}: " if entry["bot"] else ""
    times = f" ({entry['count']} times since {_clock(entry['first_at'])})" if entry["count"] > 1 else ""
    return f"{name}{' '.join(entry['text'].split())[: 2 * _MOST_OF_A_TEXT]}{times}"


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))
