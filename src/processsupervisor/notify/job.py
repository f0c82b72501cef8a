"""What a sending process is given, and what it answers: JSON on its stdin and stdout."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from processsupervisor.config.spec import NotifySpec
from processsupervisor.notify.message import Message


class Job(TypedDict):
    """What is to be done: `message` to `channel`, or with `heartbeat` a GET of that address."""

    folder: str
    timeout_s: float
    channel: NotifySpec | None
    message: Message | None
    heartbeat: str | None


class Result(TypedDict):
    """How it went; `said` holds no secret, `retry_after_s` is what the server asked for, or 0.

    `left`: the addresses of a mail that it was not taken for, while it was for the others.
    """

    ok: bool
    said: str
    retry_after_s: float
    left: NotRequired[list[str]]
