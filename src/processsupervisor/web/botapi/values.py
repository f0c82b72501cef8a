"""What crosses the modules of the proxy: JSON objects of the Bot API, what Telegram answered, and the errors that a bot is told."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from processsupervisor.kernel.errors import PsvError

Json = dict[str, object]
"""An object of the Bot API, as https://core.telegram.org/bots/api describes it."""

TOKEN = re.compile(r"\d{1,20}:[A-Za-z0-9_-]{1,128}")
JSON_TYPE = "application/json"


class Told(PsvError):
    """An error that the bot is told in the words and the shape of the Bot API. Never holds the real token."""

    code = "telegram-proxy"

    def __init__(self, status: int, description: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(description)
        self.status = status
        self.retry_after_s = retry_after_s

    @property
    def body(self) -> bytes:
        """Return the body of the response."""
        answer: Json = {"ok": False, "error_code": self.status, "description": self.message}
        if self.retry_after_s is not None:
            answer["parameters"] = {"retry_after": self.retry_after_s}
        return json.dumps(answer, ensure_ascii=False).encode()


class Unreachable(Told):
    """Telegram could not be asked, or did not answer; whether it has carried anything out is unknown."""

    def __init__(self, why: str) -> None:
        super().__init__(502, f"Bad Gateway: Telegram did not answer ({why})")


@dataclass(frozen=True, slots=True)
class Answer:
    """What Telegram said: the status and the body as it came."""

    status: int
    body: bytes
    content_type: str = JSON_TYPE

    @property
    def json(self) -> Json:
        """Return the body as an object; empty when it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def is_ok(self) -> bool:
        """Tell whether the method was carried out."""
        return self.json.get("ok") is True

    @property
    def description(self) -> str:
        """Return what Telegram says of an error."""
        return str(self.json.get("description") or f"Telegram answered with status {self.status}")

    @property
    def retry_after_s(self) -> float:
        """Return how long to wait, 0.0 when nothing is said."""
        parameters = self.json.get("parameters")
        seconds = parameters.get("retry_after") if isinstance(parameters, dict) else None
        return float(seconds) if isinstance(seconds, int | float) else 0.0
