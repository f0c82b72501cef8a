"""The env files of one bot, read in its process at each start. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.reasons import Reason
from processsupervisor.launch.context import LaunchFailed
from processsupervisor.launch.envfile import parse_env_file


def env_file_variables(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return the variables of all env files of a bot; raises LaunchFailed(config) with file:line for a bad one."""
    variables: dict[str, str] = {}
    for name in spec.get("env_files") or []:
        try:
            variables.update(parse_env_file(Path(name)))
        except PsvError as err:
            raise LaunchFailed(Reason.CONFIG, err.message, hint=err.hint) from err
    return variables
