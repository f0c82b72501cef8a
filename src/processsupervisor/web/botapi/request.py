"""One request of a bot to the Bot API, as it came, and the parameters that the proxy itself has to know."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from urllib.parse import parse_qs

from processsupervisor.web.botapi.upload import Upload
from processsupervisor.web.botapi.values import JSON_TYPE

_LOOKED_AT_BYTES = 1 << 20
"""In a form with files: every library puts the plain fields first."""


@dataclass(frozen=True, slots=True)
class BotRequest:
    """A call of `method`. `body` is passed on byte for byte; with an `upload` it is only the beginning of that."""

    verb: str
    method: str
    query: str
    body: bytes
    content_type: str
    upload: Upload | None = None

    def parameter(self, name: str) -> str:
        """Return a parameter as text (an object as JSON), wherever the library has put it; "" when it was not given."""
        if found := parse_qs(self.query).get(name):
            return found[0]
        match self.content_type.partition(";")[0].strip().lower():
            case "multipart/form-data":
                pattern = rb'name="?%s"?\r\n(?:[^\r\n]+\r\n)*\r\n(.*?)\r\n--' % re.escape(name.encode())
                match = re.search(pattern, self.body[:_LOOKED_AT_BYTES], re.DOTALL)
                return match.group(1).decode(errors="replace") if match else ""
            case "application/x-www-form-urlencoded":
                return parse_qs(self.body.decode(errors="replace")).get(name, [""])[0]
            case kind if kind == JSON_TYPE:
                return self._from_json(name)
        return ""

    def number(self, name: str, default: int) -> int:
        """Return a parameter as a number; the default when it is none."""
        try:
            return int(self.parameter(name))
        except ValueError:
            return default

    def flag(self, name: str) -> bool:
        """Return a parameter as yes or no."""
        return self.parameter(name).strip().lower() in ("true", "yes", "1")

    def _from_json(self, name: str) -> str:
        try:
            values = json.loads(self.body)
        except (ValueError, RecursionError):
            return ""
        value = values.get(name) if isinstance(values, dict) else None
        if value is None:
            return ""
        return value if isinstance(value, str) else json.dumps(value)
