"""The statement cannot be left out, whatever the operator words."""

from __future__ import annotations

import pytest

from processsupervisor.chat.consent import PLAIN_STATEMENT, command_of, consent_command, statement
from processsupervisor.storage.records import Consent


@pytest.mark.parametrize("wording", [None, "", "   ", 7, [], False])
def test_without_a_wording_the_plain_statement_stands(wording):
    """Nothing, blank text and other types do not switch the statement off."""
    assert PLAIN_STATEMENT in statement("anna", wording) and "anna" in statement("anna", wording)


@pytest.mark.parametrize("wording", ["Hi, I am Anna from Berlin.", "Ask me anything", "I like about things"])
def test_a_wording_that_names_no_program_gets_the_statement_added(wording):
    """A bot cannot be passed off as a person."""
    said = statement("anna", wording)
    assert said.startswith(wording) and said.endswith(PLAIN_STATEMENT)


@pytest.mark.parametrize("wording", ["I am Anna, a bot.", "Anna ist ein Chatbot.", "Hier antwortet ein Programm.", "An AI answers."])
def test_a_wording_that_names_a_program_stands_as_it_is(wording):
    """The operator's own words are enough when they say it."""
    assert statement("anna", wording) == wording


def test_commands_are_read_as_contacts_write_them():
    """Upper case, the bot's name behind @, and arguments do not matter; other text is no command."""
    assert command_of("/About@anna_bot now") == "about"
    assert command_of("/stop") == "stop"
    assert command_of("stop") is None and command_of("/ stop") is None and command_of("/1") is None
    assert consent_command("stop") is Consent.OPTED_OUT and consent_command("start") is Consent.OPTED_IN
    assert consent_command("other") is None
