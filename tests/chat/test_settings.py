"""The table `chat` as the engine has it."""

from __future__ import annotations

import pytest

from processsupervisor.chat.settings import EXPIRED, ChatSettings, Groups, Mode, Replies
from processsupervisor.kernel.errors import ConfigError


def test_what_is_not_said_is_built_in():
    """An empty sentence too."""
    settings = ChatSettings.from_spec({})
    assert (settings.mode, settings.replies, settings.groups) == (Mode.QUEUE, Replies.AT_LEAST_ONCE, Groups.ADDRESSED)
    assert settings.sentence("expired") == EXPIRED


def test_words_become_what_they_stand_for_and_a_newer_key_is_left_out():
    """A fleet may be written by a newer psv."""
    settings = ChatSettings.from_spec({"mode": "debounce", "late": "too late", "deadline_s": 5.0, "colour": "blue"})
    assert settings.mode is Mode.DEBOUNCE and settings.sentence("late") == "too late" and settings.deadline_s == 5.0


def test_an_unknown_word_is_named_with_those_known():
    """As in fleet.toml."""
    with pytest.raises(ConfigError, match=r'chat\.mode is "fast", expected one of queue, debounce, interrupt'):
        ChatSettings.from_spec({"mode": "fast"})
