"""What has no column of its own comes back as it was, costs nothing where it is the default, and outlives the next version's keys."""

from __future__ import annotations

import json

import pytest

from processsupervisor.storage.encoding import pack_envelope, pack_extras, unpack_envelope, unpack_extras
from processsupervisor.storage.records import (
    NO_EXTRAS,
    PLAIN,
    Attachment,
    ButtonRow,
    Envelope,
    Extras,
    FileOut,
    Markup,
    RoomKind,
)

FULL = Envelope(
    RoomKind.GROUP, "Team", "Ada", "de", False, "7", "token", 1.5, (Attachment("photo", "a.png", "image/png", None, "ref"),),
)  # fmt: skip
RICH = Extras(
    Markup.HTML, ((ButtonRow("a", "b"), ButtonRow("c", "", "http://x")), (ButtonRow("d", "e"),)), (FileOut("files/x", "x", "text/plain"),), "r1", "7", "t"
)  # fmt: skip


@pytest.mark.parametrize("envelope", [PLAIN, Envelope(), Envelope(title="Ä"), FULL])
def test_an_envelope_comes_back(envelope):
    assert unpack_envelope(pack_envelope(envelope)) == envelope
    assert (pack_envelope(envelope) is None) == (envelope == PLAIN)


@pytest.mark.parametrize("extras", [NO_EXTRAS, Extras(), Extras(quotes="7"), RICH])
def test_extras_come_back(extras):
    assert unpack_extras(pack_extras(extras)) == extras
    assert (pack_extras(extras) is None) == (extras == NO_EXTRAS)


def test_it_stands_there_as_it_always_did():
    """Files that exist are read by it, so the words and their order in a list may not change."""
    assert json.loads(pack_envelope(FULL)) == {
        "room": "group", "title": "Team", "sender_name": "Ada", "locale": "de", "is_addressed": False, "about": "7", "token": "token",
        "sent_at": 1.5, "attachments": [["photo", "a.png", "image/png", None, "ref"]],
    }  # fmt: skip
    assert json.loads(pack_extras(RICH)) == {
        "markup": "html", "buttons": [[["a", "b", ""], ["c", "", "http://x"]], [["d", "e", ""]]],
        "files": [["files/x", "x", "text/plain", "document"]], "edits": "r1", "quotes": "7", "acknowledges": "t",
    }  # fmt: skip


def test_keys_of_a_later_version_are_passed_over():
    assert unpack_envelope('{"later":1,"title":"x"}') == Envelope(title="x") and unpack_extras('{"later":1}') == NO_EXTRAS
