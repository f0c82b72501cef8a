"""When outcomes of a probe change what is thought of a bot: only so many of one kind in a row do. Pure."""

from __future__ import annotations


class Streak:
    """One probe's outcomes in a row. `has_failed` is None until a first streak is complete."""

    __slots__ = ("_fail_after", "_pass_after", "has_failed", "length", "passes")

    def __init__(self, fail_after: int, pass_after: int) -> None:
        self._fail_after = fail_after
        self._pass_after = pass_after
        self.has_failed: bool | None = None
        self.passes = True
        """Whether the last outcomes were successes; `length` is how many of them came in a row."""
        self.length = 0

    def count(self, is_success: bool) -> None:
        """Take the next outcome."""
        self.length = self.length + 1 if is_success == self.passes else 1
        self.passes = is_success
        if self.length >= (self._pass_after if is_success else self._fail_after):
            self.has_failed = not is_success

    def interrupt(self) -> None:
        """Forget what was counted so far, not what it led to: what comes next does not follow in a row."""
        self.length = 0
