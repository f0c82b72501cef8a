"""The network in memory that users test with: it keeps the same law as the real ones."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from processsupervisor.connectors.base import Capabilities, ErrorKind, NetworkError
from processsupervisor.storage.records import Kind, Place, RoomKind
from processsupervisor.testing.connector import MemoryConnector
from processsupervisor.testing.connectorlaw import ConnectorLaw, cases_of
from processsupervisor.testing.lawrig import MOVED_TO, RETRY_AFTER_S, Ability, Mishap
from processsupervisor.testing.network import ALL, MemoryNetwork, incoming_of

ABILITIES = frozenset(Ability) - {Ability.PULLS, Ability.RESUMES, Ability.REFUSES, Ability.BYTES}
POOR = frozenset({
    Ability.KEEPS, Ability.REPEATS, Ability.ACKNOWLEDGES, Ability.ROOMS, Ability.REOPENS, Ability.SENDS, Ability.CURSOR,
})  # fmt: skip
GROUP = "team"


class MemoryRig:
    """One person at a MemoryNetwork."""

    def __init__(self, capabilities: Capabilities = ALL) -> None:
        self.network = MemoryNetwork(capabilities=capabilities)
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

    def typed(self) -> int:
        return len(self.network.chat("ada").typing_at)

    def pieces(self) -> list[str]:
        return [out.text for out in self.network.drafts]

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


class TestLawOfAPoorNetwork(ConnectorLaw):
    """The law where there are short texts and nothing else."""

    abilities = POOR

    @contextlib.asynccontextmanager
    async def rig(self, folder: Path) -> AsyncIterator[MemoryRig]:
        yield MemoryRig(Capabilities(max_text_chars=500))


def test_a_class_has_the_cases_that_its_network_can_keep():
    """What needs more is not there, what it lacks has a case of its own; nothing is skipped."""

    class Less(ConnectorLaw):
        abilities = ABILITIES - {Ability.KEYS}

    assert set(cases_of(TestLaw)) - set(cases_of(Less)) == {"test_a_repeated_send_is_shown_once"}
    assert set(cases_of(Less)) - set(cases_of(TestLaw)) == {"test_a_reply_that_may_have_arrived_is_marked"}


def test_a_class_of_a_class_has_the_cases_that_hold_for_itself():
    """One between that has less takes none away, nor does a None in their place; a test of the author's own stays."""

    class Less(ConnectorLaw):
        abilities = POOR

    class More(Less):
        abilities = ABILITIES
        test_a_send_is_one_call = None

        def test_what_is_shown_is_committed(self):
            """Another one."""

    assert cases_of(More) == cases_of(TestLaw)
    assert More.test_what_is_shown_is_committed.__doc__ == "Another one."


@pytest.mark.parametrize(("abilities", "message"), [
    (frozenset(), "needs abilities"),
    (ABILITIES - {Ability.SENDS}, "one of SENDS and PULLS"),
    (ABILITIES | {Ability.PULLS}, "one of SENDS and PULLS"),
    (ABILITIES - {Ability.KEEPS}, "KEEPS or REFUSES"),
])  # fmt: skip
def test_a_law_without_the_abilities_of_every_network_is_refused(abilities, message):
    """A class that forgets to say what its network has would test half of it."""
    with pytest.raises(TypeError, match=message):
        type("Forgetful", (ConnectorLaw,), {"abilities": abilities, "__module__": __name__})
