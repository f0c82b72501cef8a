"""Where systemd finds a unit: its instances, its drop-ins in every folder of the same manager, and whether it starts at boot."""

from __future__ import annotations

import re
from pathlib import Path

from processsupervisor.adopt.program import CannotRead

UNIT = re.compile(r"(?P<prefix>[^@]+)(?:@(?P<instance>.*))?\.service")
_SYSTEM = ("etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
_USER = ("etc/systemd/user", "run/systemd/user", "usr/local/lib/systemd/user", "usr/lib/systemd/user", "lib/systemd/user")


def is_of_user(path: Path) -> bool:
    """Tell whether a unit is one of `systemctl --user`: it lies in a folder named systemd/user."""
    return path.parent.parts[-2:] == ("systemd", "user")


def folders_of(path: Path) -> list[Path]:
    """Return the folders that the unit's manager reads, strongest first; for a file that lies elsewhere its own folder alone."""
    names = _USER if is_of_user(path) else _SYSTEM
    for name in names:
        if str(path.parent).endswith(f"/{name}"):
            root = Path(str(path.parent).removesuffix(name))
            return [root / other for other in names]
    if is_of_user(path):  # ~/.config/systemd/user
        return [path.parent, *(Path("/") / name for name in _USER)]
    return [path.parent]


def instances(path: Path) -> list[tuple[Path, str]]:
    """Return the file and the instance of each unit that a path stands for; raises CannotRead for a template without any."""
    match = UNIT.fullmatch(path.name)
    if match is None or match["instance"] is None:
        return [(path, "")]
    template = path.with_name(f"{match['prefix']}@.service")
    if match["instance"]:
        return [(path if path.is_file() and not path.is_symlink() else template, match["instance"])]
    links = [link for folder in folders_of(path) for link in _named(folder, f"{match['prefix']}@?*.service")]
    found = sorted({inner["instance"] for link in links if (inner := UNIT.fullmatch(link.name))})
    if not found:
        hint = f"name one: psv adopt {match['prefix']}@NAME.service"
        raise CannotRead(f"{path}: a template, and no instance of it is enabled beside it", hint=hint)
    return [(path, instance) for instance in found]


def _named(folder: Path, pattern: str) -> list[Path]:
    return [*folder.glob(pattern), *folder.glob(f"*.wants/{pattern}"), *folder.glob(f"*.requires/{pattern}")]


def dropins(path: Path, instance: str) -> list[Path]:
    """Return the drop-ins of a unit in the order in which they count; of two with one name the stronger folder's."""
    match = UNIT.fullmatch(path.name)
    prefix = match["prefix"] if match else path.stem
    dashes = [prefix[: found.end()] for found in re.finditer("-", prefix)]
    names = ["service.d", *(f"{part}.service.d" for part in dashes)]
    names += [f"{prefix}@.service.d", f"{prefix}@{instance}.service.d"] if instance else [f"{path.name}.d"]
    found: dict[str, Path] = {}
    for name in names:
        for folder in reversed(folders_of(path)):
            found.update({extra.name: extra for extra in (folder / name).glob("*.conf")})
    return [found[name] for name in sorted(found)]


def is_masked(path: Path) -> bool:
    """Tell whether the unit is a link to /dev/null."""
    return path.resolve() == Path("/dev/null")


def is_enabled(path: Path, unit: str) -> bool | None:
    """Tell whether something pulls the unit in at boot; None where that cannot be known (a file that lies elsewhere)."""
    folders = folders_of(path)
    if len(folders) == 1:
        return None
    return any(next(folder.glob(f"*.{kind}/{unit}"), None) is not None for folder in folders for kind in ("wants", "requires"))
