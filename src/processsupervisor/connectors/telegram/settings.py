"""The table `[bots.NAME.networks.telegram]`: what it may hold, and what is wrong with it. The token is in no text and no repr.

Here nothing asks the network, and aiogram is not needed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from processsupervisor.kernel.errors import ConfigError

API = "https://api.telegram.org"
KINDS = {
    "message": ("message",),
    "edit": ("edited_message", "edited_channel_post"),
    "button": ("callback_query",),
    "channel": ("channel_post",),
}
"""The words of `kinds`, and the updates of Telegram that each stands for. Membership is always asked for: the core needs it."""
_TEXTS = {"base_url": API, "mode": "polling", "url": "", "secret": "", "expect": ""}
"""The keys that are texts besides the token, and what holds without them."""
_KEYS = ("token", *_TEXTS, "kinds")
_MODES = ("polling", "webhook")
_ADDRESS = ("https://", "http://")
_TOKEN = re.compile(r"[0-9]{1,20}:[A-Za-z0-9_-]{1,100}")
_WITHIN = re.compile(r"[0-9]{5,20}:[A-Za-z0-9_-]{20,}")
_SECRET = re.compile(r"[A-Za-z0-9_-]{1,256}")  # what setWebhook takes as secret_token
_EXPECT = re.compile(r"@[A-Za-z0-9_]{3,64}|[0-9]{1,20}")


@dataclass(frozen=True, slots=True)
class TelegramSettings:
    """One bot's settings, checked."""

    token: str = field(repr=False)
    base_url: str = API
    mode: str = "polling"
    """polling or webhook."""
    url: str = ""
    """webhook: the address of the web process as Telegram reaches it; `/hook/NAME` is put behind it."""
    secret: str = field(default="", repr=False)
    """webhook: what Telegram shows with each update."""
    expect: str = ""
    """"@name" or number of the bot that the token must be of."""
    kinds: tuple[str, ...] = tuple(KINDS)

    @property
    def bot_id(self) -> str:
        """Return the bot's number, which stands in front of the colon of its token and is no secret."""
        return self.token.partition(":")[0]

    @property
    def allowed_updates(self) -> list[str]:
        """Return what Telegram is asked for."""
        return [update for kind in self.kinds for update in KINDS[kind]] + ["my_chat_member"]


def check(table: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """Yield key, fault and way out of what is wrong, but for the token, without a value. None stands for one that is not known here."""
    for key, fault, hint, found in _faults({key: value for key, value in table.items() if value is not None}):
        shown = "nothing" if found == "" else "a text" if isinstance(found, str) else type(found).__name__
        yield key, fault if found is None else f"{fault}: found {shown}", hint


def read_settings(table: Mapping[str, object], name: str) -> TelegramSettings:
    """Check the table of bot `name`. Raises ConfigError with the key, what is wrong and what was expected."""
    place = f"bots.{name}.networks.telegram"
    token = _check_token(table.get("token"), place)
    for _, fault, hint, found in _faults(table):
        shown = "" if found is None else f": found {found[:80]!r}" if isinstance(found, str) else f": found {type(found).__name__}"
        raise ConfigError(f"{place}{fault}{shown}", hint=hint)
    texts = {key: str(table.get(key, default)) for key, default in _TEXTS.items()}
    kinds = table.get("kinds")
    return TelegramSettings(
        token, texts["base_url"].rstrip("/"), texts["mode"], texts["url"].rstrip("/"), texts["secret"] or _derive_secret(token, name),
        texts["expect"], tuple(dict.fromkeys(map(str, kinds))) if isinstance(kinds, (list, tuple)) else tuple(KINDS),
    )  # fmt: skip


class _Fault(NamedTuple):
    """What is wrong with a key, to stand behind the table's name; `found` is the value at fault, where it is one."""

    key: str
    text: str
    hint: str
    found: object = None


def _faults(table: Mapping[str, object]) -> Iterator[_Fault]:
    for key in sorted(set(table) - set(_KEYS)):
        yield _Fault(key, f": unknown key {key[:40]!r}", _meant(key, _KEYS, f"known are {', '.join(_KEYS)}"))
    texts = {key: table.get(key, default) for key, default in _TEXTS.items()}
    for key, value in texts.items():
        if not isinstance(value, str):
            yield _Fault(key, f".{key}", "expected a text", value)
        elif fault := _fault_of(key, value, texts["mode"]):
            yield fault
    yield from _faults_of_kinds(table.get("kinds", []))


def _fault_of(key: str, value: str, mode: object) -> _Fault | None:
    if key == "mode" and value not in _MODES:
        return _Fault(key, ".mode", _meant(value, _MODES, 'expected "polling" or "webhook"'), value)
    if key == "expect" and value and not _EXPECT.fullmatch(value):
        return _Fault(key, ".expect", 'expected the bot\'s name as "@name", or its number as a text', value)
    if key == "url" and mode == "webhook" and not value.startswith(_ADDRESS):
        hint = 'expected the address at which Telegram reaches the web process of this fleet, as in url = "https://bots.example.org"'
        return _Fault(key, ".url", hint, value)
    if key == "base_url" and not value.startswith(_ADDRESS):
        return _Fault(key, ".base_url", f'expected an address as in base_url = "{API}"', value)
    if key == "secret" and value and not _SECRET.fullmatch(value):
        return _Fault(key, ".secret has characters that Telegram does not take", "expected 1 to 256 letters, digits, _ and -")
    return None


def _faults_of_kinds(kinds: object) -> Iterator[_Fault]:
    expected = f"expected a list out of {', '.join(KINDS)}"
    if not isinstance(kinds, (list, tuple)):
        yield _Fault("kinds", f".kinds: found {type(kinds).__name__}", expected)
        return
    for kind in kinds:
        if not isinstance(kind, str):
            yield _Fault("kinds", ".kinds", expected, kind)
        elif kind not in KINDS:
            yield _Fault("kinds", ".kinds", _meant(kind, tuple(KINDS), expected), kind)


def _meant(found: str, known: tuple[str, ...], expected: str) -> str:
    from processsupervisor.config.problem import nearest  # here: hardly a bot needs it

    close = nearest(found, known)
    return f'{expected}; did you mean "{close}"?' if close else expected


def _check_token(token: object, place: str) -> str:
    hint = "expected digits, a colon, then letters, digits, _ and -, as BotFather gives it, and nothing else"
    if not isinstance(token, str) or not token:
        fault = "is empty" if token == "" else "is missing" if token is None else f"is no text: found {type(token).__name__}"
        raise ConfigError(f"{place}.token {fault}", hint=f'{hint}; write it as a reference: token = "secret:NAME"')
    if _TOKEN.fullmatch(token):
        return token
    fault = "is no bot token"
    if token.strip() != token:
        fault = "has blanks or a line break around it"
    elif any(quote in token for quote in "\"'`"):
        fault = "has quotes in it"
    elif any(char.isspace() or not char.isprintable() for char in token):
        fault = "has blanks, a line break or a control character in it"
    elif ":" not in token:
        fault = "has no colon"
    elif _WITHIN.search(token):
        fault = "has more around it: a name in front, or an address"
    raise ConfigError(f"{place}.token {fault}; it is not shown here", hint=hint)


def _derive_secret(token: str, name: str) -> str:
    """Return a secret for the webhook that needs no place to be kept in: only who has the token can make it."""
    return hmac.new(token.encode(), f"psv webhook {name}".encode(), hashlib.sha256).hexdigest()
