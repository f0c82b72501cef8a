"""The closed list of reasons why a bot's process ended or may not start, and the exit codes a bot can speak with.

Every exit record and every refusal to start carries exactly one of these; nothing else is ever shown as a reason.
"""

from __future__ import annotations

from enum import StrEnum

EXIT_CLEAN = 0
EXIT_RETRYABLE = 75
EXIT_AUTH = 77
EXIT_CONFIG = 78
EXIT_CONFLICT = 79
EXIT_RATE_LIMITED = 80

EXIT_LAUNCH_FAILED = 126
"""A launch step failed before the program began; the failure file beside the record says which (as sh(1) does)."""

NOT_RETRIED = frozenset({EXIT_AUTH, EXIT_CONFIG, EXIT_CONFLICT})


class Reason(StrEnum):
    """Why a process ended, or why it is not running."""

    CLEAN = "clean"
    CODE = "code"
    SIGNAL = "signal"
    OOM = "oom"
    HANG = "hang"
    MEMORY_POLICY = "memory-policy"
    ADMIN = "admin"
    CONFIG = "config"
    CRASH_LOOP = "crash-loop"
    EXEC_FAILED = "exec-failed"
    START_FAILED = "start-failed"
    START_TIMEOUT = "start-timeout"
    LOCK_HELD = "lock-held"
    AUTH = "auth"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate-limited"
    BUDGET = "budget"
    DISK = "disk"
    TIMEOUT = "timeout"
    DEPENDENCY = "dependency"
    UNKNOWN = "unknown"
    UNKNOWN_WHILE_UNSUPERVISED = "unknown-while-unsupervised"


_BY_CODE = {
    EXIT_CLEAN: Reason.CLEAN,
    EXIT_AUTH: Reason.AUTH,
    EXIT_CONFIG: Reason.CONFIG,
    EXIT_CONFLICT: Reason.CONFLICT,
    EXIT_RATE_LIMITED: Reason.RATE_LIMITED,
}


def reason_of_code(code: int) -> Reason:
    """Return the reason that a plain exit with `code` stands for (design section 3)."""
    return _BY_CODE.get(code, Reason.CODE)
