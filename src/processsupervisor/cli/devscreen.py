"""The one screen of `psv dev`: what bots write, what becomes of them, and a conversation, as plain lines. Knows nothing of files.

Each of the three is a thread that ends with the process; lines are printed whole.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence

from processsupervisor.cli.chat import ask_once
from processsupervisor.cli.session import safe
from processsupervisor.ipc.client import ControlClient
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.logview import read

_RETRY_S = 0.02
_REPLY_S = 120.0
_CONVERSATION = "dev"
_TOLD = {"FAILED": "FAILED", "RECOVERING": "ended", "STOPPED": "stopped", "TERMINATED": "ended", "UNKNOWN": "UNKNOWN"}


class Screen:
    """Prints from several threads; `expect` says which ready is the answer to a save."""

    def __init__(self, paths: FleetPaths, bots: Sequence[str], natives: Sequence[str]) -> None:
        self._paths = paths
        self._bots = list(bots)
        self._natives = list(natives)
        self._width = max(map(len, bots), default=0)
        self._lock = threading.Lock()
        self._saved_at: dict[str, float] = {}

    def start(self) -> None:
        """Print from now on."""
        threading.Thread(target=self._follow_logs, args=(self._bots,), daemon=True, name="logs").start()
        for act in (self._follow_bots, self._talk):
            threading.Thread(target=act, daemon=True, name=act.__name__).start()

    def use(self, bots: Sequence[str], natives: Sequence[str]) -> None:
        """Show these bots from now on."""
        with self._lock:
            new = [bot for bot in bots if bot not in self._bots]
            self._bots, self._natives = list(bots), list(natives)
            self._width = max(map(len, bots), default=0)
        if new:
            threading.Thread(target=self._follow_logs, args=(new,), daemon=True, name="logs").start()

    def expect(self, bot: str, saved_at: float) -> None:
        """Note that a bot is restarted for a save at this time."""
        with self._lock:
            self._saved_at[bot] = saved_at

    def tell(self, text: str) -> None:
        """Print words of psv itself."""
        self._print("psv", "-", text)

    def _print(self, who: str, mark: str, text: str) -> None:
        lines = [f"{who.ljust(self._width)} {mark} {safe(line)}" for line in text.rstrip("\n").split("\n")]
        with self._lock:
            sys.stdout.write("\n".join(lines) + "\n")
            sys.stdout.flush()

    def _follow_logs(self, bots: list[str]) -> None:
        for line in read(self._paths, bots, since_s=0.0, follow=True):
            self._print(line.bot, "!" if line.is_gap or line.stream == "stderr" else "|", line.text)

    def _follow_bots(self) -> None:
        """Tell of every bot that becomes ready or ends, over every psvd that there is."""
        is_first = True
        while True:
            try:
                with ControlClient(self._paths) as client:
                    for event in client.stream("fleet.watch", {}, timeout_s=0):
                        if event.get("kind") == "transition" and not event.get("is_restored"):
                            self._take(event)
                        elif event.get("kind") == "snapshot" and is_first:
                            is_first = False
                            for bot in event["bots"]:
                                self._take({"bot": bot["name"], "to": bot["state"], "reason": bot.get("reason")})
            except (PsvError, OSError):
                time.sleep(_RETRY_S)

    def _take(self, event: dict[str, object]) -> None:
        bot, state, before = str(event.get("bot")), str(event.get("to")), event.get("from")
        if state == "RUNNING" and before != "RESUMING":
            self._ready(bot)
        elif state in _TOLD and event.get("reason") != "admin":
            why = event.get("message") or event.get("reason")
            self._print(bot, "-", f"{_TOLD[state]}: {why}" if why else _TOLD[state])

    def _ready(self, bot: str) -> None:
        with self._lock:
            saved_at = self._saved_at.pop(bot, None)
        took = f", {(time.time() - saved_at) * 1000:.0f} ms after the save" if saved_at is not None else ""
        self._print(bot, "-", f"ready{took}")

    def _talk(self) -> None:
        """Pass lines of standard input on to the bot, each answered on a thread of its own."""
        for line in sys.stdin:
            name, text = self._addressed(line.strip())
            if text and name:
                threading.Thread(target=self._ask, args=(name, text), daemon=True, name="ask").start()
            elif text:
                self.tell(f"write NAME: TEXT; native bots are {', '.join(self._natives)}" if self._natives else "no native bot to talk to")

    def _addressed(self, line: str) -> tuple[str, str]:
        name, mark, rest = line.partition(":")
        if mark and name.strip() in self._natives:
            return name.strip(), rest.strip()
        return (self._natives[0] if len(self._natives) == 1 else ""), line

    def _ask(self, name: str, text: str) -> None:
        try:
            self._print(name, ">", ask_once(self._paths, name, text, _CONVERSATION, _REPLY_S) or "(no reply)")
        except (PsvError, OSError) as err:
            self.tell(str(err))
