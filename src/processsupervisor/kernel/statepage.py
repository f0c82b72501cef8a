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

_BELOW = """From every state with a process, `stop` leads to STOPPING, `restart` to RESTARTING, and `exit` on to RECOVERING;
they are left out here where they would hide the rest.
"""
S, T = State, Trigger
_USUAL = (
    (S.INITIALIZING, T.LAUNCH), (S.STARTING, T.READY), (S.STARTING, T.EXIT), (S.RUNNING, T.EXIT), (S.RUNNING, T.STOP),
    (S.RUNNING, T.RESTART), (S.RUNNING, T.PAUSE), (S.PAUSING, T.PAUSED), (S.PAUSED, T.RESUME), (S.RESUMING, T.RESUMED),
    (S.STOPPING, T.EXIT), (S.RESTARTING, T.EXIT), (S.STOPPED, T.LAUNCH), (S.RECOVERING, T.LAUNCH), (S.RECOVERING, T.GIVE_UP),
    (S.FAILED, T.LAUNCH), (S.RUNNING, T.GIVE_UP), (S.RUNNING, T.COMPLETE), (S.TERMINATED, T.LAUNCH), (S.INITIALIZING, T.LOSE),
    (S.UNKNOWN, T.ADOPT), (S.UNKNOWN, T.EXIT), (S.UNKNOWN, T.GIVE_UP),
)  # fmt: skip


def page() -> str:
    """Return the whole page as Markdown."""
    parts = [_HEAD, "## States and what ends them\n", "| state | a process lives | its way out |", "|---|---|---|"]
    parts += [f"| {s} | {'yes' if s in HAS_PROCESS else 'no'} | {DEADLINE_OF[s]} |" for s in State]
    parts += ["\n## The table\n", "| state | " + " | ".join(Trigger) + " |", "|---" * (len(Trigger) + 1) + "|"]
    parts += [f"| {s} | " + " | ".join(TABLE[s, t] or "-" for t in Trigger) + " |" for s in State]
    parts += ["\n## The usual ways\n", _BELOW, "```mermaid", "stateDiagram-v2", f"    [*] --> {State.INITIALIZING}"]
    parts += [f"    {s} --> {TABLE[s, t]}: {t}" for s, t in _USUAL]
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
