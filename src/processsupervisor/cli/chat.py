"""`psv chat NAME [TEXT…]`: talk to a native bot over its own socket; it works while psvd is dead. Piped, each line is a message.

The message's id is made here and sent again after a broken connection, so the bot handles it once. This is a contact
like any other: what the bot may say to it is the bot's affair.
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TextIO

from processsupervisor.cli.botlink import BotLink, Event, last_seq, new_id
from processsupervisor.cli.heard import Heard
from processsupervisor.cli.reading import WAITED, text_of
from processsupervisor.cli.session import Session, keeper_runs, never_ran, safe
from processsupervisor.commands.command import Command, nearest_hint
from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import EXIT_OK, NoSuchBot, NoSupervisor, PsvError, Refused
from processsupervisor.kernel.files import read_json
from processsupervisor.kernel.paths import BOT_NAME_PATTERN, FleetPaths

RETRY_S = 0.1
_LOOK_BACK = 200


def chat(session: Session, command: Command, *, name: str, text: list[str], conversation: str | None, timeout_s: float) -> int:
    """Say TEXT and print the reply, or hold a conversation."""
    require_chat(session.paths, name)
    conversation = conversation or f"cli-{_user()}"
    said = " ".join(text)
    if said or not sys.stdin.isatty():
        lines = [said] if said else _lines_of(sys.stdin, name)
        for line in lines:
            reply = ask_once(session.paths, name, line, conversation, timeout_s, tell=_tell)
            if reply:
                session.say_text(reply)
            else:
                session.note(f"{name} has handled it without a reply")
        return EXIT_OK
    from processsupervisor.cli.converse import Conversation  # readline and threading only for who talks

    return Conversation(session, name, conversation).run()


def _lines_of(source: TextIO, name: str) -> Iterator[str]:
    """Yield each line as a message, as it comes. Raises PsvError when there is none."""
    count = 0
    for line in source:
        if line.strip():
            count += 1
            yield line.rstrip("\r\n")
    if not count:
        raise PsvError("nothing to say: standard input is empty", hint=f"psv chat {name} TEXT")


def _tell(text: str) -> None:
    """Show what is no reply: it is for the person, not for a pipe that wants the reply."""
    print("\n".join(safe(line) for line in text.split("\n")), file=sys.stderr)


def require_chat(paths: FleetPaths, name: str) -> None:
    """Raise NoSuchBot for an unknown bot, Refused for a program, which has no chat."""
    applied = read_json(paths.applied)
    bots = applied.get("bots") if isinstance(applied, dict) else None
    rows = [bot for bot in bots if isinstance(bot, dict)] if isinstance(bots, list) else []
    known = {str(bot.get("name")): bot for bot in rows if re.fullmatch(BOT_NAME_PATTERN, str(bot.get("name")))}
    if not known:
        raise never_ran(paths)
    if name not in known:
        raise NoSuchBot(f'there is no bot "{name}"', hint=nearest_hint(name, list(known), "the fleet has"))
    kind = known[name].get("kind")
    if kind != "native":
        raise Refused(f"{name} is a {kind} and has no chat of psv's", hint="only native bots (run = …) can be talked to; see psv logs")


def ask_once(
    paths: FleetPaths, name: str, text: str, conversation: str, timeout_s: float, *, tell: Callable[[str], None] | None = None
) -> str:
    """Say `text` to a bot and return its reply, "" for none; a bot that is just restarted is waited for. Raises PsvError when it is late.

    `tell` is shown what the bot says besides, first of all what nobody heard since the last call with it.
    """
    question = Question(paths, name, text, conversation, tell)
    try:
        return _ask(question, paths, name, timeout_s)
    finally:
        question.note_heard()


def _ask(question: Question, paths: FleetPaths, name: str, timeout_s: float) -> str:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        link = None
        try:
            link = BotLink(paths, name)
            reply = question.ask(link, deadline)
        except (FileNotFoundError, ConnectionError, TimeoutError):
            _pause_before_retry(paths, name, deadline)
            continue
        finally:
            if link is not None:
                link.close()
        if reply is not None:
            return reply
    if question.is_accepted:
        raise PsvError(f"{name} has taken the message and not answered within {timeout_s:g} s", hint=f"see psv bot status {name}")
    raise PsvError(f"{name} took no message within {timeout_s:g} s{_why(_row(paths, name))}", hint=f"see psv bot status {name}")


class Question:
    """One message that wants its reply, over as many connections as it takes."""

    def __init__(self, paths: FleetPaths, name: str, text: str, conversation: str, tell: Callable[[str], None] | None = None) -> None:
        self._paths = paths
        self._heard = Heard(paths, name, conversation)
        self._tell = tell
        self._name = name
        self._text = text
        self._conversation = conversation
        self._id = new_id()
        self._after: int | None = None
        """Number of the last event that was taken: from there on a reconnect replays, so that no reply is missed."""
        self._newest = 0
        """Number of the newest event when we came: up to there it waited."""
        self._replies: list[str] = []
        self.is_accepted = False

    def ask(self, link: BotLink, deadline: float) -> str | None:
        """Return the reply; None at the deadline. Raises ConnectionError when the connection ends before, PsvError when refused."""
        if self._after is None:
            link.send(op="history", conversation=self._conversation, limit=_LOOK_BACK)
        else:
            self._subscribe_and_post(link, self._after)
            if self._replies:
                self._ask_for_the_end(link)
        for event in link.messages(deadline):
            op = event.get("op")
            if op == "history" and self._after is None:
                self._newest = last_seq(event)
                self._after = self._newest if self._tell is None else self._heard.place_in(self._newest)
                self._subscribe_and_post(link, self._after)
            elif op == "history":
                return "\n".join(self._replies)
            elif op == "refused" and event.get("id") in (self._id, None):
                raise self._refusal(event)
            elif op == "accepted":
                self.is_accepted = True
            elif op == "unanswered" and event.get("id") == self._id:
                return ""
            elif op == "event" and event.get("final"):
                self._take(event, link)
        return None

    def _take(self, event: Event, link: BotLink) -> None:
        seq, text = event.get("seq"), text_of(event, self._paths, self._name)
        if isinstance(seq, int):
            self._after = seq
        if event.get("reply_to") == self._id:
            self._replies.append(text)  # first: a connection that is cut now is asked again by the next
            if len(self._replies) == 1:
                self._ask_for_the_end(link)
        elif self._tell is not None:
            has_waited = isinstance(seq, int) and seq <= self._newest
            self._tell(f"{WAITED}{text}" if has_waited else text)

    def _ask_for_the_end(self, link: BotLink) -> None:
        """Ask for something that is answered behind all that was committed with the first reply: further ones are there then."""
        link.send(op="history", conversation=self._conversation, limit=1)

    def note_heard(self) -> None:
        """Write down what was shown, if somebody was."""
        if self._tell is not None and self._after is not None:
            self._heard.note(self._after)

    def _subscribe_and_post(self, link: BotLink, after: int) -> None:
        link.send(op="subscribe", conversation=self._conversation, after=after)
        link.send(op="post", id=self._id, text=self._text, conversation=self._conversation)

    def _refusal(self, event: Event) -> PsvError:
        code = str(event.get("code") or "refused")
        return Refused(f"{self._name} did not take the message: {event.get('message') or code}", code=code)


def _pause_before_retry(paths: FleetPaths, name: str, deadline: float) -> None:
    """Give a bot that is just being restarted time; raise when nothing runs that could bring it back."""
    if not keeper_runs(paths):
        hint = f"start it with: psv -C {shlex.quote(str(paths.folder))} up"
        raise NoSupervisor(f"{name} does not run and no supervisor runs for {paths.folder}", hint=hint)
    _refuse_resting(paths, name)
    time.sleep(max(0.0, min(RETRY_S, deadline - time.monotonic())))


def _refuse_resting(paths: FleetPaths, name: str) -> None:
    """Raise Refused when psvd says that the bot rests and nobody but a person will start it; without psvd, wait on."""
    row = _row(paths, name)
    if row.get("state") in ("STOPPED", "FAILED", "TERMINATED") and row.get("pid") is None:
        raise Refused(f"{name} takes no message{_why(row)}", hint=str(row.get("what_to_do") or f"start it: psv start {name}"))


def _row(paths: FleetPaths, name: str) -> Mapping[str, object]:
    """Return what psvd says of the bot; nothing when it does not answer."""
    try:
        with ControlClient(paths, timeout_s=2.0) as client:
            (row,) = client.call("bot.status", {"names": [name]})
    except PsvError:
        return {}
    return row if isinstance(row, dict) else {}


def _why(row: Mapping[str, object]) -> str:
    """Return ": it is FAILED (config)" of a bot that does not run, "" of one that does."""
    if row.get("state") in (None, "RUNNING"):
        return ""
    return f": it is {row['state']}" + (f" ({row['reason']})" if row.get("reason") and row["state"] != "STOPPED" else "")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid()) if hasattr(os, "getuid") else "user"
