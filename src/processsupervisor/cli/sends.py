"""`psv send …`: the sends of a native bot of which it was unknown whether they arrived, on its file. A bot that runs sends one itself."""

from __future__ import annotations

from processsupervisor.cli.bots import moment
from processsupervisor.cli.data import database_of, opened, resting, shortened
from processsupervisor.cli.session import Session
from processsupervisor.cli.table import print_table
from processsupervisor.commands.command import Command
from processsupervisor.kernel.errors import EXIT_OK, Refused
from processsupervisor.kernel.files import is_flocked
from processsupervisor.storage import uncertain
from processsupervisor.storage.uncertain import UncertainSend


def show_all(session: Session, command: Command, *, name: str, limit: int) -> int:
    """Print them, newest first."""
    with opened(database_of(session, name)) as file:
        found = uncertain.uncertain_sends(file, limit)
    if session.as_json:
        session.print_json([_told(send) for send in found])
        return EXIT_OK
    if not found:
        session.say(f"{name} has no send of which it was unknown whether it arrived")
        return EXIT_OK
    rows = [[str(send.number), moment(send.at), send.state, "/".join(send.place), shortened(send.text)] for send in found]
    print_table(("SEND", "MADE", "STATE", "CONVERSATION", "TEXT"), rows, right=("SEND",))
    return EXIT_OK


def again(session: Session, command: Command, *, name: str, send: int) -> int:
    """Have the bot that runs send it, or let it wait in the file of one that does not."""
    path = database_of(session, name)
    lock = session.paths.bot_run(name) / "lock"
    if is_flocked(lock):
        with session.client() as client:
            answer = client.call("bot.resend", {"name": name, "send": send})
        if not answer["ok"]:
            raise Refused(f"{name}: {answer['message']}", hint=_hint(name))
        session.say(f"{name} sends {send} again")
        return EXIT_OK
    with resting(name, lock), opened(path) as file:
        if uncertain.send_anew(file, send) is None:
            raise Refused(f"{name} has no send {send} that ended as unknown", hint=_hint(name))
    session.say(f"{name} sends {send} again when it starts")
    return EXIT_OK


def drop(session: Session, command: Command, *, name: str, send: int) -> int:
    """List one no more; the file may be in use."""
    with opened(database_of(session, name)) as file:
        if not uncertain.drop_send(file, send):
            raise Refused(f"{name} has no send {send} that could be dropped", hint=_hint(name))
    session.say(f"{name}: send {send} is listed no more")
    return EXIT_OK


def _told(send: UncertainSend) -> dict[str, object]:
    return {
        "send": send.number, "id": send.id, "network": send.place.network, "conversation": send.place.conversation, "text": send.text,
        "at": send.at, "state": send.state, "attempts": send.attempts,
    }  # fmt: skip


def _hint(name: str) -> str:
    return f"psv send list {name} shows what there is"
