"""What is sent: one message about one cause, with all bots that it concerns; the same bytes at every try, under the same id."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import NamedTuple, TypedDict

from processsupervisor.observe.redact import redact

_MOST_BOTS = 20
_MOST_CHARACTERS = 1500
"""Discord takes 2,000, Telegram 4,096."""
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


class About(TypedDict):
    """One bot in a message."""

    bot: str
    count: int
    text: str
    first_at: float
    last_at: float


class Message(TypedDict):
    """What a webhook or a command gets as JSON."""

    id: str
    fleet: str
    host: str
    cause: str
    bot: str
    count: int
    at: float
    title: str
    text: str
    bots: list[About]


def compose(fleet: str, host: str, cause: str, gathered: Sequence[Gathered]) -> Message:
    """Return the message about all that was `gathered` of one cause, which is not empty."""
    about: list[About] = [
        {"bot": g.bot, "count": g.times, "text": redact(g.text), "first_at": g.first_at, "last_at": g.last_at} for g in gathered
    ]
    one, many = _WORDS[cause]
    words = one.format(bot=about[0]["bot"] or fleet) if len(about) == 1 else many.format(count=len(about))
    title = f"[{fleet}] {words}"
    lines = [_line(entry) for entry in about[:_MOST_BOTS]]
    if len(about) > _MOST_BOTS:
        lines.append(f"and {len(about) - _MOST_BOTS} more; see psv status")
    text = "\n".join([f"{title} ({host})", *lines])
    return {
        "id": secrets.token_hex(8),
        "fleet": fleet,
        "host": host,
        "cause": cause,
        "bot": about[0]["bot"] if len(about) == 1 else "",
        "count": sum(entry["count"] for entry in about),
        "at": max(entry["last_at"] for entry in about),
        "title": title,
        "text": text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…",
        "bots": about,
    }


def _line(entry: About) -> str:
    name = f"{entry['bot']}: " if entry["bot"] else ""
    times = f" ({entry['count']} times since {_clock(entry['first_at'])})" if entry["count"] > 1 else ""
    return f"{name}{' '.join(entry['text'].split())[:300]}{times}"


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at))
