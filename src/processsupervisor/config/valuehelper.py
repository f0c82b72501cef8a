"""The short process that reads `secret:` and `cmd:` references for a bot: `boot.py processsupervisor.config.valuehelper`.

Reads one JSON object from stdin (which secrets, which commands) and writes one to stdout: `{values, failures}`, each by the text of the
reference. Nothing of it is ever in an argument, a file or a log. It runs with psv's own environment as the owner of the fleet, and
ends with all that its commands have started.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from processsupervisor.config.secretkey import VARIABLE
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.kernel.reasons import Reason
from processsupervisor.launch.valuecommand import Failure, run_commands

_NOT_FOR_COMMANDS = (VARIABLE, "NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY")


def main(_argv: list[str]) -> int:
    """Answer the question on stdin; returns 0 whenever it could."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whoever asks may have blocked them all
    os.umask(0o077)
    question = json.loads(sys.stdin.buffer.read())
    values, failures = read_secrets(question)
    if question["commands"]:
        # By PSV_FLEET and PSV_BOT whatever a command leaves behind is found as the bot's, and ends with it.
        marks = {"PSV_FLEET": question["fleet"], "PSV_BOT": question["bot"]}
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_COMMANDS} | marks
        more = run_commands(question["commands"], Path(question["folder"]), environment, float(question["timeout_s"]))
        values, failures = values | more[0], failures | more[1]
    sys.stdout.write(json.dumps({"values": values, "failures": failures}))
    sys.stdout.flush()
    return 0


def read_secrets(question: dict[str, Any]) -> tuple[dict[str, str], dict[str, Failure]]:
    """Return the values and the failures of the secrets asked for."""
    asked: dict[str, str] = question["secrets"]
    if not asked:
        return {}, {}
    from processsupervisor.config.secretstore import SecretStore  # loads OpenSSL, which commands alone do not need

    try:
        known = SecretStore(FleetPaths(question["folder"])).read()
    except PsvError as err:
        why = (str(Reason.CONFIG), f"cannot be read: {err.message}", err.hint)
        return {}, dict.fromkeys(asked, why)
    values: dict[str, str] = {}
    missing: dict[str, Failure] = {}
    for text, name in asked.items():
        if name in known:
            values[text] = known[name].value
        else:
            missing[text] = str(Reason.CONFIG), "is not in the secret store", f"psv secret set {name}"
    return values, missing
