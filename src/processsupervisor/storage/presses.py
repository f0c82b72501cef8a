"""A typed text that means a button of the latest message of its conversation becomes the press of it, for ever.

What is shown is read from the outbox, so that every life of the bot knows it; what was typed then stands in the inbox as a press, so
that a second try, the next life and a replayed letter handle the same. A conversation whose latest message has no buttons is
remembered, and costs nothing until one has.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from processsupervisor.storage.encoding import pack_envelope, unpack_extras
from processsupervisor.storage.jobs import Jobs, Submits
from processsupervisor.storage.records import InboxRow, Kind, Place, Reply

Choose = Callable[[str, Sequence[str]], int | None]
"""Tells which of the labels a text means."""
_KNOWN = 2000  # as many as the database remembers claims
_LATEST = (
    "SELECT id, extras, created_at FROM outbox WHERE conversation = ? AND network = ? AND (text <> '' OR extras IS NOT NULL) "
    "ORDER BY seq DESC LIMIT 1"
)
_BECOME = "UPDATE inbox SET kind = ?, text = ?, envelope = ? WHERE id = ? AND state = 0"


class PressJobs(Jobs):
    """Remembers where no button is shown: only a cache, the outbox decides."""

    def __init__(self, path: Path, *, exclusive: bool = False, writer: Submits | None = None) -> None:
        super().__init__(path, exclusive=exclusive, writer=writer)
        self._buttonless: OrderedDict[Place, None] = OrderedDict()
        self._button_turns = 0
        """Raised with each message with buttons that is written: an answer from before is too old to be remembered."""

    def may_show_buttons(self, place: Place) -> bool:
        """Tell whether the latest message there may have buttons."""
        return place not in self._buttonless

    def note_buttons(self, place: Place, replies: Iterable[Reply]) -> None:
        """Note what is about to be written."""
        for reply in replies:
            if reply.extras.buttons:
                self._buttonless.pop(place, None)
                self._button_turns += 1

    async def press(self, row: InboxRow, choose: Choose, *, counts_ahead: bool) -> InboxRow:
        """Commit an open message as the press of the button that it means, and return that; the row as it is when it means none.

        `counts_ahead`: also when it was said before the button was there to be seen.
        """
        turns = self._button_turns
        pressed = await self.run(lambda db: press(db, row, choose, counts_ahead))
        if pressed is None and turns == self._button_turns:
            self._buttonless[row.place] = None
            if len(self._buttonless) > _KNOWN:
                self._buttonless.popitem(last=False)
        return pressed or row


def press(connection: sqlite3.Connection, row: InboxRow, choose: Choose, counts_ahead: bool) -> InboxRow | None:
    """Return the message as a press, or as it is; None where the latest message has no buttons."""
    found = connection.execute(_LATEST, (row.place.conversation, row.place.network)).fetchone()
    if found is None:
        return None
    out_id, extras, created_at = found[0], unpack_extras(found[1]), found[2]
    buttons = [button for line in extras.buttons for button in line if button.data]
    if not buttons:
        return None
    if created_at > row.received_at and not counts_ahead:
        return row
    index = choose(row.text, [button.label for button in buttons])
    if index is None:
        return row
    about = out_id if extras.edits is None else extras.edits.removeprefix("net:")  # the message that stands there, not what changed it
    pressed = replace(row, kind=Kind.BUTTON, text=buttons[index].data, envelope=replace(row.envelope, about=about, said=row.text))
    connection.execute(_BECOME, (pressed.kind.value, pressed.text, pack_envelope(pressed.envelope), row.row_id))
    return pressed
