"""What of a message has no column of its own, as JSON: its envelope, and the extras of an outgoing one.

Only what differs from the default is written, and nothing at all (NULL) where nothing does. Unknown keys are passed over, so that
a file of the next version of the same schema can be read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import astuple, fields
from typing import Any, Generic, TypeVar

from processsupervisor.storage.records import NO_EXTRAS, PLAIN, Attachment, ButtonRow, Envelope, Extras, FileOut, Markup, RoomKind

T = TypeVar("T", bound=Envelope | Extras)


class _Form(Generic[T]):
    """How one kind of record is written: `default` is what NULL stands for, `read` makes of JSON the values that are none by themselves."""

    def __init__(self, kind: Callable[..., T], default: T, read: Mapping[str, Callable[[Any], object]]) -> None:
        self._kind = kind
        self._default = default
        self._read = read
        self._names = tuple(field.name for field in fields(default))

    def pack(self, record: T) -> str | None:
        """Return the record as JSON, None for the default."""
        default = self._default
        if record is default:
            return None
        found = {name: value for name in self._names if (value := getattr(record, name)) != getattr(default, name)}
        return json.dumps(found, ensure_ascii=False, separators=(",", ":"), default=astuple) if found else None

    def unpack(self, text: str | None) -> T:
        """Return the record that was packed."""
        if text is None:
            return self._default
        found = json.loads(text)
        given = {name: self._read[name](found[name]) if name in self._read else found[name] for name in self._names if name in found}
        return self._kind(**given)


_ENVELOPE = _Form(Envelope, PLAIN, {"room": RoomKind, "attachments": lambda found: tuple(Attachment(*each) for each in found)})
_EXTRAS = _Form(
    Extras,
    NO_EXTRAS,
    {
        "markup": Markup,
        "buttons": lambda found: tuple(tuple(ButtonRow(*button) for button in row) for row in found),
        "files": lambda found: tuple(FileOut(*each) for each in found),
    },
)
pack_envelope, unpack_envelope = _ENVELOPE.pack, _ENVELOPE.unpack
pack_extras, unpack_extras = _EXTRAS.pack, _EXTRAS.unpack
