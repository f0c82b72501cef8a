"""The change under way, on disk: which versions it lies between, and which bots it may have touched. Written before the first is.

While it is there and fleet.json has another number, the change is undone by the next psvd; once fleet.json has its number, it is done.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from processsupervisor.kernel.errors import SystemRefused
from processsupervisor.kernel.files import read_json, write_json
from processsupervisor.kernel.paths import FleetPaths


@dataclass(slots=True)
class ChangeFile:
    """`number` is the version that comes, `base` the one that runs; `touched` get another process, `added` are only in the new one."""

    number: int
    base: int
    touched: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)

    def write(self, paths: FleetPaths) -> None:
        """Put it on disk durably. Raises SystemRefused, and nothing was touched then."""
        value = {"number": self.number, "base": self.base, "touched": self.touched, "added": self.added}
        try:
            write_json(paths.change, value, durable=True)
        except OSError as err:
            raise SystemRefused(f"cannot write in {paths.data}: {err.strerror}", hint="free disk space; nothing has changed") from err


def read_change(paths: FleetPaths) -> ChangeFile | None:
    """Return the change that an earlier psvd did not bring to its end, None when there is none."""
    value = read_json(paths.change)
    if not isinstance(value, dict) or not isinstance(value.get("number"), int) or not isinstance(value.get("base"), int):
        return None
    lists = {key: [str(name) for name in value.get(key) or []] for key in ("touched", "added")}
    return ChangeFile(value["number"], value["base"], **lists)


def drop_change(paths: FleetPaths) -> None:
    """The change is at its end, one way or the other."""
    paths.change.unlink(missing_ok=True)
