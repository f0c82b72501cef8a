"""The network in memory that users test with: it keeps the same law as the real ones."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.storage.records import Kind, Place, RoomKind
from processsupervisor.testing.connector import MemoryConnector
from processsupervisor.testing.connectorlaw import ConnectorLaw, cases_of
from processsupervisor.testing.lawrig import MOVED_TO, RETRY_AFTER_S, Ability, Mishap
from processsupervisor.testing.network import MemoryNetwork, incoming_of

ABILITIES = frozenset(Ability) - {Ability.PULLS, Ability.RESUMES, Ability.REFUSES}
GROUP = "team"


class MemoryRig:
    """One person at a MemoryNetwork."""

    def __init__(self) -> None:
        self.network = MemoryNetwork()
        self.place = Place("memory", "ada")

    def connect(self, folder: Path) -> MemoryConnector:
        return MemoryConnector(self.network, folder)

    async def say(self, text: str, *, to: str = "") -> str:
        self.last = self.network.next_id()
        self._bring(to or "ada", self.last, Kind.MESSAGE, text)
        return self.last

    def _bring(self, conversation: str, message_id: str, kind: Kind, text: str, **envelope) -> None:
        self.latest = incoming_of(self.network.chat(conversation), message_id, "ada", text, kind, **envelope)
        self.network.bring(self.latest)

    def shown(self, *, to: str = "") -> list[str]:
        return [look.text for look in self.network.chat(to or "ada").looks]

    async def repeat(self) -> None:
        self.network.bring(self.latest)

    def acknowledged(self) -> int:
        return self.network.taken

    def befall(self, mishap: Mishap) -> None:
        fail = self.network.fail
        match mishap:
            case Mishap.AUTH:
                fail(ErrorKind.AUTH)
            case Mishap.RATE:
                fail(ErrorKind.RATE, retry_after_s=RETRY_AFTER_S)
            case Mishap.SERVER | Mishap.CUT_BEFORE:
                fail(ErrorKind.TRANSIENT)
            case Mishap.CUT_AFTER:
                fail(ErrorKind.TRANSIENT, is_taken=True)
            case Mishap.REFUSED:
                fail(ErrorKind.PERMANENT)
            case Mishap.BLOCKED:
                fail(ErrorKind.GONE)
            case Mishap.MOVED:
                fail(ErrorKind.GONE, moved_to=MOVED_TO)

    def deny(self, kind: ErrorKind) -> None:
        self.network.deny(NetworkError(kind, f"memory: {kind}"))

    def calls(self) -> int:
        return self.network.calls

    async def say_in_group(self, text: str) -> None:
        chat = self.network.chat(GROUP)
        text = text.replace("@BOT", "@bot")
        self._bring(GROUP, self.network.next_id(), Kind.MESSAGE, text, is_addressed=self.network.speaks_to_bot(chat, text, None))

    async def join(self) -> None:
        self.network.chat(GROUP, RoomKind.GROUP, "The team")
        self._bring(GROUP, f"s{self.network.next_id()}", Kind.JOINED, "")

    async def leave(self) -> None:
        self._bring(GROUP, f"s{self.network.next_id()}", Kind.LEFT, "")

    async def edit(self, text: str) -> None:
        self._bring("ada", f"e{self.network.next_id()}", Kind.EDIT, text, about=self.last)

    async def press(self, label: str) -> None:
        shown = list(self.network.chat("ada").messages.values())[-1]
        token = self.network.next_id()
        self._bring("ada", f"b{token}", Kind.BUTTON, shown.data_of(label), about=shown.id, token=token)

    async def send_file(self, name: str, content: bytes, text: str) -> None:
        file = self.network.attach("document", name, "application/octet-stream", content)
        self._bring("ada", self.network.next_id(), Kind.MESSAGE, text, attachments=(file,))

    def files(self) -> dict[str, bytes]:
        return {file.name: file.content for shown in self.network.chat("ada").messages.values() for file in shown.files}

    def buttons(self) -> list[str]:
        return [label for row in list(self.network.chat("ada").messages.values())[-1].buttons for label in row]

    def standing(self) -> list[str]:
        return [shown.text for shown in self.network.chat("ada").messages.values()]

    def forget_message(self, network_id: str) -> None:
        del self.network.chat("ada").messages[network_id]


class TestLaw(ConnectorLaw):
    """The law where a repeated send is shown once."""

    abilities = ABILITIES

    @contextlib.asynccontextmanager
    async def rig(self, folder: Path) -> AsyncIterator[MemoryRig]:
        yield MemoryRig()


def test_the_law_has_forty_cases_or_more():
    """A network that has everything but readers that pull keeps so many."""
    assert len(cases_of(TestLaw)) >= 40


def test_a_class_has_the_cases_that_its_network_can_keep():
    """What needs more is not there; nothing is skipped."""

    class Less(ConnectorLaw):
        abilities = ABILITIES - {Ability.KEYS}

    assert set(cases_of(TestLaw)) - set(cases_of(Less)) == {"test_a_repeated_send_is_shown_once"}


def test_a_law_without_abilities_is_refused():
    """A class that forgets to say what its network has would test half of it."""
    with pytest.raises(TypeError, match="abilities"):

        class Forgetful(ConnectorLaw):
            pass
