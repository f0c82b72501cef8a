"""What of a message has no column of its own, as JSON: its envelope, and the extras of an outgoing one.

Only what differs from the default is written, and nothing at all (NULL) where nothing does. Unknown keys are passed over, so that
a file of the next version of the same schema can be read.
"""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import Any

from processsupervisor.storage.records import NO_EXTRAS, PLAIN, Attachment, ButtonRow, Envelope, Extras, FileOut, Markup, RoomKind

_ENVELOPE = ("title", "sender_name", "locale", "is_addressed", "about", "token", "sent_at", "album")
_EXTRAS = ("edits", "quotes", "acknowledges")


def pack_envelope(envelope: Envelope) -> str | None:
    """Return an envelope as JSON, None for the plain one."""
    if envelope is PLAIN:
        return None
    found: dict[str, Any] = {}
    if envelope.room is not PLAIN.room:
        found["room"] = envelope.room.value
    _add_changed(found, envelope, PLAIN, _ENVELOPE)
    if envelope.attachments:
        found["attachments"] = [astuple(attachment) for attachment in envelope.attachments]
    return _json(found)


def unpack_envelope(text: str | None) -> Envelope:
    """Return the envelope that was packed."""
    if text is None:
        return PLAIN
    found = json.loads(text)
    return Envelope(
        room=RoomKind(found.get("room", PLAIN.room)),
        attachments=tuple(Attachment(*each) for each in found.get("attachments", ())),
        **{name: found[name] for name in _ENVELOPE if name in found},
    )


def pack_extras(extras: Extras) -> str | None:
    """Return extras as JSON, None when there are none."""
    if extras is NO_EXTRAS:
        return None
    found: dict[str, Any] = {}
    if extras.markup is not Markup.PLAIN:
        found["markup"] = extras.markup.value
    if extras.buttons:
        found["buttons"] = [[astuple(button) for button in row] for row in extras.buttons]
    if extras.files:
        found["files"] = [astuple(file) for file in extras.files]
    _add_changed(found, extras, NO_EXTRAS, _EXTRAS)
    return _json(found)


def unpack_extras(text: str | None) -> Extras:
    """Return the extras that were packed."""
    if text is None:
        return NO_EXTRAS
    found = json.loads(text)
    return Extras(
        markup=Markup(found.get("markup", Markup.PLAIN)),
        buttons=tuple(tuple(ButtonRow(*button) for button in row) for row in found.get("buttons", ())),
        files=tuple(FileOut(*file) for file in found.get("files", ())),
        **{name: found[name] for name in _EXTRAS if name in found},
    )


def _add_changed(found: dict[str, Any], value: object, default: object, names: tuple[str, ...]) -> None:
    for name in names:
        held = getattr(value, name)
        if held != getattr(default, name):
            found[name] = held


def _json(found: dict[str, Any]) -> str | None:
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")) if found else None
