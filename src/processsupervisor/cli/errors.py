"""`psv errors`: the tracebacks in the logs of bots, grouped by the type of the exception and the place where it was raised.

Reads the files themselves, so it works whatever has died. Memory is bounded: MOST_KINDS groups, KEPT_GENERATIONS a bot in each.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from processsupervisor.cli.bots import moment
from processsupervisor.cli.logs import choose, parse_since, read_specs, secrets_of
from processsupervisor.cli.progress import count
from processsupervisor.cli.session import Session
from processsupervisor.cli.table import print_table
from processsupervisor.commands.command import Command
from processsupervisor.kernel.errors import EXIT_OK
from processsupervisor.process.logview import read
from processsupervisor.process.tracebacks import Place, Raised, find_all

MOST_KINDS = 1000
KEPT_GENERATIONS = 20
_SHOWN_BOTS = 3
_SHOWN_GENERATIONS = 3
_HEADER = ("COUNT", "TYPE", "PLACE", "FIRST", "LAST", "BOTS AND GENERATIONS", "LAST MESSAGE")


@dataclass
class Kind:
    """All errors of one type at one place; `bots` holds the newest generations of each bot."""

    type: str
    place: Place
    count: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    message: str = ""
    bots: dict[str, deque[int]] = field(default_factory=dict)

    def add(self, raised: Raised) -> None:
        """Count one."""
        self.first_at = min(self.first_at, raised.at) if self.count else raised.at
        if raised.at >= self.last_at:
            self.last_at, self.message = raised.at, raised.message
        self.count += 1
        generations = self.bots.setdefault(raised.bot, deque(maxlen=KEPT_GENERATIONS))
        if raised.generation not in generations:
            generations.append(raised.generation)

    def to_json(self) -> dict[str, object]:
        """Return the object of docs/reference/json.md."""
        return {
            "type": self.type, "file": self.place.file, "line": self.place.line, "function": self.place.function or None,
            "count": self.count, "first_at": self.first_at, "last_at": self.last_at, "message": self.message,
            "bots": {bot: sorted(generations) for bot, generations in self.bots.items()},
        }  # fmt: skip


class Tally:
    """Kinds of errors, and how many errors were of kinds beyond the limit."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, int], Kind] = {}
        self.left_out = 0

    def add(self, raised: Raised) -> None:
        """Count one error."""
        key = raised.type, raised.place.file, raised.place.line
        kind = self._kinds.get(key)
        if kind is None:
            if len(self._kinds) >= MOST_KINDS:
                self.left_out += 1
                return
            kind = self._kinds[key] = Kind(raised.type, raised.place)
        kind.add(raised)

    def kinds(self) -> list[Kind]:
        """Return the kinds, the most frequent first, of equal ones the latest."""
        return sorted(self._kinds.values(), key=lambda kind: (-kind.count, -kind.last_at))


def errors(session: Session, command: Command, *, names: list[str], type: str | None, since: str) -> int:
    """Print the kinds of errors."""
    specs = read_specs(session.paths)
    chosen = choose(session.paths, specs, names, type)
    since_s = parse_since(since, time.time())
    tally = Tally()
    for bot in chosen:  # one after the other: no order between bots is needed, and the files of one are enough to hold open
        for raised in find_all(read(session.paths, [bot], since_s=since_s, colour=True, secrets=secrets_of(session.paths, specs, [bot]))):
            tally.add(raised)
    kinds = tally.kinds()
    if session.as_json:
        session.print_json([kind.to_json() for kind in kinds])
    elif kinds:
        print_table(_HEADER, [_row(kind, session.paths.folder) for kind in kinds], right=("COUNT",))
    else:
        session.note(f"no traceback in the logs of {count(len(chosen))} since {since}")
    if tally.left_out:
        session.note(f"{tally.left_out} errors of further kinds are not listed; name bots, or a shorter --since")
    return EXIT_OK


def _row(kind: Kind, folder: Path) -> tuple[str, ...]:
    place = f"{kind.place.file.removeprefix(f'{folder}/')}:{kind.place.line}"
    return (str(kind.count), kind.type, place, moment(kind.first_at), moment(kind.last_at), _who(kind.bots), kind.message)


def _who(bots: dict[str, deque[int]]) -> str:
    shown = [f"{bot} {_some(sorted(generations))}" for bot, generations in list(bots.items())[:_SHOWN_BOTS]]
    more = f" and {len(bots) - _SHOWN_BOTS} more" if len(bots) > _SHOWN_BOTS else ""
    return ", ".join(shown) + more


def _some(generations: list[int]) -> str:
    last = generations[-_SHOWN_GENERATIONS:]
    return ("…" if len(last) < len(generations) else "") + " ".join(map(str, last))
