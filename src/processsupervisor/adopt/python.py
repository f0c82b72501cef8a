"""A plain main.py, and what a Python program of any source tells of itself: lock, readiness, variables, tokens in the source."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from processsupervisor.adopt.interpreter import python_script, venv_beside
from processsupervisor.adopt.program import CannotRead, Found, LeftOut, Lock, Place, Source
from processsupervisor.adopt.source import Reading, read_program
from processsupervisor.adopt.text import read_bytes
from processsupervisor.adopt.wrapper import wrapping_of
from processsupervisor.kernel.errors import PsvError
from processsupervisor.launch.envfile import parse_env_file

NETWORKS = {
    "aiogram": "Telegram", "telegram": "Telegram", "telebot": "Telegram", "telethon": "Telegram", "pyrogram": "Telegram",
    "discord": "Discord", "disnake": "Discord", "nextcord": "Discord", "hikari": "Discord", "interactions": "Discord",
    "slack_bolt": "Slack", "slack_sdk": "Slack", "nio": "Matrix", "mautrix": "Matrix", "slixmpp": "XMPP", "irc": "IRC",
    "twitchio": "Twitch",
}  # fmt: skip
_COMMON_STEMS = frozenset({"main", "bot", "app", "run", "start", "__main__", "index", "server"})
_READ_BY = {
    "openai": ("OPENAI_API_KEY", "OPENAI_BASE_URL"), "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"), "groq": ("GROQ_API_KEY",),
    "mistralai": ("MISTRAL_API_KEY",), "cohere": ("CO_API_KEY",), "sentry_sdk": ("SENTRY_DSN",),
    "boto3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_PROFILE"),
}  # fmt: skip
"""Variables that a library reads by itself, without a word of the program."""
_TOKEN_IN_SOURCE = "a token written into the source"


def read_python(path: Path) -> Source:
    """Read one Python file; raises CannotRead when Python 3 cannot parse it."""
    if wrapping := wrapping_of(path):
        path = wrapping.bot  # a bot that runs the wrapper would be a fleet in a fleet
    source = Source("python", path)
    read_bytes(path)
    folder = path.parent
    reading = read_program(path, folder)
    if reading.error:
        hint = f'run it as it is: command = ["python2", "{path.name}"]' if "Python 2" in reading.error else "correct the file"
        raise CannotRead(f"{Place(path, reading.error_line)}: {reading.error}, expected Python 3", hint=hint)
    stem = path.stem.lower()
    name = folder.name if stem in _COMMON_STEMS and folder.name else path.stem
    venv = venv_beside(folder)
    if folder != Path.cwd():
        why = f"psv runs it in {folder}: if it is started in another folder, name that as cwd, where its files are"
        source.left_out.append(LeftOut(Place(path), "the working folder", why))
    found = Found(name, Place(path), [str(venv or sys.executable), str(path)], cwd=folder)
    if venv is None:
        missing = sorted(library for library in reading.libraries if not _is_installed(library))
        if missing:
            why = 'not installed for the interpreter that psv runs on: give python = "path/to/venv", or install it there'
            source.left_out.append(LeftOut(Place(path), f"import {', '.join(missing)}", why))
    source.programs.append(found)
    return source


def look_into(source: Source) -> None:
    """Add to each program what its Python source says; programs of other kinds stay as they are."""
    for found in source.programs:
        cwd = found.cwd or found.place.path.parent
        script = None if found.shell or found.keep_command else python_script(found.argv, cwd, found.env)
        if script is None or not script.path.is_file():
            continue
        reading = read_program(script.path, cwd)
        if reading.error:
            found.keep_command = True
            why = f"{reading.error}: run as a command, in an interpreter of its own"
            source.left_out.append(LeftOut(Place(script.path, reading.error_line), f"script of {found.name}", why))
            continue
        _tokens(source, found, reading)
        given = _given(source, found, reading, script.path)
        _lock(source, found, reading, given, script.path)
        if not found.ready:
            found.ready = _ready(reading)
        if found.port and "PORT" in reading.variables and "PORT" not in given:
            found.env["PORT"] = found.port
        named = [*reading.variables, *(name for library in sorted(reading.libraries) for name in _READ_BY.get(library, ()))]
        found.inherit += [name for name in named if name not in given and not name.startswith("PSV_")]


def _is_installed(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except (ImportError, ValueError):
        return True


def _tokens(source: Source, found: Found, reading: Reading) -> None:
    variable = "DISCORD_TOKEN" if "Discord" in _networks(reading) else "BOT_TOKEN"
    for path, line in reading.tokens:
        why = (
            f"not locked, and whoever reads the file has it. Move it: put it as {variable} into {path.parent / '.env'} (chmod 600), "
            f'read it with os.environ["{variable}"], then env_file = ".env" and lock = [{{ env = "{variable}" }}]'
        )
        source.left_out.append(LeftOut(Place(path, line), f"{_TOKEN_IN_SOURCE} of {found.name}", why))


def _networks(reading: Reading) -> list[str]:
    return sorted({NETWORKS[library] for library in reading.libraries if library in NETWORKS})


def _given(source: Source, found: Found, reading: Reading, script: Path) -> set[str]:
    """Return the variables that the program gets; a .env that it loads itself becomes its env_file, so that psv knows the token too."""
    given = set(found.env)
    files = list(found.env_files)
    if reading.loads_dotenv or source.kind == "python":
        folders = dict.fromkeys([script.parent, found.cwd or script.parent])
        files += [folder / ".env" for folder in folders if (folder / ".env").is_file()]
    for path in files:
        try:
            variables = parse_env_file(path)
            if path not in found.env_files and reading.loads_dotenv and any("${" in value for value in variables.values()):
                why = "it builds values out of others (${NAME}), which the program does itself: psv does not read it"
                source.left_out.append(LeftOut(Place(path), f"variables of {found.name}", why))
                continue
            given |= set(variables)
        except PsvError as err:
            if path not in found.env_files:
                source.left_out.append(LeftOut(Place(path), f"variables of {found.name}", f"{err.message}; psv does not read it"))
            continue
        if path not in found.env_files:
            found.env_files.append(path)
    return given


def _lock(source: Source, found: Found, reading: Reading, given: set[str], script: Path) -> None:
    networks = _networks(reading)
    candidates = reading.token_variables or [name for name in reading.variables if name.upper().endswith("TOKEN")]
    if networks and (len(candidates) == 1 or reading.token_variables):
        for name in (next((real for real in given if real.upper() == name.upper()), name) for name in candidates):
            if name in given or not reading.loads_dotenv:
                found.locks.append(Lock(env=name))
                if name not in given and not os.environ.get(name):
                    why = "neither a file nor this environment has it, psv needs it at the start: env_file, or export it before psv up"
                    source.left_out.append(LeftOut(found.place, f"the token {name} of {found.name}", why))
            else:
                why = f'its value is in no file that psv reads: add env_file and lock = [{{ env = "{name}" }}]'
                source.left_out.append(LeftOut(found.place, f"the token {name} of {found.name}", why))
    elif networks and candidates:
        why = 'psv cannot tell which of them is the network token: add lock = [{ env = "NAME" }]'
        source.left_out.append(LeftOut(found.place, f"{', '.join(candidates)} of {found.name}", why))
    for library, name in reading.sessions:
        if library not in reading.libraries or ":memory:" in name:
            continue
        base = (found.cwd or script.parent) if library == "telethon" else script.parent
        file = name if name.endswith(".session") else f"{name}.session"
        found.locks.append(Lock(file=os.path.normpath(base / file)))


def _ready(reading: Reading) -> dict[str, object]:
    """Return the line or port by which the program shows that it is connected; only what its own source makes certain.

    A bot that never says its line would be ended at its start_timeout: so nothing where it may take webhooks instead of polling,
    or where it makes single loggers quiet.
    """
    calls = reading.calls
    is_logged = reading.logs_info and not reading.quiets
    polls = bool(calls & {"start_polling", "run_polling"})
    hooks = bool(calls & {"run_app", "run_webhook", "start_webhook", "set_webhook", "setup_application", "SimpleRequestHandler"})
    if "aiogram" in reading.libraries and is_logged and polls and not hooks:
        is_new = "executor" not in calls and (reading.polls_bot or "run_polling" in calls)
        return {"log": "Run polling for bot" if is_new else "Start polling"}  # aiogram 3, and 2
    if "telegram" in reading.libraries and is_logged and calls & {"run_polling", "run_webhook"}:
        return {"log": "Application started"}
    is_server = bool(reading.libraries & {"flask", "uvicorn", "aiohttp", "quart", "sanic"})
    if is_server and len(set(reading.ports)) == 1 and not polls:
        return {"tcp": reading.ports[0]}
    return {}
