"""A token of Telegram that stands in fleet.toml or an env_file: is it one? Refused before Telegram is asked; never shown.

A token behind `secret:`, `file:` or `cmd:` is not read here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from processsupervisor.config.problem import HIDDEN, Finding, printable
from processsupervisor.config.spec import BotSpec
from processsupervisor.launch.references import BadReference, parse

EnvFile = Callable[[str], Mapping[str, str]]
"""Returns the variables of an env file."""
_WAY_OUT = "put the whole token there that @BotFather gave: digits, a colon, letters"
_MOST_BYTES = 1 << 20


def telegram_token_is_one(spec: BotSpec, env_file: EnvFile) -> Iterator[Finding]:
    """The token of networks.telegram or telegram_proxy has the form of one, where it can be seen."""
    tables = {("networks", "telegram"): (spec.get("networks") or {}).get("telegram"), ("telegram_proxy",): spec.get("telegram_proxy")}
    for at, table in tables.items():
        text = table.get("token") if isinstance(table, dict) else None
        if not isinstance(text, str):
            continue
        token, place = _seen(spec, env_file, text)
        if token is not None and token != HIDDEN and (wrong := _wrong(token)):
            message = f"the token{place} is none of Telegram: it {wrong}"
            yield Finding((*at, "token"), "token-malformed", printable(message), _WAY_OUT, outside=bool(place))


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


def _wrong(token: str) -> str:
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
