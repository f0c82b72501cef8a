"""The login budget that a bot has without saying so: Discord resets a token after 1,000 logins in a day.

A bot has it when it locks something and imports discord: named by `preload`, or found by reading its script or module. That is
a hint; whoever knows better writes `login_budget`. Nothing is imported or run.
"""

from __future__ import annotations

from pathlib import Path

from processsupervisor.config.imports import scan_script
from processsupervisor.config.spec import BotSpec, BudgetSpec
from processsupervisor.launch.release import code_folder

DISCORD_STARTS, DISCORD_WITHIN_S = 800, 86400.0
_LIBRARIES = frozenset({"discord", "disnake", "nextcord", "hikari", "interactions"})


def default_budget(spec: BotSpec, folder: Path) -> BudgetSpec | None:
    """Return the budget of a bot that names none."""
    if spec["lock"] and _speaks_discord(spec, folder):
        return {"count": DISCORD_STARTS, "within_s": DISCORD_WITHIN_S}
    return None


def _speaks_discord(spec: BotSpec, folder: Path) -> bool:
    libraries = set(spec["preload"])
    program = _program(spec, folder)
    if program is not None and program.is_file():
        libraries.update(scan_script(program, Path(spec["cwd"])).libraries)
    return any(name.partition(".")[0] in _LIBRARIES for name in libraries)


def _program(spec: BotSpec, folder: Path) -> Path | None:
    """Return the Python file that the bot begins with, as far as it lies beside fleet.toml or is named."""
    if spec["run"]:
        base = code_folder(folder, spec.get("release")).joinpath(*spec["run"].partition(":")[0].split("."))
        return base / "__init__.py" if base.is_dir() else base.with_name(f"{base.name}.py")
    if spec["script"]:
        return Path(spec["script"])
    command = spec["command"] or []
    found = next((word for word in [*command[1:], *spec["args"]] if word.endswith(".py")), None)
    return Path(spec["cwd"]) / found if found else None
