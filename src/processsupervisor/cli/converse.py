"""An interactive chat with one bot on a terminal: input() with line editing, and what the bot says as it comes.

One thread reads the bot's socket and prints, the main thread reads the keyboard. A bot that restarts, or is away, is waited
for; what has no final reply yet is sent again under its old id. Ctrl-D or Ctrl-C ends it.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time

from processsupervisor.cli.botlink import SEND_S, BotLink, Event, last_seq, new_id
from processsupervisor.cli.heard import Heard
from processsupervisor.cli.reading import WAITED, text_of
from processsupervisor.cli.session import Session, is_terminal, safe
from processsupervisor.kernel.errors import EXIT_OK

RETRY_S = 0.3
PROMPT = "> "


class Conversation:
    """The state that both threads share, under one lock that is never held over a wait on the network or the keyboard."""

    def __init__(self, session: Session, name: str, conversation: str) -> None:
        self._session = session
        self._name = name
        self._conversation = conversation
        self._lock = threading.Lock()
        self._link: BotLink | None = None
        self._heard = Heard(session.paths, name, conversation)
        self._after: int | None = None
        self._newest = 0
        """Number of the newest event when we came: up to there it waited."""
        self._unanswered: dict[str, str] = {}
        self._has_draft = False
        self._is_tty = is_terminal()

    def run(self) -> int:
        """Talk until the end of input."""
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - gives input() its line editing
        self._session.say(f"talking to {self._name}; Ctrl-D ends")
        threading.Thread(target=self._listen, daemon=True, name="chat-listen").start()
        while True:
            try:
                text = input(PROMPT if self._is_tty else "").strip()
            except (EOFError, KeyboardInterrupt):
                self._session.say()
                return EXIT_OK
            if text:
                self._post(new_id(), text)

    def _post(self, message_id: str, text: str) -> None:
        with self._lock:
            self._unanswered[message_id] = text
            if self._link is not None:
                with contextlib.suppress(OSError):  # the listener notices and sends it again
                    self._link.send(op="post", id=message_id, text=text, conversation=self._conversation)

    def _listen(self) -> None:
        is_away = False
        while True:
            try:
                link = self._connect()
                if is_away:
                    self._print(f"({self._name} is back)")
                is_away = False
                while True:
                    for event in link.messages(time.monotonic() + 3600):
                        self._take(event)
            except (OSError, ValueError):
                with self._lock:
                    self._link = None
                if not is_away:
                    self._print(f"({self._name} is away; waiting for it)")
                is_away = True
                time.sleep(RETRY_S)

    def _connect(self) -> BotLink:
        link = BotLink(self._session.paths, self._name)
        if self._after is None:
            self._find_place(link)
        link.send(op="subscribe", conversation=self._conversation, after=self._after)
        with self._lock:
            for message_id, text in self._unanswered.items():
                link.send(op="post", id=message_id, text=text, conversation=self._conversation)
            self._link = link
        return link

    def _find_place(self, link: BotLink) -> None:
        link.send(op="history", conversation=self._conversation, limit=200)
        for event in link.messages(time.monotonic() + SEND_S):
            if event.get("op") == "history":
                self._newest = last_seq(event)
                self._after = self._heard.place_in(self._newest)
                return

    def _take(self, event: Event) -> None:
        op = event.get("op")
        if op == "refused":
            with self._lock:
                self._unanswered.pop(str(event.get("id")), None)
            self._print(f"({event.get('message') or event.get('code')})")
        elif op == "unanswered":
            with self._lock:
                self._unanswered.pop(str(event.get("id")), None)
        elif op == "event" and event.get("final"):
            seq = event.get("seq")
            with self._lock:
                self._unanswered.pop(str(event.get("reply_to")), None)
            waited = WAITED if isinstance(seq, int) and seq <= self._newest else ""
            self._print(f"{self._name}: {waited}{text_of(event, self._session.paths, self._name)}")
            if isinstance(seq, int):
                self._after = seq
                self._heard.note(seq)
        elif op == "event" and self._is_tty:
            self._draft(str(event.get("text", "")))

    def _draft(self, text: str) -> None:
        """Show the end of what is being written in place of the prompt."""
        width = max(10, os.get_terminal_size().columns - len(self._name) - 6)
        last = safe((text.splitlines() or [""])[-1])[-width:]
        sys.stdout.write(f"\r\x1b[K{self._name}: {last} …")
        sys.stdout.flush()

    def _print(self, text: str) -> None:
        """Print above the prompt and put back what was being typed."""
        lines = [safe(line) for line in text.split("\n")]
        if not self._is_tty:
            sys.stdout.write("\n".join(lines) + "\n")
        else:
            readline = sys.modules.get("readline")
            typed = readline.get_line_buffer() if readline is not None else ""
            sys.stdout.write("\r\x1b[K" + "\n".join(lines) + "\n" + PROMPT + typed)
        sys.stdout.flush()
