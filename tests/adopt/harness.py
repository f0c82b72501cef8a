"""Adopt files that a test writes, and look at what came of them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from processsupervisor.adopt.reading import read_paths
from processsupervisor.adopt.writing import Plan, make_plan, write_plan


def adopt_files(folder: Path, files: dict[str, str], *given: str) -> tuple[dict[str, Any], Plan]:
    """Write the files, adopt `given` (the first, when none is named), and return the tables of all bots with the plan."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if text.startswith("#!"):
            path.chmod(0o755)
    plan = make_plan(folder, "demo", read_paths([str(folder / name) for name in given or [next(iter(files))]], allow_js=False))
    write_plan(plan)
    return dict(tomllib.loads((folder / "fleet.toml").read_text()).get("bots", {})), plan


def told(plan: Plan) -> dict[str, int]:
    """Return what is told as not carried over, with its line."""
    return {left.what: left.place.line for left in plan.left_out}
