"""The reference page of the lifecycle, written from the table itself: `python -m processsupervisor.kernel.statepage`.

`--check FILE` exits 1 when FILE is not what would be written.
"""

from __future__ import annotations

import sys
from pathlib import Path

from processsupervisor.kernel.states import DEADLINE_OF, HAS_PROCESS, TABLE, State, Trigger

_HEAD = """# Lifecycle of a bot

A bot is in one of thirteen states. What is *wanted* of it (`up`, `down`, `paused`) is separate and durable: a stop during a
restart changes what is wanted, and the bot rests when it arrives. Every pair of state and trigger is decided in one table;
a dash means that the pair changes nothing. This page is generated from that table by
`python -m processsupervisor.kernel.statepage`; do not edit it by hand.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [_HEAD, "## States and what ends them\n", "| state | a process lives | its way out |", "|---|---|---|"]
    parts += [f"| {s} | {'yes' if s in HAS_PROCESS else 'no'} | {DEADLINE_OF[s]} |" for s in State]
    parts += ["\n## The table\n", "| state | " + " | ".join(Trigger) + " |", "|---" * (len(Trigger) + 1) + "|"]
    parts += [f"| {s} | " + " | ".join(TABLE[s, t] or "-" for t in Trigger) + " |" for s in State]
    parts += ["\n## The usual ways\n", "```text"]
    usual = (Trigger.LAUNCH, Trigger.READY, Trigger.EXIT, Trigger.STOP, Trigger.RESTART, Trigger.PAUSE, Trigger.PAUSED, Trigger.RESUME,
             Trigger.RESUMED, Trigger.GIVE_UP)  # fmt: skip
    parts += [f"{s} --> {TABLE[s, t]}: {t}" for s in State for t in usual if TABLE[s, t] not in (None, s)]
    return "\n".join([*parts, "```"]) + "\n"


def main(argv: list[str]) -> int:
    """Print the page, or compare it with the file after `--check`."""
    if argv[:1] == ["--check"]:
        path = Path(argv[1])
        if path.read_text(encoding="utf-8") == page():
            return 0
        print(f"{path} is out of date; write it again with: make docs", file=sys.stderr)
        return 1
    sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
