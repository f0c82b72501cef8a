"""`boot.py processsupervisor.notify.send`: one try to deliver one message, in a process of its own that ends with it.

Reads a job as JSON on stdin and writes `{ok, said, retry_after_s}` to stdout. TLS and mail libraries, and every secret, are only here: the
notifier stays small, and a server that never answers is ended by the deadline. Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from processsupervisor.kernel.errors import PsvError
from processsupervisor.launch.envfile import parse_env_file
from processsupervisor.notify.job import Job, Result
from processsupervisor.observe.redact import redact

_LONGEST_WORDS = 300


class Variables:
    """The variables that a channel's `_env` keys name; remembers what was looked up, because it must never be shown."""

    def __init__(self, files: Iterable[str]) -> None:
        self._values = dict(os.environ)
        for path in files:
            self._values |= parse_env_file(Path(path))
        self.secrets: list[str] = []

    def get(self, name: str) -> str:
        """Return the value of a variable; raises PsvError when it is not there."""
        value = self._values.get(name, "").strip()
        if not value:
            raise PsvError(f"the variable {name} is neither in env_file nor in the environment of psv", hint="set it, or correct its name")
        self.secrets.append(value)
        return value

    def all(self) -> dict[str, str]:
        """Return the whole environment, for a command."""
        return dict(self._values)


def deliver(job: Job) -> Result:
    """Do a job and say how it went; never raises, and what it says holds no secret."""
    channel, secrets = job["channel"], [job["heartbeat"] or ""]
    try:
        variables = Variables(channel["env_files"] if channel is not None else [])
        secrets = variables.secrets
        if channel is not None and channel["url"]:
            secrets.append(channel["url"])
        result = _deliver(job, variables)
    except PsvError as err:
        result = _failed(str(err))
    except (OSError, ValueError) as err:
        result = _failed(getattr(err, "strerror", None) or str(err) or type(err).__name__)
    said = redact(result["said"], secrets)
    return {**result, "said": " ".join(said.split())[:_LONGEST_WORDS]}


def _deliver(job: Job, variables: Variables) -> Result:
    channel, message, timeout_s = job["channel"], job["message"], job["timeout_s"]
    if job["heartbeat"] is not None:
        from processsupervisor.notify.http import beat

        return beat(job["heartbeat"], timeout_s)
    if channel is None or message is None:
        raise PsvError("nothing to deliver")
    match channel["to"]:
        case "webhook":
            from processsupervisor.notify.http import post_webhook

            address = channel["url"] or variables.get(channel["url_env"] or "")
            return post_webhook(address, channel["template"], message, timeout_s)
        case "telegram":
            from processsupervisor.notify.http import post_telegram

            return post_telegram(channel["api"], variables.get(channel["token_env"] or ""), channel["chat"] or "", message, timeout_s)
        case "email":
            from processsupervisor.notify.mail import send_mail

            login = (variables.get(channel["user_env"]), variables.get(channel["password_env"] or "")) if channel["user_env"] else None
            return send_mail(channel, login, message, timeout_s)
        case "command":
            from processsupervisor.notify.program import run_command

            return run_command(channel["command"] or [], job["folder"], variables.all(), message, timeout_s)


def _failed(said: str) -> Result:
    return {"ok": False, "said": said, "retry_after_s": 0.0}


def main(_argv: list[str]) -> int:
    """Do the job on stdin; returns 0 whenever it could say how that went."""
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return 0  # the notifier died before it had said all
    job: Job = json.loads(line)

    def late(_number: int, _frame: object) -> NoReturn:
        raise TimeoutError(f"no answer within {job['timeout_s']:g} s")

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, float(job["timeout_s"]))  # sockets count each wait anew: this counts them all
    result = deliver(job)
    signal.setitimer(signal.ITIMER_REAL, 0)
    with contextlib.suppress(OSError):  # who asked is gone
        os.write(1, json.dumps(result).encode() + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
