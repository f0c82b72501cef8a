"""What one client knows of its own conversation: what it sent, what was accepted, what was answered, and what went wrong.

Every message has an id and a counter of its own; the bot echoes the text. The network's key is the id of the message that a
reply answers, so a second reply to one id is a repeated reply, whatever its text.
"""

from __future__ import annotations

from array import array

APOLOGY = "Sorry, something went wrong here and I could not answer this message."
"""The policy's answer to a message during which the bot died three times (bot/pump.py)."""

LATE_S = 1.0


class Tally:
    """One conversation of one client; times are seconds of one clock of the caller's choice."""

    def __init__(self, name: str, slow_every: int = 0) -> None:
        self.name = name
        self.last_seq = 0
        self.sent = 0
        self.accepted = 0
        self.answered = 0
        self.apologies = 0
        self.faults: list[str] = []
        self.latencies = array("d")
        self.late: list[tuple[float, float]] = []
        """(when it was due, how long the answer took) of messages that were answered later than LATE_S."""
        self.unaccepted: dict[str, str] = {}
        """{id: text} of messages that no acceptance was seen of yet: sent again under the same id until there is one."""
        self._slow_every = slow_every
        self._open: dict[str, tuple[str, float]] = {}
        self._done: set[str] = set()

    @property
    def is_quiet(self) -> bool:
        """Tell whether every message that was sent has its answer."""
        return not self._open

    @property
    def waiting(self) -> list[str]:
        """Return the ids without an answer."""
        return list(self._open)

    def new(self, due: float) -> str:
        """Make the next message and return its id; its clock runs from when it was due, however late the client itself is."""
        self.sent += 1
        message_id = f"{self.name}-{self.sent}"
        is_slow = self._slow_every and self.sent % self._slow_every == 0
        text = f"{'slow' if is_slow else 'say'} {self.sent}"
        self._open[message_id] = text, due
        self.unaccepted[message_id] = text
        return message_id

    def on_accepted(self, message_id: str) -> None:
        """Note that the bot has committed a message."""
        if self.unaccepted.pop(message_id, None) is not None:
            self.accepted += 1

    def on_reply(self, seq: int | None, reply_to: str, text: str, now: float) -> None:
        """Note a final reply; anything but the first echo of an open message is a fault."""
        if seq is None or seq <= self.last_seq:
            self.faults.append(f"{self.name}: event {seq} after event {self.last_seq}")
        else:
            self.last_seq = seq
        if reply_to in self._done:
            self.faults.append(f"{self.name}: a second reply to {reply_to}: {text!r}")
            return
        expected, sent_at = self._open.pop(reply_to, ("", 0.0))
        if not expected:
            self.faults.append(f"{self.name}: a reply to {reply_to}, which was never sent")
            return
        self._done.add(reply_to)
        self.on_accepted(reply_to)  # the reply is later than the commit: the acceptance itself was lost with its connection
        self.answered += 1
        self.latencies.append(now - sent_at)
        if now - sent_at > LATE_S:
            self.late.append((sent_at, now - sent_at))
        if text == APOLOGY:
            self.apologies += 1
        elif text != f"echo {expected}":
            self.faults.append(f"{self.name}: {reply_to} said {expected!r} and was answered {text!r}")

    def audit(self, replies: dict[str, list[str]]) -> list[str]:
        """Compare with everything that the bot has kept, {id: replies}; returns what differs."""
        wrong = [f"{self.name}: {len(found)} replies to {i}" for i, found in replies.items() if len(found) != 1]
        missing = self._done - set(replies)
        return wrong + ([f"{self.name}: {len(missing)} replies were seen and are gone"] if missing else [])
