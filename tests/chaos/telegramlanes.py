"""Lanes on Telegram: a native bot, a peer's own poller bare, the same behind the proxy. The Bot API double counts what people saw.

sendMessage takes a moment as it does at Telegram, half of the time before it is carried out and half of the time behind it: a kill meets
sends that were carried out and ones that were not, and the bot cannot tell which.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.chaos.fleet import ChaosFleet
from tests.chaos.lanes import Bare, Lane, Ledger, Promise, Silence
from tests.chaos.people import Person

from processsupervisor.kernel.identity import Identity
from processsupervisor.testing.botapi.faults import Fault, FaultKind
from processsupervisor.testing.botapi.people import Person as Human
from processsupervisor.testing.botapi.server import BotApi

SEND_TAKES_S = 0.05
_ALWAYS = 1 << 30


def take_time(api: BotApi) -> None:
    """Have every sendMessage take a moment."""
    api.faults.add(Fault(FaultKind.STALL, "sendMessage", times=_ALWAYS, chance=0.5, delay_s=SEND_TAKES_S))
    api.faults.add(Fault(FaultKind.SLOW, "sendMessage", times=_ALWAYS, delay_s=SEND_TAKES_S))


class TelegramLane(Lane):
    """`token` is the network token that the double knows the bot by."""

    def __init__(self, name: str, promise: Promise, people: Sequence[Person], api: BotApi, token: str) -> None:
        super().__init__(name, promise, people)
        self.api = api
        self.token = token
        self._crowd = api.bot(token)
        self._humans = {Human(100 + number, person.name): person for number, person in enumerate(people)}
        self._by_chat = {human.id: person for human, person in self._humans.items()}
        self._taken = 0

    def say(self) -> None:
        for human, person in self._humans.items():
            message_id, text = person.say()
            person.on_accepted(message_id)
            self._crowd.says(text, human)

    def waits(self) -> int:
        with self.api.heard:
            return len(self.api.known(self.token).updates)

    def collect(self) -> None:
        shown = self._crowd.shown[self._taken :]
        self._taken += len(shown)
        for one in shown:
            self._by_chat[one.chat].on_text(one.text)


class NativeTelegram(TelegramLane):
    """A native bot under psv."""

    def __init__(self, promise: Promise, people: Sequence[Person], api: BotApi, token: str, fleet: ChaosFleet, name: str) -> None:
        super().__init__(name, promise, people, api, token)
        self._fleet = fleet
        self._ledger = Ledger(fleet, name)

    def table(self) -> str:
        replies = "at-most-once" if self.promise is Promise.AT_MOST_ONCE else "at-least-once"
        return (
            f'[bots.{self.name}]\nrun = "flight:bot"\nnetworks.telegram = {{ token = "{self.token}", base_url = "{self.api.url}" }}\n'
            f'chat = {{ replies = "{replies}" }}\n'
        )

    def victim(self) -> Identity | None:
        found = self._fleet.bot_process(self.name)
        return found[0] if found is not None else None

    def is_quiet(self) -> bool:
        return not self.waits() and self.victim() is not None and not self._ledger.open_work()

    def marked(self) -> set[tuple[str, int]]:
        return marks(self.people, self._ledger.marked())


class Peer(TelegramLane):
    """A peer's own poller: of itself it never says that it is done, so its silence has to do."""

    patience_s = 0.0

    def __init__(self, name: str, people: Sequence[Person], api: BotApi, token: str) -> None:
        super().__init__(name, Promise.NOTHING, people, api, token)
        self._silence = Silence()

    def say(self) -> None:
        self._silence.broken()
        super().say()

    def collect(self) -> None:
        before = self._taken
        super().collect()
        if self._taken != before or self.waits() or self.victim() is None:
            self._silence.broken()

    def is_quiet(self) -> bool:
        return self._silence.is_long


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

    def __init__(self, name: str, people: Sequence[Person], api: BotApi, token: str, script: str, fleet: ChaosFleet) -> None:
        super().__init__(name, people, api, token)
        self._script = script
        self._fleet = fleet

    def table(self) -> str:
        return (
            f'[bots.{self.name}]\nscript = "{self._script}"\n'
            f'telegram_proxy = {{ token = "{self.token}", env = "BOT_TOKEN", url_env = "BOT_API", url = "{self.api.url}" }}\n'
        )

    def victim(self) -> Identity | None:
        found = self._fleet.bot_process(self.name)
        return found[0] if found is not None else None


def marks(people: Sequence[Person], texts: Sequence[str]) -> set[tuple[str, int]]:
    """Return which answers these texts are."""
    by_name = {person.name: person for person in people}
    found = {(text.partition(" ")[0], text) for text in texts}
    numbers = {(name, by_name[name].number_of(text)) for name, text in found if name in by_name}
    return {(name, number) for name, number in numbers if number is not None}
