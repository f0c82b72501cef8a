"""A token of Telegram that can be seen without asking anybody: is it one, and does it stand where it should? It is never shown.

Refused before Telegram is asked. A token behind `file:` or `cmd:` is not read here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from processsupervisor.config.problem import HIDDEN, Finding, printable
from processsupervisor.config.spec import BotSpec
from processsupervisor.launch.references import BadReference, parse

EnvFile = Callable[[str], Mapping[str, str]]
"""Returns the variables of an env file."""
_WAY_OUT = "put the whole token there that @BotFather gave: digits, a colon, letters"
_MOST_BYTES = 1 << 20
_CLEAR_HINT = 'psv secret set NAME, then token = "secret:NAME"; or "env:NAME" and an env_file'


class Secrets(Protocol):
    """What is known of the secrets of a fleet (references.Sources)."""

    def why_no_token(self, name: str) -> str: ...


def telegram_token_is_one(spec: BotSpec, env_file: EnvFile, secrets: Secrets) -> Iterator[Finding]:
    """The token of networks.telegram or telegram_proxy has the form of one, where it can be seen."""
    for at, text in _tokens(spec):
        token, place = _seen(spec, env_file, text)
        wrong = why_no_token(token) if token is not None and token != HIDDEN else ""
        if token is None and (name := _target(text, "secret")):
            wrong, place = secrets.why_no_token(name), f" in the secret {name}"
        if wrong:
            message = f"the token{place} is none of Telegram: it {wrong}"
            yield Finding((*at, "token"), "token-malformed", printable(message), _WAY_OUT, outside=bool(place))


def telegram_token_is_elsewhere(spec: BotSpec) -> Iterator[Finding]:
    """A token does not stand in the configuration itself, which more people read than should have the bot. It runs all the same."""
    for at, text in _tokens(spec):
        is_clear = _target(text, "") is not None or _target(text, "literal") is not None
        if is_clear and text != HIDDEN and not why_no_token(text.removeprefix("literal:")):
            told = f"the token of {'.'.join(at)} stands in clear in the configuration: whoever may read it has the bot"
            yield Finding((*at, "token"), "token-in-clear", told, _CLEAR_HINT, warning=True)


def _tokens(spec: BotSpec) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the tables that have a token, and the token as it is written."""
    tables = {("networks", "telegram"): (spec.get("networks") or {}).get("telegram"), ("telegram_proxy",): spec.get("telegram_proxy")}
    for at, table in tables.items():
        text = table.get("token") if isinstance(table, dict) else None
        if isinstance(text, str):
            yield at, text


def _target(text: str, scheme: str) -> str | None:
    """Return what a reference of this scheme ("" = a plain text) refers to; None for another one, or none."""
    try:
        reference = parse(text)
    except BadReference:
        return None  # another rule names it
    if reference is None:
        return text if not scheme else None
    return reference.target if reference.scheme == scheme else None


def shared_proxy_tokens(specs: Mapping[str, BotSpec]) -> Iterator[tuple[str, Finding]]:
    """Yield `(second bot, warning)` for each token that two proxies are to own, as far as it is written in the same way."""
    first: dict[str, str] = {}
    for name, spec in specs.items():
        table = spec.get("telegram_proxy")
        token = table.get("token") if isinstance(table, dict) else None
        if not isinstance(token, str) or token.startswith("env:"):  # each bot's own env_file may hold it
            continue
        owner = first.setdefault(token, name)
        if owner != name:
            message = f"bots {owner} and {name} have the same telegram_proxy.token: a proxy owns it also while its bot is stopped"
            hint = "one of the two does not start, as lock-held: give it a token of its own, or remove it"
            yield name, Finding(("telegram_proxy", "token"), "token-shared", message, hint, warning=True)


def _seen(spec: BotSpec, env_file: EnvFile, text: str) -> tuple[str | None, str]:
    """Return the token, None where it cannot be seen, and " in FILE:LINE (NAME)" of one in an env_file."""
    try:
        reference = parse(text)
    except BadReference:
        return None, ""  # another rule names it
    if reference is None:
        return text, ""
    if reference.scheme == "literal":
        return reference.target, ""
    if reference.scheme == "env":
        for path in reversed(spec["env_files"]):  # the last one wins
            if (token := env_file(path).get(reference.target)) is not None:
                return token, f" in {path}{_line_of(path, reference.target)} ({reference.target})"
    return None, ""


def why_no_token(token: str) -> str:
    """Return why a text is no token of Telegram, "" for one that may be."""
    if not token:
        return "is empty"
    if any(char.isspace() for char in token):
        return "has white space in it"
    if any(char in token for char in "\"'"):
        return "has quotes in it"
    return "" if ":" in token else "has no colon"


def _line_of(path: str, name: str) -> str:
    """Return ":LINE" of a variable in an env file, "" when it is not found."""
    try:
        with Path(path).open(encoding="utf-8-sig", errors="replace") as file:
            lines = file.read(_MOST_BYTES).split("\n")
    except OSError:
        return ""
    pattern = re.compile(rf"\s*(export[ \t]+)?{re.escape(name)}[ \t]*=")
    found = [number for number, line in enumerate(lines, 1) if pattern.match(line)]
    return f":{found[-1]}" if found else ""
