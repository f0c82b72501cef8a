"""The table `[bots.NAME.networks.telegram]`: what it may hold, and what is wrong with it. The token is in no text and no repr.

Here nothing asks the network, and aiogram is not needed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from processsupervisor.kernel.errors import ConfigError

API = "https://api.telegram.org"
KINDS = {
    "message": ("message",),
    "edit": ("edited_message", "edited_channel_post"),
    "button": ("callback_query",),
    "channel": ("channel_post",),
}
"""The words of `kinds`, and the updates of Telegram that each stands for. Membership is always asked for: the core needs it."""
_KEYS = ("token", "base_url", "mode", "url", "secret", "expect", "kinds")
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


def read_settings(table: Mapping[str, object], name: str) -> TelegramSettings:
    """Check the table of bot `name`. Raises ConfigError with the key, what is wrong and what was expected."""
    place = f"bots.{name}.networks.telegram"
    unknown = sorted(set(table) - set(_KEYS))
    if unknown:
        raise ConfigError(f"{place}: unknown key {unknown[0][:40]!r}", hint=f"known are {', '.join(_KEYS)}")
    token = _check_token(table.get("token"), place)
    mode = _text(table, "mode", "polling", place)
    if mode not in ("polling", "webhook"):
        raise ConfigError(f"{place}.mode: found {mode[:40]!r}", hint='expected "polling" or "webhook"')
    expect = _text(table, "expect", "", place)
    if expect and not _EXPECT.fullmatch(expect):
        raise ConfigError(f"{place}.expect: found {expect[:80]!r}", hint='expected the bot\'s name as "@name", or its number as a text')
    url = _text(table, "url", "", place).rstrip("/")
    if mode == "webhook" and not url.startswith(("https://", "http://")):
        hint = 'expected the address at which Telegram reaches the web process of this fleet, as in url = "https://bots.example.org"'
        raise ConfigError(f"{place}.url: found {url[:80]!r}", hint=hint)
    base_url = _text(table, "base_url", API, place).rstrip("/")
    if not base_url.startswith(("https://", "http://")):
        raise ConfigError(f"{place}.base_url: found {base_url[:80]!r}", hint=f'expected an address as in base_url = "{API}"')
    secret = _text(table, "secret", "", place) or _derive_secret(token, name)
    if not _SECRET.fullmatch(secret):
        raise ConfigError(f"{place}.secret has characters that Telegram does not take", hint="expected 1 to 256 letters, digits, _ and -")
    return TelegramSettings(token, base_url, mode, url, secret, expect, _check_kinds(table.get("kinds"), place))


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


def _check_kinds(kinds: object, place: str) -> tuple[str, ...]:
    if kinds is None:
        return tuple(KINDS)
    if not isinstance(kinds, (list, tuple)) or not all(isinstance(kind, str) for kind in kinds):
        raise ConfigError(f"{place}.kinds: found {type(kinds).__name__}", hint=f"expected a list out of {', '.join(KINDS)}")
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigError(f"{place}.kinds: found {kind[:40]!r}", hint=f"expected a list out of {', '.join(KINDS)}")
    return tuple(dict.fromkeys(kinds))


def _text(table: Mapping[str, object], key: str, default: str, place: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str):
        raise ConfigError(f"{place}.{key}: found {type(value).__name__}", hint="expected a text")
    return value


def _derive_secret(token: str, name: str) -> str:
    """Return a secret for the webhook that needs no place to be kept in: only who has the token can make it."""
    return hmac.new(token.encode(), f"psv webhook {name}".encode(), hashlib.sha256).hexdigest()
