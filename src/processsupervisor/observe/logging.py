"""Logging of our own processes: one JSON object a line in logs/psv/ROLE.log, at most FILES files of MAX_BYTES each.

A message is static text; data goes into fields. No user text, token or prompt: strings are redacted and cut all the same.
Small enough for keeper and logd (`log.open` alone does not import the
standard library's logging; `setup` does). A log that
cannot be written is a log that is not written: no error ever reaches the caller.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.observe.redact import redact

MAX_BYTES = 2 << 20
FILES = 3
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_LONGEST_FIELD = 1000
_OWN_LOGGERS = ("psv", "processsupervisor")


class Log:
    """Writes to one file; before `open` every call is without effect, so that modules may hold the log from import on."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._role = ""
        self._threshold = LEVELS["info"]

    def open(self, role: str, path: Path, level: str) -> None:
        """Begin to write lines of `level` and above."""
        self._role, self._path, self._threshold = role, path, LEVELS.get(level, LEVELS["info"])

    def debug(self, message: str, **fields: object) -> None:
        """Write what only a developer wants to know."""
        self.write("debug", message, fields)

    def info(self, message: str, **fields: object) -> None:
        """Write what an operator wants to know tomorrow."""
        self.write("info", message, fields)

    def warning(self, message: str, **fields: object) -> None:
        """Write that something is wrong and that we go on, and how."""
        self.write("warning", message, fields)

    def error(self, message: str, **fields: object) -> None:
        """Write that someone must act."""
        self.write("error", message, fields)

    def failure(self, message: str, err: BaseException, **fields: object) -> None:
        """Write an error with type, text and place of `err`."""
        self.write("error", message, fields | _describe(err))

    def write(self, level: str, message: str, fields: dict[str, object]) -> None:
        """Write one line of a level given by name."""
        path = self._path
        if path is None or LEVELS[level] < self._threshold:
            return
        entry = {"time": time.time(), "level": level, "role": self._role, "pid": os.getpid(), "message": message}
        try:
            line = json.dumps(entry | {k: _plain(v) for k, v in fields.items()}, ensure_ascii=False, default=_text)
            # Opened anew each time: no descriptor to leak into a fork, and a deleted or replaced file needs no thought.
            _append(path, line.encode("utf-8", "backslashreplace") + b"\n")
        except (OSError, ValueError, TypeError, RecursionError):
            return


def _describe(err: BaseException) -> dict[str, object]:
    place = err.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    at = f"{place.tb_frame.f_code.co_filename}:{place.tb_lineno}" if place is not None else None
    return {"error": str(err), "type": type(err).__name__, "at": at}


def _plain(value: object) -> object:
    return _text(value) if isinstance(value, (str, BaseException, Path)) else value


def _text(value: object) -> str:
    text = redact(str(value)[: _LONGEST_FIELD + 100])
    return text if len(text) <= _LONGEST_FIELD else text[:_LONGEST_FIELD] + "..."


def _append(path: Path, line: bytes) -> None:
    with open(path, "ab", buffering=0, opener=_private) as file:
        if file.tell() + len(line) <= MAX_BYTES:
            file.write(line)
            return
    for number in range(FILES - 1, 0, -1):
        newer = path.with_name(f"{path.name}.{number - 1}") if number > 1 else path
        if newer.exists():
            newer.replace(path.with_name(f"{path.name}.{number}"))
    with open(path, "ab", buffering=0, opener=_private) as file:
        file.write(line)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


log = Log()
"""The log of this process: `from processsupervisor.observe.logging import log`."""


def setup(role: str, paths: FleetPaths, level: str = "info") -> Log:
    """Open the log of this process as logs/psv/ROLE.log, take in the standard library's logging, and return the log."""
    log.open(role, paths.own_logs / f"{role}.log", level)
    capture(level)
    return log


def capture(level: str = "info") -> None:
    """Send what goes through the standard library's logging into this log; calling it again changes only the level.

    Our own loggers (`psv...`, `processsupervisor...`) are taken from `level` on, with message and `extra`. Libraries are
    taken from WARNING on, with the template of the message only: what it is filled with may be user text.
    """
    import logging

    standard = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            fields: dict[str, object] = {"logger": record.name}
            message = "library message"
            if record.name.partition(".")[0] in _OWN_LOGGERS:
                message = redact(record.getMessage())
                fields |= {name: value for name, value in vars(record).items() if name not in standard}
            else:
                fields["template"] = str(record.msg)
            name = "error" if record.levelno >= 40 else "warning" if record.levelno >= 30 else "info" if record.levelno >= 20 else "debug"
            err = record.exc_info[1] if record.exc_info else None
            if err is not None:
                fields |= _describe(err) if message != "library message" else {"type": type(err).__name__}
            log.write(name, message, fields)

        def handleError(self, record: logging.LogRecord) -> None:
            """A message that cannot be put together is left out."""

    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler).__qualname__ == Handler.__qualname__:
            root.removeHandler(handler)
    root.addHandler(Handler())
    for name in _OWN_LOGGERS:
        logging.getLogger(name).setLevel(LEVELS.get(level, LEVELS["info"]))
