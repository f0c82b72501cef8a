"""Which bots are forked by an older zygote than the present one of their set, and why: what keeps last good running.

While a rollout is not finished, two zygotes of one set live: the old one, which is known to work, and the fresh one. A bot
that is pinned comes from the old one at each start, also when the zygote's files have changed on disk. Pins are not kept
on disk: a new psvd finds them in the bots' records (`via`) and the zygotes that run.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

UNFINISHED = "the rollout has not come to it"
_VIA = "zygote "


def via_of(key: str) -> str:
    """Return how a handle names its origin when that is the zygote `key`."""
    return _VIA + key


def key_of(via: str) -> str:
    """Return the zygote key in a handle's origin, empty when the bot was not forked."""
    return via.removeprefix(_VIA) if via.startswith(_VIA) else ""


def split_key(key: str) -> tuple[str, int]:
    """Return the set and the epoch of a zygote key; raises ValueError for anything else."""
    base, _, epoch = key.rpartition("-")
    return base, int(epoch)


@dataclass(frozen=True, slots=True)
class Pin:
    """One bot's tie to an older zygote; `why` is shown in the bot's notes."""

    key: str
    why: str


@dataclass(slots=True)
class Pins:
    """All pins by bot, and the zygotes that a running rollout keeps although no bot may be pinned to them now."""

    by_bot: dict[str, Pin] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)

    def tie(self, bot: str, key: str, why: str) -> None:
        """Let the starts of `bot` come from the zygote `key`."""
        self.by_bot[bot] = Pin(key, why)

    def drop(self, bot: str) -> None:
        """Let the next start of `bot` come from the present zygote."""
        self.by_bot.pop(bot, None)

    def drop_zygotes(self, keys: Iterable[str]) -> None:
        """Forget zygotes that are gone or done with, and every pin to them."""
        gone = set(keys)
        self.held -= gone
        self.by_bot = {bot: pin for bot, pin in self.by_bot.items() if pin.key not in gone}

    def key(self, bot: str) -> str | None:
        """Return the zygote that `bot` is tied to."""
        pin = self.by_bot.get(bot)
        return pin.key if pin is not None else None

    def needed(self) -> set[str]:
        """Return every zygote that must live on."""
        return self.held | {pin.key for pin in self.by_bot.values()}
