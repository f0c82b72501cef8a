"""The law of connectors has teeth: one that breaks a rule fails the case of that rule."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.connectors import test_console, test_memory, test_telegram, test_web
from tests.connectors.test_memory import ABILITIES, MemoryRig

from processsupervisor.connectors.base import Capabilities, ErrorKind, NetworkError, Receipt
from processsupervisor.storage.records import NO_EXTRAS
from processsupervisor.testing import lawengine
from processsupervisor.testing.connector import MemoryConnector
from processsupervisor.testing.connectorlaw import ConnectorLaw, cases_of


class Hasty(MemoryConnector):
    """Acknowledges before the commit."""

    def receive(self, incoming):
        self._network.acknowledge(incoming)
        super().receive(incoming)


class Renaming(MemoryConnector):
    """Gives messages ids of its own."""

    def receive(self, incoming):
        super().receive(replace(incoming, id=self._network.next_id()))


class Deaf(MemoryConnector):
    """Takes a refusal for the end of a message."""

    def _refused(self, incoming, err):
        self._network.acknowledge(incoming)


class Silent(MemoryConnector):
    """Never says that the network answers."""

    async def open(self, port):
        port.prove = lambda network: None
        await super().open(port)


class Stubborn(MemoryConnector):
    """Tries a failed send again by itself."""

    async def send(self, out):
        try:
            return await super().send(out)
        except NetworkError:
            return await super().send(out)


class Cheerful(MemoryConnector):
    """Takes every error for a success."""

    async def send(self, out):
        try:
            return await super().send(out)
        except NetworkError:
            return Receipt("1")


class Sure(MemoryConnector):
    """Claims to know what it cannot."""

    async def send(self, out):
        try:
            return await super().send(out)
        except NetworkError as err:
            raise NetworkError(err.kind, err.message) from err


class Chatty(MemoryConnector):
    """Tells the log what people say."""

    async def send(self, out):
        try:
            return await super().send(out)
        except NetworkError as err:
            raise NetworkError(err.kind, f"cannot send {out.text!r}", is_uncertain=err.is_uncertain) from err


class Undead(MemoryConnector):
    """Goes on behind its close."""

    async def close(self):
        pass


class Keyless(MemoryConnector):
    """Sends under a key of its own each time."""

    async def send(self, out):
        return await super().send(replace(out, id=self._network.next_id()))


class Careless(MemoryConnector):
    """Sends texts and drops what it lacks."""

    async def send(self, out):
        return await super().send(replace(out, extras=NO_EXTRAS))


class Boastful(MemoryConnector):
    """Claims what it cannot."""

    @property
    def capabilities(self):
        return replace(super().capabilities, buttons=not super().capabilities.buttons)


class Picky(MemoryConnector):
    """Refuses what it lacks, and does not say what that is."""

    async def send(self, out):
        if out.extras != NO_EXTRAS:
            raise NetworkError(ErrorKind.PERMANENT, "not possible")
        return await super().send(out)


class Helpful(MemoryConnector):
    """Refuses what it lacks and says what that is: that is the law, too."""

    async def send(self, out):
        for name in ("buttons", "files", "edits"):
            if getattr(out.extras, name):
                raise NetworkError(ErrorKind.PERMANENT, f"this network has no {name}")
        return await super().send(out)


class Blind(MemoryConnector):
    """Does not look whether the network takes the bot."""

    def denied(self, error):
        pass


@pytest.mark.parametrize(("connector", "case"), [
    (Hasty, "test_nothing_is_acknowledged_before_it_is_committed"),
    (Renaming, "test_a_repeated_message_is_handled_once"),
    (Renaming, "test_the_networks_own_id_is_kept"),
    (Deaf, "test_what_cannot_be_taken_now_comes_again"),
    (Deaf, "test_a_failing_database_loses_nothing"),
    (Silent, "test_a_network_is_proved_and_nothing_else_is"),
    (Stubborn, "test_a_failing_network_is_asked_once"),
    (Stubborn, "test_a_rate_limit_is_handed_on_and_not_waited_out"),
    (Cheerful, "test_what_can_never_be_sent_is_permanent"),
    (Cheerful, "test_a_person_who_blocked_the_bot_is_gone"),
    (Sure, "test_a_send_cut_off_behind_the_network_is_known_to_be_unknown"),
    (Sure, "test_a_conversation_that_moved_says_where_to"),
    (Chatty, "test_errors_tell_nothing_that_was_said"),
    (Undead, "test_a_closed_connector_takes_nothing"),
    (Undead, "test_a_closed_connector_shows_nothing"),
    (Keyless, "test_a_repeated_send_is_shown_once"),
    (Blind, "test_a_refused_token_ends_the_bot"),
])  # fmt: skip
def test_a_connector_that_breaks_a_rule_fails_its_case(connector, case, tmp_path, monkeypatch):
    """And the same case holds for the one that keeps it (tests/connectors/test_memory.py)."""

    class Rig(MemoryRig):
        def connect(self, folder: Path) -> MemoryConnector:
            return connector(self.network, folder)

    class Law(ConnectorLaw):
        abilities = ABILITIES

        @contextlib.asynccontextmanager
        async def rig(self, folder: Path) -> AsyncIterator[MemoryRig]:
            yield Rig()

    monkeypatch.setattr(lawengine, "DEADLINE_S", 1.0)
    with pytest.raises(AssertionError):
        getattr(Law(), case)(tmp_path)


def poor_law(connector):
    """Return the law on a network that has texts and nothing else."""

    class Rig(MemoryRig):
        def connect(self, folder: Path) -> MemoryConnector:
            return connector(self.network, folder)

    class Law(ConnectorLaw):
        abilities = test_memory.POOR

        @contextlib.asynccontextmanager
        async def rig(self, folder: Path) -> AsyncIterator[MemoryRig]:
            yield Rig(Capabilities(max_text_chars=500))

    return Law()


@pytest.mark.parametrize(("connector", "case"), [
    (Careless, "test_a_row_with_buttons_loses_nothing"),
    (Careless, "test_a_row_with_files_loses_nothing"),
    (Careless, "test_a_row_with_markup_keeps_its_words"),
    (Picky, "test_a_row_with_buttons_loses_nothing"),
    (Picky, "test_an_edit_is_a_new_message"),
    (Boastful, "test_what_it_can_do_stays_the_same"),
    (Boastful, "test_buttons_are_written_out"),
])  # fmt: skip
def test_what_a_network_lacks_is_not_lost_in_silence(connector, case, tmp_path, monkeypatch):
    """Saying less about a network does not free it of anything."""
    monkeypatch.setattr(lawengine, "DEADLINE_S", 1.0)
    with pytest.raises(AssertionError):
        getattr(poor_law(connector), case)(tmp_path)


@pytest.mark.parametrize("case", ["test_a_row_with_buttons_loses_nothing", "test_a_row_with_files_loses_nothing", "test_an_edit_is_a_new_message"])
def test_what_a_network_lacks_may_be_refused_by_name(case, tmp_path):
    """A connector has the choice between words and a refusal that says what is missing."""
    getattr(poor_law(Helpful), case)(tmp_path)


CLASSES = {
    "console, a pipe": test_console.TestLawOnAPipe, "console, a terminal": test_console.TestLawOnATerminal, "web": test_web.TestLaw,
    "Telegram": test_telegram.TestTelegram, "in memory": test_memory.TestLaw, "in memory, texts alone": test_memory.TestLawOfAPoorNetwork,
}  # fmt: skip
LEAST = {"console, a pipe": 40, "console, a terminal": 40, "web": 40, "Telegram": 56}


def test_the_docs_say_how_many_cases_there_are():
    """For each network; the whole law is what all of them together keep."""
    page = (Path(__file__).parents[2] / "docs" / "howto" / "test-a-bot.md").read_text()
    told = {name: int(count) for name, count in re.findall(r"^\| ([\w, ]+) \| (\d+) \|", page, re.MULTILINE)}
    counted = {name: len(cases_of(law)) for name, law in CLASSES.items()}
    assert told == counted
    assert all(counted[name] >= least for name, least in LEAST.items())
    whole = set(cases_of(ConnectorLaw))
    assert whole == {case for law in CLASSES.values() for case in cases_of(law)}
    assert f"of {len(whole)} cases" in page


def test_cases_need_no_plugin():
    """They are plain functions with loops of their own."""
    case = ConnectorLaw.test_a_send_is_one_call
    assert not asyncio.iscoroutinefunction(case) and case.__doc__
