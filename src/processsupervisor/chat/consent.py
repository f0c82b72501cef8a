"""The manners that no bot can leave out: the statement that a program answers, /about, /stop and /start.

The operator chooses name and wording (`about` in the bot's options). A wording that names no kind of program gets the
plain sentence added: nothing here can be used to pass a bot off as a human being.
"""

from __future__ import annotations

import re

from processsupervisor.storage.records import Consent, InboxRow

RESERVED_COMMANDS = frozenset({"about", "stop"})
MAX_WORDING_CHARS = 2000
PLAIN_STATEMENT = "A computer program answers here, not a person."
_NAMES_A_PROGRAM = re.compile(
    r"\b(\w*bots?|robots?|\w*programm?e?s?|\w*programa|\w*automat\w*|logiciel|software|ai|ki|artificial intelligence"
    r"|künstliche intelligenz|intelligence artificielle|inteligencia artificial|бот|программа)\b",
    re.IGNORECASE,
)

_COMMAND = re.compile(r"/([A-Za-z][\w-]*)")
_NAMES_A_BOT = re.compile(r"/[A-Za-z][\w-]*@")

STOPPED = "You will get no more messages that I send first. I still answer, and your reminders still come. /start undoes this."
STARTED = "You agreed to get messages that I send first. /stop undoes this."


def statement(name: str, wording: object = None) -> str:
    """Return the disclosure of the bot `name`, in the operator's wording if there is one."""
    text = wording.strip()[:MAX_WORDING_CHARS] if isinstance(wording, str) else ""
    if not text:
        return f"This is {name}. {PLAIN_STATEMENT}"
    return text if _NAMES_A_PROGRAM.search(text) else f"{text}\n\n{PLAIN_STATEMENT}"


def command_of(text: str) -> str | None:
    """Return the word of a slash command in lower case ("about" for "/about@anna now"), None for other text."""
    match = _COMMAND.match(text) if text.startswith("/") else None
    return match.group(1).lower() if match else None


def command_in(row: InboxRow) -> str | None:
    """Return the word of the command that a message gives to this bot: one that names another bot of the room is none."""
    return None if not row.envelope.is_addressed and _NAMES_A_BOT.match(row.text) else command_of(row.text)


def consent_command(command: str | None) -> Consent | None:
    """Return what /start and /stop say, None for everything else."""
    if command == "stop":
        return Consent.OPTED_OUT
    return Consent.OPTED_IN if command == "start" else None
