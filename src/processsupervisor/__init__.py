"""The author API: `from processsupervisor import Bot, Message`. Importing the package alone loads nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processsupervisor.version import __version__

if TYPE_CHECKING:
    from processsupervisor.bot.api import Bot
    from processsupervisor.bot.arguments import Duration
    from processsupervisor.bot.message import Message
    from processsupervisor.bot.store import Store
    from processsupervisor.kernel.errors import Refused
    from processsupervisor.kernel.reasons import EXIT_AUTH, EXIT_CLEAN, EXIT_CONFIG, EXIT_CONFLICT, EXIT_RATE_LIMITED, EXIT_RETRYABLE

__all__ = [
    "EXIT_AUTH",
    "EXIT_CLEAN",
    "EXIT_CONFIG",
    "EXIT_CONFLICT",
    "EXIT_RATE_LIMITED",
    "EXIT_RETRYABLE",
    "Bot",
    "Duration",
    "Message",
    "Refused",
    "Store",
    "__version__",
]

_PLACES = {"Bot": "bot.api", "Duration": "bot.arguments", "Message": "bot.message", "Refused": "kernel.errors", "Store": "bot.store"}
_PLACES |= dict.fromkeys((name for name in __all__ if name.startswith("EXIT_")), "kernel.reasons")


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
