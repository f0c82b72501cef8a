"""What crosses the double's modules: JSON objects, uploaded files, and the error that a method answers with."""

from __future__ import annotations

import time
from dataclasses import dataclass

from processsupervisor.kernel.errors import PsvError

Json = dict[str, object]
"""An object of the Bot API, as https://core.telegram.org/bots/api describes it."""

MAX_TEXT_UNITS = 4096
MAX_CAPTION_UNITS = 1024
MAX_DATA_BYTES = 64
_FIRST_DAY_S = 1_735_689_600


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that a bot sent with a method."""

    name: str
    mime: str
    content: bytes


class Rejected(PsvError):
    """A method that the Bot API answers with `{"ok": false}`. `message` is the description, word for word Telegram's."""

    code = "botapi-rejected"

    def __init__(self, status: int, description: str, *, retry_after_s: int | None = None, migrate_to: int | None = None) -> None:
        super().__init__(description)
        self.status = status
        self.retry_after_s = retry_after_s
        self.migrate_to = migrate_to

    @property
    def answer(self) -> Json:
        """Return the body of the response."""
        parameters: Json = {}
        if self.retry_after_s is not None:
            parameters["retry_after"] = self.retry_after_s
        if self.migrate_to is not None:
            parameters["migrate_to_chat_id"] = self.migrate_to
        found: Json = {"ok": False, "error_code": self.status, "description": self.message}
        return found | {"parameters": parameters} if parameters else found


def numbers_before() -> int:
    """Return how many numbers a double takes for given away: one a second since 2025, so that those of a later one are none of its own.

    A bot that has seen them takes a number that comes again for a repeat of what it has handled.
    """
    return max(0, int(time.time()) - _FIRST_DAY_S)


def bad_request(description: str) -> Rejected:
    """Return the error of a request that makes no sense to Telegram."""
    return Rejected(400, f"Bad Request: {description}")


def utf16_units(text: str) -> int:
    """Return the length of a text as Telegram counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
