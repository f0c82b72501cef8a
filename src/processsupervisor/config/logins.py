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
DISCORD_LIMIT = 1000
"""Logins in a day after which Discord resets the token."""
_LIBRARIES = frozenset({"discord", "disnake", "nextcord", "hikari", "interactions"})


class Logins:
    """What the bots of one folder log in to; a program is read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._scanned: dict[tuple[Path, str], frozenset[str]] = {}

    def default_budget(self, spec: BotSpec) -> BudgetSpec | None:
        """Return the budget of a bot that names none."""
        if spec["lock"] and self.speaks_discord(spec):
            return {"count": DISCORD_STARTS, "within_s": DISCORD_WITHIN_S}
        return None

    def speaks_discord(self, spec: BotSpec) -> bool:
        """Tell whether the bot imports a library for Discord."""
        libraries = set(spec["preload"])
        program = _program(spec, self._folder)
        if program is not None:
            libraries |= self._libraries(program, spec["cwd"])
        return any(name.partition(".")[0] in _LIBRARIES for name in libraries)

    def _libraries(self, program: Path, cwd: str) -> frozenset[str]:
        if (program, cwd) not in self._scanned:
            found = scan_script(program, Path(cwd)).libraries if program.is_file() else ()
            self._scanned[program, cwd] = frozenset(found)
        return self._scanned[program, cwd]


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
