"""`psv chat NAME [TEXT…]`: talk to a native bot over its own socket; it works while psvd is dead.

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
from collections.abc import Mapping

from processsupervisor.cli.botlink import BotLink, Event, last_seq, new_id
from processsupervisor.cli.session import Session, keeper_runs, never_ran, safe
from processsupervisor.commands.command import Command, nearest_hint
from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import EXIT_OK, NoSuchBot, NoSupervisor, PsvError, Refused
from processsupervisor.kernel.files import read_json
from processsupervisor.kernel.paths import BOT_NAME_PATTERN, FleetPaths

RETRY_S = 0.1


def chat(session: Session, command: Command, *, name: str, text: list[str], conversation: str | None, timeout_s: float) -> int:
    """Say TEXT and print the reply, or hold a conversation."""
    require_chat(session.paths, name)
    conversation = conversation or f"cli-{_user()}"
    said = " ".join(text)
    if not said and not sys.stdin.isatty():
        said = sys.stdin.read().strip()
        if not said:
            raise PsvError("nothing to say: standard input is empty", hint=f"psv chat {name} TEXT")
    if said:
        session.say_text(ask_once(session.paths, name, said, conversation, timeout_s))
        return EXIT_OK
    from processsupervisor.cli.converse import Conversation  # readline and threading only for who talks

    return Conversation(session, name, conversation).run()


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


def ask_once(paths: FleetPaths, name: str, text: str, conversation: str, timeout_s: float) -> str:
    """Say `text` to a bot and return its reply; a bot that is just restarted is waited for. Raises PsvError when none comes."""
    question = Question(name, text, conversation)
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

    def __init__(self, name: str, text: str, conversation: str) -> None:
        self._name = name
        self._text = text
        self._conversation = conversation
        self._id = new_id()
        self._after: int | None = None
        """Number of the last event before ours: from there on a reconnect replays, so that no reply is missed."""
        self.is_accepted = False

    def ask(self, link: BotLink, deadline: float) -> str | None:
        """Return the reply; None at the deadline. Raises ConnectionError when the connection ends before, PsvError when refused."""
        if self._after is None:
            link.send(op="history", conversation=self._conversation, limit=50)
        else:
            self._subscribe_and_post(link, self._after)
        for event in link.messages(deadline):
            op = event.get("op")
            if op == "history" and self._after is None:
                self._after = last_seq(event)
                self._subscribe_and_post(link, self._after)
            elif op == "refused" and event.get("id") in (self._id, None):
                raise self._refusal(event)
            elif op == "accepted":
                self.is_accepted = True
            elif op == "event" and event.get("reply_to") is None and event.get("final"):
                # What the bot says of itself (that a program answers) is for the person, not for a pipe that wants the reply.
                print(safe(str(event.get("text", ""))), file=sys.stderr)
            elif op == "event" and event.get("reply_to") == self._id and event.get("final"):
                return str(event.get("text", ""))
        return None

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
