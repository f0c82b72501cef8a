"""What was done as a table, and written between the markers of docs/reference/operator-tasks.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.tasks.situation import Sizes
from benchmarks.tasks.work import TASKS, Done

PAGE = Path(__file__).parent.parent.parent / "docs/reference/operator-tasks.md"
BEGIN, END = "<!-- written by make tasks: begin -->\n", "<!-- written by make tasks: end -->\n"


def table(results: Sequence[Done], sizes: Sizes, versions: Mapping[str, str | None]) -> str:
    """Return the table in Markdown: a row a task, a column a system."""
    systems = [name for name in versions if any(done.system == name for done in results)]
    found = {(done.task, done.system): done for done in results}
    lines = ["| task | " + " | ".join(f"{name} {_number(versions[name])}" for name in systems) + " |", "|---|" + "---|" * len(systems)]
    for task in TASKS:
        if any((task.name, name) in found for name in systems):
            cells = [_cell(found.get((task.name, name))) for name in systems]
            lines.append(f"| {task.title.format(**asdict(sizes))} | " + " | ".join(cells) + " |")
    totals = [[done for done in results if done.system == name] for name in systems]
    lines.append("| all five | " + " | ".join(f"{sum(d.commands for d in all_)} + {sum(d.edits for d in all_)}" for all_ in totals) + " |")
    return "\n".join(lines)


def _cell(done: Done | None) -> str:
    if done is None:
        return "not run"
    if done.failure:
        return f"failed: {done.failure}"
    edits = f"{done.edits} ({done.lines})" if done.edits else "0"
    restarted = f"; {done.others_restarted} others restarted" if done.others_restarted else ""
    later = f" + {done.after_s:.1f}" if done.after_s >= 0.1 else ""
    told = "" if done.tells_broken is None else f"; a broken release is {'told' if done.tells_broken else 'not told'}"
    return f"{done.commands} + {edits}; {done.seconds:.1f}{later} s{restarted}{told}"


def _number(version: str | None) -> str:
    """Return the number out of what a program says of its version."""
    return next((word for word in (version or "").split() if word[:1].isdigit()), "")


def _acts(results: Sequence[Done], sizes: Sizes) -> str:
    parts = []
    for task in TASKS:
        parts.append(f"### {task.title.format(**asdict(sizes))}\n\n```text")
        width = max(len(done.system) for done in results)
        for done in (done for done in results if done.task == task.name):
            for act in done.acts:
                what = f"edit {act.what}, {act.lines} line{'s' if act.lines > 1 else ''}" if act.kind == "edit" else act.what
                parts.append(f"{done.system:{width}}  {what}")
        parts.append("```\n")
    return "\n".join(parts)


def write_page(results: Sequence[Done], sizes: Sizes, versions: Mapping[str, str | None], facts: Mapping[str, object]) -> None:
    """Replace what stands between the markers."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    machine = (f"Measured {str(facts['date'])[:10]} on {facts['cores']} cores with a load of {facts['load_before']} before it, "
               f"Linux {facts['kernel']}, Python {facts['python']}.")  # fmt: skip
    body = f"{table(results, sizes, versions)}\n\n{machine}\n\n## What was typed\n\n{_acts(results, sizes)}"
    PAGE.write_text(before + BEGIN + "\n" + body + "\n" + END + after)
