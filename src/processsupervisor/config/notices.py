"""The tables [notify.NAME]: whom to tell, of what, and how. Their keys, what must come together, and their settings for the notifier.

A secret never stands in fleet.toml: keys that end in `_env` name the variable that holds it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Annotated, Any, Literal

from processsupervisor.config import forms
from processsupervisor.config.problem import Finding, KeyPath, printable, quoted
from processsupervisor.config.resolve import absolute
from processsupervisor.config.spec import NOTICE_WORDS, NotifySpec
from processsupervisor.config.tables import Table, key
from processsupervisor.config.values import (
    CommandLine,
    Duration,
    Label,
    Paths,
    SlowTime,
    Url,
    VariableName,
    Wrong,
    kind,
    text_of,
)
from processsupervisor.kernel.errors import PsvError
from processsupervisor.launch.envfile import parse_env_file

Cause = Literal["failed", "crash-loop", "hang", "oom", "deaf", "disk", "budget", "recovered"]
CAUSES: tuple[Cause, ...] = ("failed", "crash-loop", "hang", "oom", "deaf", "disk", "budget", "recovered")
TELEGRAM_API = "https://api.telegram.org"

_OF_ONE: dict[str, tuple[str, ...]] = {
    "webhook": ("url", "url_env", "template"),
    "telegram": ("token_env", "chat", "api"),
    "email": ("server", "sender", "address", "tls", "user_env", "password_env"),
    "command": ("command",),
}
"""The keys that only one kind of channel has."""
_NEEDED: dict[str, dict[str, str]] = {
    "webhook": {},
    "telegram": {
        "token_env": 'name the variable that holds the bot\'s token: token_env = "TELEGRAM_TOKEN"',
        "chat": 'the id of the chat to write to: chat = "-1001234567890"',
    },
    "email": {
        "server": 'give server = "smtp.example.org:587"',
        "sender": 'give sender = "psv@example.org"',
        "address": 'give address = "ops@example.org", or a list of addresses',
    },
    "command": {"command": 'give command = ["./tell.py"]; it reads the message as JSON on stdin'},
}


def _template(value: Any) -> str:
    template = Template(text_of(value))
    unknown = sorted(set(template.get_identifiers()) - set(NOTICE_WORDS))
    if unknown or not template.is_valid():
        found = f"${unknown[0]} is none of them; " if unknown else ""
        raise Wrong(f"JSON with {', '.join('$' + word for word in NOTICE_WORDS)} in it", f"{found}a $ itself is written $$")
    try:
        json.loads(template.substitute(dict.fromkeys(NOTICE_WORDS, "1")))
    except ValueError as err:
        raise Wrong("a text that is JSON once the words are put in", """for example template = '{"content": "$text"}'""") from err
    return template.template


def _chat(value: Any) -> str:
    if isinstance(value, bool) or not re.fullmatch(r"-?[0-9]{1,20}|@[A-Za-z][A-Za-z0-9_]{3,40}", str(value)):
        raise Wrong('the id of a chat such as "-1001234567890", or "@channel"', "psv cannot look it up: see getUpdates of the Bot API")
    return str(value)


def _server(value: Any) -> str:
    host, colon, port = text_of(value).rpartition(":")
    is_host = re.fullmatch(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+", host) is not None
    if not (colon and is_host and re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536):
        raise Wrong('a mail server and port such as "smtp.example.org:587"', "587 goes with starttls, 465 with tls")
    return str(value)


def _address(value: Any) -> str:
    if not re.fullmatch(r"[^\s@<>,;:\"\\]{1,64}@[^\s@<>,;:\"\\]{1,255}", text_of(value)) or not str(value).isprintable():
        raise Wrong('a mail address such as "ops@example.org"')
    return str(value)


def _addresses(value: Any) -> list[Any]:
    entries = value if isinstance(value, list) else [value]
    if not entries:
        raise Wrong("at least one mail address")
    return entries


TemplateText = Annotated[str, *kind("JSON text", _template, forms.TEXT)]
Chat = Annotated[str, *kind("chat id", _chat, forms.CHAT)]
Server = Annotated[str, *kind('"host:port"', _server, forms.HOST_PORT)]
Address = Annotated[str, *kind("mail address", _address, forms.MAIL)]
Addresses = Annotated[list[Address], *kind("mail address or list of them", _addresses, forms.one_or_many(forms.MAIL))]


class NotifyTable(Table):
    """One channel."""

    to: Literal["webhook", "telegram", "email", "command"] = key(..., "What kind of channel it is", "required", effect="live")
    on: Annotated[list[Cause], Label("list of causes")] = key(
        lambda: list(CAUSES),
        f"What is told: {', '.join(CAUSES)}. That psvd or the keeper is away is told in any case",
        "all of them",
        effect="live",
    )
    url: Url | None = key(None, "webhook: where the message is posted", "`url` or `url_env` is required", effect="live")
    url_env: VariableName | None = key(None, "webhook: the variable that holds the address, for one that is a secret", "-", effect="live")
    template: TemplateText | None = key(
        None, """webhook: the body, as in `'{"content": "$text"}'`""", "the whole message as JSON", effect="live"
    )
    token_env: VariableName | None = key(None, "telegram: the variable that holds the bot's token", "required for telegram", effect="live")
    chat: Chat | None = key(None, "telegram: the chat that is written to", "required for telegram", effect="live")
    api: Url = key(TELEGRAM_API, "telegram: another server of the Bot API", f'"{TELEGRAM_API}"', effect="live")
    server: Server | None = key(None, "email: the mail server", "required for email", effect="live")
    sender: Address | None = key(None, "email: who it is from", "required for email", effect="live")
    address: Addresses = key(list, "email: who gets it", "required for email", effect="live")
    tls: Literal["starttls", "tls", "none"] = key("starttls", "email: how the connection is encrypted", '"starttls"', effect="live")
    user_env: VariableName | None = key(
        None, "email: the variable that holds the user's name for the mail server", "no login", effect="live"
    )
    password_env: VariableName | None = key(None, "email: the variable that holds the password", "no login", effect="live")
    command: CommandLine | None = key(None, "command: the program; `./` is beside fleet.toml", "required for command", effect="live")
    env_file: Paths = key(list, "Files of NAME=value lines for the `_env` keys; stronger than the environment of psv", "[]", effect="live")
    timeout: SlowTime = key(10.0, "Time for one try", '"10s"', effect="live")
    away: SlowTime = key(30.0, "psvd or the keeper is told as gone after so long", '"30s"', effect="live")
    heartbeat: Url | None = key(None, "Dead man's switch: a GET of this address while the fleet is well", "-", effect="live")
    heartbeat_every: SlowTime = key(60.0, "Time from one heartbeat to the next", '"1m"', effect="live")
    repeat: Duration = key(
        3600.0, "So long one cause of one bot is told once; what comes meanwhile is told together afterwards", '"1h"', effect="live"
    )


def check_channel(table: NotifyTable, at: KeyPath) -> Iterator[Finding]:
    """Find keys that the kind of channel needs or does not know."""
    written = table.model_fields_set
    for other, names in _OF_ONE.items():
        for name in names:
            if name in written and other != table.to:
                text = f"found {name} in [{at[0]}.{at[1]}], which is of the kind {table.to}; expected it with to = {quoted(other)} only"
                yield Finding((*at, name), "notify-key", text, "remove it, or change to")
    for name, hint in _NEEDED[table.to].items():
        if not getattr(table, name):
            yield Finding(at, "missing-key", f"{quoted(name)} is missing in [{at[0]}.{at[1]}], which tells by {table.to}", hint)
    if table.to == "webhook" and (table.url is None) == (table.url_env is None):
        found = "both url and url_env" if table.url is not None else "neither url nor url_env"
        hint = 'give url = "https://…", or url_env = "NAME" for an address that is a secret'
        yield Finding(at, "notify-address", f"found {found} in [{at[0]}.{at[1]}], expected one of them", hint)
    if (table.user_env is None) != (table.password_env is None):
        text = f"found only one of user_env and password_env in [{at[0]}.{at[1]}], expected both or none"
        yield Finding((*at, "user_env" if table.user_env else "password_env"), "notify-login", text, "name both variables")


def channel_spec(name: str, table: NotifyTable, folder: Path) -> NotifySpec:
    """Return the settings of one channel."""
    command = list(table.command) if table.command else None
    if command and "/" in command[0]:
        command[0] = absolute(folder, command[0])
    return {
        "name": name,
        "to": table.to,
        "on": [str(cause) for cause in dict.fromkeys(table.on)],
        "url": table.url,
        "url_env": table.url_env,
        "template": table.template,
        "token_env": table.token_env,
        "chat": table.chat,
        "api": table.api.rstrip("/"),
        "server": table.server,
        "sender": table.sender,
        "address": list(table.address),
        "tls": table.tls,
        "user_env": table.user_env,
        "password_env": table.password_env,
        "command": command,
        "env_files": [absolute(folder, path) for path in table.env_file],
        "timeout_s": table.timeout,
        "away_s": table.away,
        "heartbeat": table.heartbeat,
        "heartbeat_every_s": table.heartbeat_every,
        "repeat_s": table.repeat,
    }


def outside_of(spec: NotifySpec, at: KeyPath) -> Iterator[Finding]:
    """Warn of files, programs and variables that are not there now: bots run without, and they may be there when it is time."""
    variables: dict[str, str] = dict(os.environ)
    for path in spec["env_files"]:
        try:
            variables |= parse_env_file(Path(path))
        except PsvError as err:
            yield Finding((*at, "env_file"), "notify-env", printable(err.message), printable(err.hint), outside=True, warning=True)
            return
    for name in ("url_env", "token_env", "user_env", "password_env"):
        variable = spec.get(name)
        if variable and not variables.get(str(variable)):
            text = f"the variable {variable} of [{at[0]}.{at[1]}] is neither in env_file nor in this environment"
            hint = "psv must be started with it, or env_file name a file that has it"
            yield Finding((*at, name), "notify-variable", text, hint, outside=True, warning=True)
    program = spec["command"][0] if spec["command"] else ""
    if "/" in program and not (Path(program).is_file() and os.access(program, os.X_OK)):
        text = f"command of [{at[0]}.{at[1]}]: {printable(program)} is no program that may be executed"
        yield Finding((*at, "command"), "notify-command", text, "create it, and chmod +x", outside=True, warning=True)
