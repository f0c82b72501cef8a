"""The parameters of one method: from a query, a form, a multipart form or a JSON body, all read in the same way.

Forms carry everything as text and objects as JSON text; a JSON body carries values. What cannot be read is a 400, as at Telegram.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from processsupervisor.testing.botapi.values import Json, Upload, bad_request


class Params:
    """One request's parameters; `uploads` are the files that came with it, by the name of their field."""

    def __init__(self, values: Mapping[str, object], uploads: Mapping[str, Upload] | None = None) -> None:
        self._values = values
        self._uploads = dict(uploads or {})

    @property
    def values(self) -> Json:
        """Return a copy of everything but the files."""
        return dict(self._values)

    def has(self, name: str) -> bool:
        """Tell whether a parameter was given and is not empty."""
        return self._values.get(name) not in (None, "")

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter as text."""
        value = self._values.get(name)
        return default if value is None else str(value)

    def integer(self, name: str, default: int = 0) -> int:
        """Return a parameter as a number; what is none is taken for 0, as Telegram does."""
        value = self._values.get(name)
        if value is None or isinstance(value, bool):
            return default
        try:
            return int(str(value).strip())
        except ValueError:
            return 0 if str(value).strip() else default

    def flag(self, name: str) -> bool:
        """Return a parameter as yes or no."""
        return str(self._values.get(name, "")).strip().lower() in ("true", "yes", "1")

    def mapping(self, name: str) -> Json:
        """Return a parameter that is a JSON object; empty when it was not given. Raises Rejected."""
        value = self._parsed(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise bad_request(f"can't parse {name}: expected an Object")
        return value

    def array(self, name: str) -> list[object] | None:
        """Return a parameter that is a JSON array; None when it was not given. Raises Rejected."""
        value = self._parsed(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise bad_request(f"can't parse {name}: expected an Array")
        return value

    @property
    def uploads(self) -> dict[str, Upload]:
        """Return every file that came along."""
        return self._uploads

    def upload(self, name: str) -> Upload | None:
        """Return the file of a field: sent as the field itself or, by `attach://FIELD`, as another one."""
        value = self._values.get(name)
        if isinstance(value, str) and value.startswith("attach://"):
            return self._uploads.get(value.removeprefix("attach://"))
        return self._uploads.get(name)

    def _parsed(self, name: str) -> object:
        value = self._values.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            return value
        try:
            parsed: object = json.loads(value)
            return parsed
        except ValueError as err:
            raise bad_request(f"can't parse {name} JSON object") from err
