"""Whose numbers a bot's database holds: when a token is replaced by one of another bot, those of the former one mean nothing any more.

Each bot of Telegram counts messages and updates for itself. With the former one's offset updates of the new one would be confirmed
unread, and its first messages would be taken for repeats of the former one's. Of a database that was put in another's place (`psv bot
restore`) nobody knows whose numbers it holds, nor from when its offset is: then nothing is taken for this bot's.
"""

from __future__ import annotations

from pathlib import Path

from processsupervisor.kernel.files import read_json, write_json

_UNKNOWN = 0


class Former:
    """A small file beside the database: the first bot that was received here, and the last. `has_past`: there is an offset already."""

    def __init__(self, path: Path, bot_id: int, has_past: bool) -> None:
        self._path = path
        self._bot_id = bot_id
        content = read_json(path)
        found = content if isinstance(content, dict) else {}
        unsaid = _UNKNOWN if has_past else bot_id
        self._first, self._last = found.get("first", unsaid), found.get("last", unsaid)
        if not found:
            self._write()

    @property
    def prefix(self) -> str:
        """Return what stands before the ids of messages: nothing for the first bot."""
        return "" if self._first == self._bot_id else f"{self._bot_id}."

    @property
    def is_other(self) -> bool:
        """Tell whether the stored offset is another bot's, or of another time."""
        return bool(self._last != self._bot_id)

    def settled(self) -> None:
        """The stored offset is this bot's from now on."""
        if self.is_other:
            self._last = self._bot_id
            self._write()

    def _write(self) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._path, {"first": self._first, "last": self._last})
        except OSError:
            pass  # a full disk: the next life finds it as it was, and reads what it has read once more
