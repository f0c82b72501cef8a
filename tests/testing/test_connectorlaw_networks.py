"""The law of connectors has teeth for console, web and Telegram too: each of them, broken in one way, fails the case of that rule."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.connectors import test_console, test_telegram, test_web
from tests.connectors.telegramrig import TOKEN
from tests.testing import brokenconnectors as broken

from processsupervisor.connectors.console import ConsoleConnector
from processsupervisor.connectors.telegram.connector import TelegramConnector
from processsupervisor.connectors.telegram.settings import read_settings
from processsupervisor.connectors.web import WebConnector
from processsupervisor.testing import lawengine
from processsupervisor.testing.botapi.server import BotApi

CONSOLE = [
    (broken.GreedyConsole, "test_one_message_is_under_way_where_none_is_acknowledged"),
    (broken.MuteConsole, "test_a_bot_that_takes_nothing_says_so"),
    (broken.MuteConsole, "test_what_is_no_text_is_refused"),
    (broken.BrittleConsole, "test_a_reader_that_is_gone_holds_nothing_up"),
    (broken.TypingConsole, "test_typing_shows_nothing"),
    (broken.of(ConsoleConnector, broken.Forgetful), "test_a_repeated_send_is_shown_once"),
    (broken.of(ConsoleConnector, broken.Forgetful), "test_a_look_at_what_was_shown_repeats_nothing"),
    (broken.of(ConsoleConnector, broken.Dropping), "test_a_pressed_button_reaches_its_handler"),
    (broken.of(ConsoleConnector, broken.Dropping), "test_a_file_of_a_reply_arrives"),
    (broken.of(ConsoleConnector, broken.Dropping), "test_a_row_with_markup_keeps_its_words"),
    (broken.of(ConsoleConnector, broken.Rash), "test_a_piece_is_not_the_whole"),
    (broken.of(ConsoleConnector, broken.Gluing), "test_a_whole_that_begins_otherwise_is_shown_whole"),
    (broken.of(ConsoleConnector, broken.Whole), "test_a_growing_reply_is_shown"),
    (broken.of(ConsoleConnector, broken.Swapping), "test_many_rows_at_once_are_shown_in_their_order"),
    (broken.of(ConsoleConnector, broken.Short), "test_a_long_reply_is_shown_whole"),
    (broken.of(ConsoleConnector, broken.Undead), "test_a_closed_connector_shows_nothing"),
    (broken.of(ConsoleConnector, broken.Undead), "test_a_closed_connector_takes_nothing"),
    (broken.of(ConsoleConnector, broken.Boastful), "test_what_it_can_do_stays_the_same"),
    (broken.behind(ConsoleConnector, broken.HashingPort), "test_the_same_words_twice_are_two_messages"),
    (broken.behind(ConsoleConnector, broken.EagerPort), "test_a_network_is_proved_and_nothing_else_is"),
]  # fmt: skip

LIVE = ("test_a_whole_that_begins_otherwise_is_shown_whole", "test_a_growing_reply_is_shown")
"""What a console shows on a terminal alone."""

WEB = [
    (broken.behind(WebConnector, broken.HastyPort), "test_nothing_is_acknowledged_before_it_is_committed"),
    (broken.behind(WebConnector, broken.RenamingPort), "test_a_repeated_message_is_handled_once"),
    (broken.behind(WebConnector, broken.RenamingPort), "test_the_networks_own_id_is_kept"),
    (broken.behind(WebConnector, broken.EagerPort), "test_a_network_is_proved_and_nothing_else_is"),
    (broken.speaking(broken.DeafSession), "test_an_endless_message_is_refused"),
    (broken.speaking(broken.SkippingSession), "test_a_reader_that_was_cut_off_misses_and_repeats_nothing"),
    (broken.speaking(broken.RepeatingSession), "test_a_reader_goes_on_behind_what_it_saw"),
    (broken.LonelyWeb, "test_every_reader_sees_the_same"),
    (broken.MixingWeb, "test_conversations_are_kept_apart"),
    (broken.MixingWeb, "test_rows_of_many_conversations_do_not_mix"),
    (broken.of(WebConnector, broken.Forgetful), "test_a_look_at_what_was_shown_repeats_nothing"),
    (broken.of(WebConnector, broken.Dropping), "test_a_row_with_buttons_shows_text_and_labels"),
    (broken.of(WebConnector, broken.Dropping), "test_a_message_can_take_the_place_of_an_earlier_one"),
    (broken.of(WebConnector, broken.Dropping), "test_a_file_of_a_reply_arrives"),
    (broken.of(WebConnector, broken.Rash), "test_what_is_shown_is_committed"),
    (broken.of(WebConnector, broken.Whole), "test_a_growing_reply_is_shown"),
    (broken.of(WebConnector, broken.Swapping), "test_publishing_does_not_wait"),
    (broken.of(WebConnector, broken.Short), "test_text_of_the_greatest_length_is_shown_whole"),
    (broken.of(WebConnector, broken.Undead), "test_a_closed_connector_takes_nothing"),
    (broken.of(WebConnector, broken.Boastful), "test_what_it_can_do_stays_the_same"),
]  # fmt: skip

TELEGRAM = [
    (broken.behind(TelegramConnector, broken.HastyPort), "test_nothing_is_acknowledged_before_it_is_committed"),
    (broken.behind(TelegramConnector, broken.RenamingPort), "test_the_networks_own_id_is_kept"),
    (broken.behind(TelegramConnector, broken.ShoutingPort), "test_a_group_says_what_is_meant_for_the_bot"),
    (broken.behind(TelegramConnector, broken.CursorlessPort), "test_how_far_the_network_was_read_is_handed_over"),
    (broken.behind(TelegramConnector, broken.BlindPort), "test_a_refused_token_ends_the_bot"),
    (broken.StubbornTelegram, "test_a_failing_network_is_asked_once"),
    (broken.DoublingTelegram, "test_a_send_is_one_call"),
    (broken.DoublingTelegram, "test_several_replies_stand_in_their_order"),
    (broken.SureTelegram, "test_a_send_cut_off_behind_the_network_is_known_to_be_unknown"),
    (broken.SureTelegram, "test_a_reply_that_may_have_arrived_is_marked"),
    (broken.SimpleTelegram, "test_a_rate_limit_is_handed_on_and_not_waited_out"),
    (broken.SimpleTelegram, "test_a_person_who_blocked_the_bot_is_gone"),
    (broken.SimpleTelegram, "test_a_refused_token_is_told_by_a_send"),
    (broken.PoorTelegram, "test_a_message_can_take_the_place_of_an_earlier_one"),
    (broken.PoorTelegram, "test_buttons_are_shown_and_bring_their_data"),
    (broken.PoorTelegram, "test_a_file_goes_out_as_it_is"),
    (broken.PoorTelegram, "test_typing_is_shown"),
    (broken.PoorTelegram, "test_a_growing_reply_is_shown"),
    (broken.of(TelegramConnector, broken.Undead), "test_a_closed_connector_takes_nothing"),
    (broken.of(TelegramConnector, broken.Boastful), "test_what_it_can_do_stays_the_same"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A case that waits for what never comes does so for a second."""
    monkeypatch.setattr(lawengine, "DEADLINE_S", 1.0)


def fails(law: type, rig: type, case: str, tmp_path: Path) -> None:
    """Check that a case fails by what it asserts."""

    class Broken(law):
        @contextlib.asynccontextmanager
        async def rig(self, folder: Path) -> AsyncIterator[object]:
            async with rig(folder) as made:
                yield made

    with pytest.raises((AssertionError, OSError)):
        getattr(Broken(), case)(tmp_path)


@pytest.mark.parametrize(("connector", "case"), CONSOLE)
def test_a_broken_console_fails(connector, case, tmp_path):
    """What the console must not do is seen."""

    class Rig(test_console.ConsoleRig):
        def connect(self, folder):
            good = super().connect(folder)
            return connector(good._source, good._target)

    @contextlib.asynccontextmanager
    async def rig(folder):
        made = Rig(test_console.Terminal() if case in LIVE else test_console.Paper())
        yield made
        made.close()

    fails(test_console.TestLawOnATerminal if case in LIVE else test_console.TestLawOnAPipe, rig, case, tmp_path)


@pytest.mark.parametrize(("connector", "case"), WEB)
def test_a_broken_web_fails(connector, case, tmp_path):
    """What web.sock must not do is seen."""

    class Rig(test_web.WebRig):
        def connect(self, folder):
            return connector(self.path)

    @contextlib.asynccontextmanager
    async def rig(folder):
        made = Rig(folder / "run" / "web.sock")
        yield made
        await made.close()

    fails(test_web.TestLaw, rig, case, tmp_path)


@pytest.mark.parametrize(("connector", "case"), TELEGRAM)
def test_a_broken_telegram_fails(connector, case, tmp_path):
    """What Telegram must not do is seen."""

    class Rig(test_telegram.TelegramRig):
        def connect(self, folder):
            settings = read_settings({"token": TOKEN, "base_url": self._api.url}, "anna")
            return connector(settings, "anna", folder, test_telegram.WIDE)

    @contextlib.asynccontextmanager
    async def rig(folder):
        with BotApi(conflict_pause_s=0.2) as api:
            yield Rig(api)

    fails(test_telegram.TestTelegram, rig, case, tmp_path)
