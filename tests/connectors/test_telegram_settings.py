"""The table networks.telegram: what is wrong with it is said with its key and without the token."""

from __future__ import annotations

import subprocess
import sys

import pytest

from processsupervisor.connectors.telegram import make
from processsupervisor.connectors.telegram.settings import read_settings
from processsupervisor.kernel.errors import ConfigError

TOKEN = "123456:AAsecretpartofthetoken"


def test_a_token_is_enough_and_is_not_shown() -> None:
    """Everything else has a default; neither the settings nor the connector show the token."""
    settings = read_settings({"token": TOKEN}, "anna")
    assert (settings.mode, settings.base_url, settings.bot_id) == ("polling", "https://api.telegram.org", "123456")
    assert "callback_query" in settings.allowed_updates and "my_chat_member" in settings.allowed_updates
    assert "AAsecret" not in repr(settings)


@pytest.mark.parametrize(
    ("token", "fault"),
    [
        (f"{TOKEN}\n", "line break around"), (f" {TOKEN}", "blanks"), (f'"{TOKEN}"', "quotes"), ("123456", "no colon"),
        ("123:AA\nbb", "line break"), ("abc:def ghi", "blanks"), ("123456:", "no bot token"), ("", "is empty"), (None, "is missing"), (7, "found int"), (f"'{TOKEN}'\r", "around"),
        (f"TOKEN={TOKEN}", "more around it"), (f"https://api.telegram.org/bot{TOKEN}/getMe", "more around it"), (f"\ufeff{TOKEN}", "control character"),
        (f"“{TOKEN}”", "more around it"), ("１２３４５６:AAsecret", "no bot token"),
    ],
)  # fmt: skip
def test_a_bad_token_is_named_and_never_shown(token: object, fault: str) -> None:
    """The message says what is wrong with it, where it stands and what was expected."""
    with pytest.raises(ConfigError) as caught:
        make({"token": token} if token is not None else {}, "anna", None)
    assert str(caught.value).startswith("bots.anna.networks.telegram.token") and fault in str(caught.value)
    assert "AAsecret" not in str(caught.value) and "123456:" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"modes": "polling"}, "unknown key 'modes'"),
        ({"mode": "push"}, "mode: found 'push'; expected \"polling\" or \"webhook\""),
        ({"mode": "webhook"}, "url: found ''"),
        ({"mode": "webhook", "url": "bots.example.org"}, "url: found 'bots.example.org'"),
        ({"base_url": "ftp://x"}, "base_url: found 'ftp://x'"),
        ({"expect": "anna bot"}, "expect: found 'anna bot'"),
        ({"kinds": ["message", "inline"]}, "kinds: found 'inline'"),
        ({"kinds": "message"}, "kinds: found str"),
        ({"secret": "with blanks"}, "secret has characters"),
    ],
)
def test_bad_settings_name_key_and_expectation(table: dict[str, object], words: str) -> None:
    """One line with the place, what was found and what was expected."""
    with pytest.raises(ConfigError) as caught:
        read_settings({"token": TOKEN} | table, "anna")
    assert words in str(caught.value) and "AAsecret" not in str(caught.value)


def test_kinds_that_are_not_wanted_are_not_asked_for() -> None:
    """Membership is: the core needs it."""
    assert read_settings({"token": TOKEN, "kinds": ["message"]}, "anna").allowed_updates == ["message", "my_chat_member"]


def test_the_webhooks_secret_needs_no_place_to_be_kept() -> None:
    """It is the same at each start, another for each bot, and tells nothing of the token."""
    first, again, other = (read_settings({"token": TOKEN}, name).secret for name in ("anna", "anna", "bob"))
    assert first == again != other and "AAsecret" not in first and len(first) == 64


@pytest.mark.parametrize(("library", "words"), [("aiogram", "needs aiogram, which is not installed"), ("aiogram.methods", "needs aiogram, and a newer one")])
def test_a_missing_or_old_library_says_what_to_install(library: str, words: str) -> None:
    """In a fresh interpreter, as a bot with one of its own may have it; nothing of the package is imported before."""
    code = f"""
import sys, types
from processsupervisor.connectors.telegram import make
from processsupervisor.kernel.errors import ConfigError
assert "aiogram" not in sys.modules
if {library!r} == "aiogram":
    sys.modules["aiogram"] = None
else:
    import aiogram.methods
    del aiogram.methods.SendMessageDraft
try:
    make({{"token": {TOKEN!r}}}, "anna", None)
except ConfigError as err:
    print(err)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert words in done.stdout and "pip install 'processsupervisor[telegram]'" in done.stdout, done.stdout + done.stderr
