"""`psv letter …`: the messages that a native bot gave up, on its file. A bot that runs is asked to replay one itself."""

from __future__ import annotations

import re
from dataclasses import asdict

from processsupervisor.cli.bots import moment
from processsupervisor.cli.data import database_of, opened, resting, shortened
from processsupervisor.cli.session import Session
from processsupervisor.cli.table import print_table
from processsupervisor.commands.command import Command
from processsupervisor.kernel.errors import EXIT_OK, Refused
from processsupervisor.kernel.files import is_flocked
from processsupervisor.storage import letters, uncertain
from processsupervisor.storage.known import DeadLetter

_WITHOUT_TEXT = re.compile(r"[\w.]+ at ")
"""An exception of the author's: its type and its place."""
_AGAIN = "; if it fails again, psv letter list has it under a new number"


def show_all(session: Session, command: Command, *, name: str, limit: int) -> int:
    """Print the letters, newest first."""
    with opened(database_of(session, name)) as file:
        found, unknown = letters.dead_letters(file, limit), uncertain.uncertain_count(file)
    if session.as_json:
        session.print_json([_told(letter) for letter in found])
        return EXIT_OK
    if found:
        _print(found)
    else:
        session.say(f"{name} has given up no message")
    if unknown:
        session.say(f"{unknown} send{'' if unknown == 1 else 's'} of which it was unknown whether they arrived: psv send list {name}")
    return EXIT_OK


def _print(found: list[DeadLetter]) -> None:
    rows = [
        [str(letter.row_id), moment(letter.died_at), letter.reason, str(letter.attempts), "/".join(letter.place), shortened(letter.text)]
        for letter in found
    ]
    print_table(("LETTER", "GIVEN UP", "REASON", "TRIES", "CONVERSATION", "TEXT"), rows, right=("LETTER", "TRIES"))


def show(session: Session, command: Command, *, name: str, letter: int) -> int:
    """Print one letter whole."""
    with opened(database_of(session, name)) as file:
        found = letters.dead_letter(file, letter)
    if found is None:
        raise _unknown(name, letter)
    if session.as_json:
        session.print_json(_told(found))
        return EXIT_OK
    tries = f"{found.attempts} {'try' if found.attempts == 1 else 'tries'}"
    told = {
        "letter": found.row_id, "conversation": "/".join(found.place), "from": found.sender, "kind": found.kind.value,
        "came": moment(found.received_at), "given up": f"{moment(found.died_at)}, {found.reason} after {tries}",
        "where": found.detail or "-",
    }  # fmt: skip
    if _WITHOUT_TEXT.match(found.detail):
        told["what it said"] = "not kept, for it may hold a contact's words; python FILE.py (bot.run()), or a test with a Lab, shows it"
    for word, value in told.items():
        session.say(f"{word + ':':14}{value}")
    session.say()
    session.say_text(found.text)
    return EXIT_OK


def replay(session: Session, command: Command, *, name: str, letter: int) -> int:
    """Have the bot that runs handle it again, or open it in the file of one that does not."""
    path = database_of(session, name)
    lock = session.paths.bot_run(name) / "lock"
    if is_flocked(lock):
        with session.client() as client:
            answer = client.call("bot.replay", {"name": name, "letter": letter})
        if not answer["ok"]:
            raise Refused(f"{name}: {answer['message']}", hint=_hint(name))
        session.say(f"{name} handles letter {letter} again{_AGAIN}")
        return EXIT_OK
    with resting(name, lock), opened(path) as file:
        if letters.replay(file, letter, None) is None:
            raise _unknown(name, letter)
    session.say(f"{name} handles letter {letter} again when it starts{_AGAIN}")
    return EXIT_OK


def drop(session: Session, command: Command, *, name: str, letter: int) -> int:
    """Forget a letter; the file may be in use."""
    with opened(database_of(session, name)) as file:
        if not letters.drop_letter(file, letter):
            raise _unknown(name, letter)
    session.say(f"{name}: letter {letter} is dropped")
    return EXIT_OK


def _told(letter: DeadLetter) -> dict[str, object]:
    told = asdict(letter) | {"network": letter.place.network, "conversation": letter.place.conversation}
    del told["place"]
    return {"letter": told.pop("row_id")} | told


def _unknown(name: str, letter: int) -> Refused:
    return Refused(f"{name} has no letter {letter}", hint=_hint(name))


def _hint(name: str) -> str:
    return f"psv letter list {name} shows what there is; one that failed again has a new number"
