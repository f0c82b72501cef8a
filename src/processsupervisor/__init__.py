"""The author API: `from processsupervisor import Bot, Message`. Importing the package alone loads nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from processsupervisor.version import __version__

if TYPE_CHECKING:
    from processsupervisor.bot.api import Bot
    from processsupervisor.bot.arguments import Duration
    from processsupervisor.bot.config import Config
    from processsupervisor.bot.contact import Contact
    from processsupervisor.bot.conversation import Conversation
    from processsupervisor.bot.files import Attachment, File
    from processsupervisor.bot.handlers import CallNext
    from processsupervisor.bot.http import Http, HttpAnswer, HttpError
    from processsupervisor.bot.log import Log
    from processsupervisor.bot.message import Message
    from processsupervisor.bot.questions import AskTimeout, Said, ask, once
    from processsupervisor.bot.recipients import Recipient
    from processsupervisor.bot.reply import Answer, Button, Edit, Reply
    from processsupervisor.bot.routers import Router
    from processsupervisor.bot.schedules import Planned, Schedule
    from processsupervisor.bot.steps import step
    from processsupervisor.bot.store import BotStore, Store
    from processsupervisor.kernel.errors import Refused
    from processsupervisor.kernel.reasons import EXIT_AUTH, EXIT_CLEAN, EXIT_CONFIG, EXIT_CONFLICT, EXIT_RATE_LIMITED, EXIT_RETRYABLE

__all__ = [
    "EXIT_AUTH",
    "EXIT_CLEAN",
    "EXIT_CONFIG",
    "EXIT_CONFLICT",
    "EXIT_RATE_LIMITED",
    "EXIT_RETRYABLE",
    "Answer",
    "AskTimeout",
    "Attachment",
    "Bot",
    "BotStore",
    "Button",
    "CallNext",
    "Config",
    "Contact",
    "Conversation",
    "Duration",
    "Edit",
    "File",
    "Http",
    "HttpAnswer",
    "HttpError",
    "Log",
    "Message",
    "Planned",
    "Recipient",
    "Refused",
    "Reply",
    "Router",
    "Said",
    "Schedule",
    "Store",
    "__version__",
    "ask",
    "once",
    "step",
]

_HOMES = {
    "bot.api": ("Bot",),
    "bot.arguments": ("Duration",),
    "bot.config": ("Config",),
    "bot.contact": ("Contact",),
    "bot.conversation": ("Conversation",),
    "bot.files": ("Attachment", "File"),
    "bot.handlers": ("CallNext",),
    "bot.http": ("Http", "HttpAnswer", "HttpError"),
    "bot.log": ("Log",),
    "bot.message": ("Message",),
    "bot.questions": ("AskTimeout", "Said", "ask", "once"),
    "bot.recipients": ("Recipient",),
    "bot.reply": ("Answer", "Button", "Edit", "Reply"),
    "bot.routers": ("Router",),
    "bot.schedules": ("Planned", "Schedule"),
    "bot.steps": ("step",),
    "bot.store": ("BotStore", "Store"),
    "kernel.errors": ("Refused",),
    "kernel.reasons": tuple(name for name in __all__ if name.startswith("EXIT_")),
}
_PLACES = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
