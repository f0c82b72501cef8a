"""The applied configuration: what `psv up` resolved and psvd runs by, in .psv/data/fleet.json (0600, replaced in one step).

Standard library only. psvd never reads fleet.toml; whether the file has changed since is seen by its digest.
"""

from __future__ import annotations

import json
from typing import cast

from processsupervisor.config.spec import APPLIED_VERSION, Applied
from processsupervisor.kernel.errors import ConfigError, SystemRefused
from processsupervisor.kernel.files import write_atomic
from processsupervisor.kernel.paths import FleetPaths

_SHAPE = {"fleet": dict, "web": dict, "bots": list, "problems": list, "source_digest": str}


def write_applied(paths: FleetPaths, applied: Applied) -> None:
    """Replace the applied configuration durably; raises SystemRefused when the folder cannot be written."""
    body = json.dumps(applied, ensure_ascii=True, separators=(",", ":"), allow_nan=False)  # ASCII keeps odd file names whole
    try:
        paths.ensure()
        write_atomic(paths.applied, body.encode("ascii"), mode=0o600, durable=True)
    except OSError as err:
        raise SystemRefused(
            f"cannot write {paths.applied}: {err.strerror}", hint="psv needs a writable fleet folder with free space"
        ) from err


def read_applied(paths: FleetPaths) -> Applied:
    """Return the applied configuration; raises ConfigError ("not-applied", "applied-broken") when there is none to use."""
    try:
        value = json.loads(paths.applied.read_bytes())
    except FileNotFoundError as err:
        raise ConfigError(
            f"no configuration has been applied in {paths.folder}", hint="psv up applies fleet.toml", code="not-applied"
        ) from err
    except OSError as err:
        raise ConfigError(
            f"cannot read {paths.applied}: {err.strerror}", hint="check owner and mode of .psv", code="applied-broken"
        ) from err
    except (ValueError, RecursionError) as err:
        raise _broken(paths, "it is not whole") from err
    if not isinstance(value, dict) or value.get("version") != APPLIED_VERSION:
        raise _broken(paths, "it is of another version")
    if any(not isinstance(value.get(key), kind) for key, kind in _SHAPE.items()):
        raise _broken(paths, "a part is missing")
    return cast(Applied, value)


def _broken(paths: FleetPaths, why: str) -> ConfigError:
    return ConfigError(f"cannot use {paths.applied}: {why}", hint="psv down, then psv up, writes it again", code="applied-broken")
