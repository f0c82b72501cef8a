"""The networks of one bot by their names: what each can do, and how committed rows and drafts get to it.

Rows of a network that readers pull from are published; those of one that must be sent to are left to its sender, who is woken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from processsupervisor.connectors.base import Capabilities, Connector
from processsupervisor.storage.records import InboxRow, Outgoing, Place

_ANY = Capabilities(takes_key=True, max_text_chars=300_000, drafts=True)
_READ = ("console", "web")
"""Networks of our own, whose readers find what was written while they were not served."""
_AWAY = Capabilities(max_text_chars=2000)
"""What every network can do: for one that is not served now, whose rows wait."""


class Networks:
    """Routes what goes out. `publish` takes what belongs to no connector here (tests, benchmarks)."""

    def __init__(self, connectors: Sequence[Connector] = (), publish: Callable[[Outgoing], None] | None = None) -> None:
        self._connectors = {connector.network: connector for connector in connectors}
        self._publish = publish
        self.wake: Mapping[str, Callable[[], None]] = {}
        """Wakes the sender of a network; only those that must be sent to have one."""

    def __iter__(self) -> Iterator[Connector]:
        return iter(self._connectors.values())

    def can(self, network: str) -> Capabilities:
        """Return what a network can do."""
        connector = self._connectors.get(network)
        if connector is not None:
            return connector.capabilities
        return _ANY if self.is_pulled(network) else _AWAY

    def is_pulled(self, network: str) -> bool:
        """Tell whether readers take what goes out by themselves."""
        connector = self._connectors.get(network)
        return connector.is_pulled if connector is not None else not self._connectors or network in _READ

    def to_send(self) -> frozenset[str]:
        """Return the networks whose rows must be sent."""
        return frozenset(name for name, connector in self._connectors.items() if not connector.is_pulled)

    def read(self) -> frozenset[str] | None:
        """Return the networks that readers take rows from, None for all that need not be sent to: there is no connector."""
        pulled = (name for name, connector in self._connectors.items() if connector.is_pulled)
        return frozenset((*_READ, *pulled)) if self._connectors else None

    def show(self, out: Outgoing) -> None:
        """Bring a committed row, or a draft, to its network."""
        connector = self._connectors.get(out.place.network)
        if connector is None:
            if self._publish is not None:
                self._publish(out)
        elif connector.is_pulled or (not out.final and connector.capabilities.drafts):
            connector.publish(out)
        elif out.final and (wake := self.wake.get(out.place.network)) is not None:
            wake()

    def show_answer(self, answered: Sequence[InboxRow], rows: Sequence[Outgoing]) -> None:
        """Bring what these messages caused to its networks; who waits for the answer to one that got none hears that there is none."""
        for out in rows:
            self.show(out)
        replied = {out.reply_to for out in rows}
        for row in answered:
            connector = self._connectors.get(row.place.network)
            if row.id not in replied and (tell := getattr(connector, "unanswered", None)) is not None:
                tell(row.place, row.id)

    async def typing(self, place: Place) -> None:
        """Show that an answer is being made."""
        connector = self._connectors.get(place.network)
        if connector is not None:
            await connector.typing(place)
