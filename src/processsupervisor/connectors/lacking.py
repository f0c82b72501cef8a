"""Says in words what a network lacks: markup is left out, buttons and files become lines of text, an edit becomes a new message.

Used by the engine before a row is committed, and by connectors for rows that hold more all the same (rule 7 of base.py).
"""

from __future__ import annotations

import re
from dataclasses import replace

from processsupervisor.connectors.base import Capabilities
from processsupervisor.storage.records import NO_EXTRAS, ButtonRow, Extras, Markup, Outgoing

_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")


def put_in_words(text: str, extras: Extras, can: Capabilities) -> tuple[str, Extras]:
    """Return text and extras with nothing left in the extras that the network lacks."""
    if extras.markup is not Markup.PLAIN and not can.markup:
        text = _without_tags(text) if extras.markup is Markup.HTML else text
        extras = replace(extras, markup=Markup.PLAIN)
    lines = [text] if text else []
    if extras.buttons and not can.buttons:
        lines += [" ".join(_button(button) for button in row) for row in extras.buttons]
        extras = replace(extras, buttons=())
    if extras.files and not can.files:
        lines += [f"[{file.name}]" for file in extras.files]
        extras = replace(extras, files=())
    if extras.edits is not None and not can.edits:
        extras = replace(extras, edits=None)
    if extras.acknowledges is not None and not can.buttons:
        extras = replace(extras, acknowledges=None)
    return "\n".join(lines), extras


def worded(out: Outgoing, can: Capabilities) -> Outgoing:
    """Return a row that holds nothing which the network lacks."""
    if out.extras is NO_EXTRAS:
        return out
    text, extras = put_in_words(out.text, out.extras, can)
    return replace(out, text=text, extras=extras)


def _button(button: ButtonRow) -> str:
    return f"[{button.label}] {button.url}".rstrip()


def _without_tags(text: str) -> str:
    from html import unescape  # a forked bot pays for each module, and hardly one needs this

    return unescape(_TAG.sub("", text))
