"""Every error that ProcessSupervisor raises on purpose, with a stable code, an exit status and a way out.

A code is never reused for another meaning. `hint` is one sentence that says what the operator can do. Nothing here
carries user text, tokens or prompts.
"""

from __future__ import annotations

import errno

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NO_SUPERVISOR = 3
EXIT_NO_SUCH_BOT = 4
EXIT_REFUSED = 5


class PsvError(Exception):
    """Root of all errors of ours.

    `code` is stable and machine-readable, `exit_status` is what `psv` ends with, `retryable` says whether the same
    call may succeed later without a change by a person. `found` are the parts of message and hint that show a value
    from elsewhere (a contact's, a setting's), as they stand there: a log leaves them out. None = nobody said.
    """

    code = "failed"
    exit_status = EXIT_FAILED
    retryable = False

    def __init__(self, message: str, *, hint: str = "", code: str | None = None, found: tuple[str, ...] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.found = found
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(PsvError):
    """The command line or an argument is wrong; nothing was done."""

    code = "usage"
    exit_status = EXIT_USAGE


class ConfigError(PsvError):
    """A configuration cannot be used; nothing was changed."""

    code = "config"
    exit_status = EXIT_USAGE


class NoSupervisor(PsvError):
    """No psvd answers for this fleet."""

    code = "no-supervisor"
    exit_status = EXIT_NO_SUPERVISOR
    retryable = True


class AnswerLost(NoSupervisor):
    """psvd ended while it was asked something: that may have been done all the same, and another psvd is about to answer."""

    code = "answer-lost"
    exit_status = EXIT_FAILED
    retryable = False


class NoSuchBot(PsvError):
    """A name or pattern matches no bot of the fleet."""

    code = "no-such-bot"
    exit_status = EXIT_NO_SUCH_BOT


class Refused(PsvError):
    """The operation is known but may not be done now, or not on this bot."""

    code = "refused"
    exit_status = EXIT_REFUSED


class LockHeld(PsvError):
    """A lock (of a bot, a role or a network token) is in use elsewhere."""

    code = "lock-held"
    exit_status = EXIT_REFUSED
    retryable = True


class SystemRefused(PsvError):
    """The machine lacks something or refused a call (descriptors, memory, file system features)."""

    code = "system"
    retryable = True


class Exhausted(SystemRefused):
    """The machine has no process, descriptor, memory or disk space left for now: nobody's fault, and no start is worth trying."""

    code = "exhausted"


_EXHAUSTION = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT})


def refused_by_system(message: str, err: OSError, *, hint: str = "") -> SystemRefused:
    """Return Exhausted when `err` says that something ran out, SystemRefused otherwise; `message` is continued by the reason."""
    kind = Exhausted if err.errno in _EXHAUSTION else SystemRefused
    return kind(f"{message}: {err.strerror}", hint=hint)


def is_exhausted(err: BaseException) -> bool:
    """Tell whether `err` means that the machine ran out of something."""
    return isinstance(err, Exhausted) or (isinstance(err, OSError) and err.errno in _EXHAUSTION)


class ProtocolError(PsvError):
    """A peer sent something that is not of the protocol, or of a version this side cannot read."""

    code = "protocol"


class StorageError(PsvError):
    """A database cannot be opened, read or written."""

    code = "storage"


def from_wire(error: dict[str, object]) -> PsvError:
    """Rebuild an error that crossed a socket from `{code, message, hint, exit}`."""
    rebuilt = PsvError(str(error.get("message", "failed")), hint=str(error.get("hint", "")), code=str(error.get("code", "failed")))
    status = error.get("exit", EXIT_FAILED)
    rebuilt.exit_status = status if isinstance(status, int) else EXIT_FAILED
    return rebuilt


def to_wire(error: PsvError) -> dict[str, object]:
    """Return `{code, message, hint, exit}`, the shape in which an error crosses a socket."""
    return {"code": error.code, "message": error.message, "hint": error.hint, "exit": error.exit_status}
