"""Lanes on Telegram: a native bot, a peer's own poller bare, the same behind the proxy. The Bot API double counts what people saw.

sendMessage takes a moment as it does at Telegram, half of the time before it is carried out and half of the time behind it: a kill meets
sends that were carried out and ones that were not, and the bot cannot tell which.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing

from tests.chaos.fleet import ChaosFleet
from tests.chaos.lanes import Bare, Lane, NativeLane, Promise, bot_process
from tests.chaos.people import Person

from processsupervisor.kernel.identity import Identity
from processsupervisor.testing.botapi.faults import Fault, FaultKind
from processsupervisor.testing.botapi.people import Person as Human
from processsupervisor.testing.botapi.server import BotApi

SEND_TAKES_S = 0.1
SILENCE_S = 4.0
"""Of a peer, which says of nothing that it is done: nothing was shown for so long after it began to poll again."""
_ALWAYS = 1 << 30


def take_time(api: BotApi) -> None:
    """Have every sendMessage take a moment."""
    api.faults.add(Fault(FaultKind.STALL, "sendMessage", times=_ALWAYS, chance=0.5, delay_s=SEND_TAKES_S))
    api.faults.add(Fault(FaultKind.SLOW, "sendMessage", times=_ALWAYS, delay_s=SEND_TAKES_S))


class Phones:
    """The people of one lane with their clients of Telegram's. `token` is the network token that the double knows the bot by."""

    def __init__(self, people: Sequence[Person], api: BotApi, token: str) -> None:
        self._account = api.known(token)
        self._crowd = api.bot(token)
        self._heard = api.heard
        self._humans = {Human(100 + number, person.name): person for number, person in enumerate(people)}
        self._by_chat = {human.id: person for human, person in self._humans.items()}
        self._taken = 0

    def say(self) -> None:
        """Have everybody write once."""
        for human, person in self._humans.items():
            message_id, text = person.say()
            person.on_accepted(message_id)
            self._crowd.says(text, human)

    def waits(self) -> int:
        """Return how many updates no offset has confirmed."""
        with self._heard:
            return len(self._account.updates)

    def collect(self) -> bool:
        """Take what was shown since the last time; tells whether anything was."""
        shown = self._crowd.shown[self._taken :]
        self._taken += len(shown)
        for one in shown:
            self._by_chat[one.chat].on_text(one.text)
        return bool(shown)


class NativeTelegram(NativeLane):
    """A native bot under psv."""

    def __init__(self, promise: Promise, people: Sequence[Person], api: BotApi, token: str, fleet: ChaosFleet, name: str) -> None:
        super().__init__(name, promise, people, fleet)
        self._phones = Phones(people, api, token)
        self._network = f'networks.telegram = {{ token = "{token}", base_url = "{api.url}" }}\n'

    def settings(self) -> str:
        replies = "at-most-once" if self.promise is Promise.AT_MOST_ONCE else "at-least-once"
        return f'{self._network}chat = {{ replies = "{replies}" }}\n'

    def say(self) -> None:
        self._phones.say()

    def waits(self) -> int:
        return self._phones.waits()

    def collect(self) -> None:
        self._phones.collect()


class Peer(Lane):
    """A peer's own poller: of itself it never says that it is done, so its silence has to do."""

    patience_s = 0.0

    def __init__(self, name: str, people: Sequence[Person], api: BotApi, token: str) -> None:
        super().__init__(name, Promise.NOTHING, people)
        self._phones = Phones(people, api, token)
        self._silent_since = time.monotonic()

    def say(self) -> None:
        self._silent_since = time.monotonic()
        self._phones.say()

    def waits(self) -> int:
        return self._phones.waits()

    def collect(self) -> None:
        if self._phones.collect() or self.waits() or self.victim() is None:
            self._silent_since = time.monotonic()

    def is_quiet(self) -> bool:
        return time.monotonic() - self._silent_since > SILENCE_S


class BarePeer(Peer):
    """A peer's program without a supervisor but for somebody who starts it again at once."""

    is_bare = True

    def __init__(self, name: str, people: Sequence[Person], api: BotApi, token: str, script: str) -> None:
        super().__init__(name, people, api, token)
        self._program = Bare(script, {"BOT_TOKEN": token, "BOT_API": api.url})

    def table(self) -> str:
        return ""

    def victim(self) -> Identity | None:
        return self._program.identity()

    def tend(self) -> None:
        self._program.tend()

    def close(self) -> None:
        self._program.close()


class ProxiedPeer(Peer):
    """The same program under psv, behind its proxy."""

    def __init__(
        self, name: str, people: Sequence[Person], api: BotApi, token: str, script: str, fleet: ChaosFleet, again: str = "0s"
    ) -> None:
        super().__init__(name, people, api, token)
        self._fleet = fleet
        self._table = (
            f'[bots.{name}]\nscript = "{script}"\n'
            f'telegram_proxy = {{ token = "{token}", env = "BOT_TOKEN", url_env = "BOT_API", url = "{api.url}", again = "{again}" }}\n'
        )

    def table(self) -> str:
        return self._table

    def victim(self) -> Identity | None:
        return bot_process(self._fleet, self.name)

    def waits(self) -> int:
        """See Lane: what the proxy has read ahead waits too, until the program's own offset confirms it."""
        return super().waits() + self._in_backlog()

    def _in_backlog(self) -> int:
        path = self._fleet.paths.bot_data(self.name) / "updates.db"
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=1.0)) as backlog:
                return int(backlog.execute("SELECT count(*) FROM updates WHERE body IS NOT NULL").fetchone()[0])
        except sqlite3.OperationalError:  # not there yet, or just being made
            return 0
