"""What is typed on a network that readers pull from, and means a button that is shown there: decided here, for all of them.

A number or a label counts while the message with the button is the latest of its conversation, and if it was there to be seen. Only the
lines of a console may be written ahead: a pipe brings them all at once. Everything else is a message: a command first of all, and the
words for which a question waits.
"""

from __future__ import annotations

from processsupervisor.bot.dialogs import Dialogs
from processsupervisor.bot.networks import Networks
from processsupervisor.bot.reply import MAX_LABEL_CHARS
from processsupervisor.chat.consent import command_of
from processsupervisor.connectors.words import index_of
from processsupervisor.storage.database import BotDatabase
from processsupervisor.storage.records import InboxRow, Kind

_CONSOLE = "console"


async def as_press(row: InboxRow, database: BotDatabase, networks: Networks, dialogs: Dialogs) -> InboxRow:
    """Return a message as the press that it means, committed as such; as it is when it means none. Raises StorageError."""
    if not networks.is_pulled(row.place.network) or not _can_mean_one(row) or await dialogs.waits_for_words(row):
        return row
    return await database.press(row, index_of, counts_ahead=row.place.network == _CONSOLE)


def _can_mean_one(row: InboxRow) -> bool:
    if row.kind is not Kind.MESSAGE or row.envelope.attachments or len(row.text) > MAX_LABEL_CHARS:
        return False
    return "\n" not in row.text and command_of(row.text) is None
