"""The tables about conversations and networks that stand inside a scope: `chat`, `telegram_proxy`. See tables.py for what a key is.

`networks` is one table for each network; what stands in it is the connector's own business and is read by that.
"""

from __future__ import annotations

from typing import Literal

from processsupervisor.config.spec import ChatSpec, TelegramProxySpec
from processsupervisor.config.tables import Table, key
from processsupervisor.config.values import Count, Duration, Filled, Flag, Size, SomeTime, Url, VariableName

TELEGRAM_URL = "https://api.telegram.org"


class ChatTable(Table):
    """How a native bot holds its conversations."""

    mode: Literal["queue", "debounce", "interrupt"] = key(
        "queue", "What a message does that arrives while the bot answers: it waits, joins those that arrive with it, or ends the answer",
        '"queue"', effect="restart",
    )  # fmt: skip
    debounce: SomeTime = key(2.0, "With mode debounce: what arrives within this time is one message", '"2s"', effect="restart")
    at_once: Count = key(32, "Most conversations answered at the same time", "32", effect="restart", ge=1, le=1000)
    deadline: SomeTime = key(60.0, "Time for one message; then it is a dead letter and the next one goes on", '"60s"', effect="restart")
    max_age: SomeTime | None = key(
        None, "After downtime: older messages are not answered one by one but expire", "answered however old", effect="restart"
    )
    retries: Count = key(
        2, "How often a handler that raised is tried again before the message is a dead letter", "2", effect="restart", ge=0, le=20
    )
    replies: Literal["at-least-once", "at-most-once"] = key(
        "at-least-once", "A reply of which a kill left unknown whether it arrived, on a network without keys: sent again, or not",
        '"at-least-once"', effect="restart",
    )  # fmt: skip
    groups: Literal["addressed", "all"] = key(
        "addressed", "In a group: answer what speaks to the bot, or everything", '"addressed"', effect="restart"
    )
    typing: Flag = key(True, "Show that an answer is being made, where the network can", "true", effect="restart")
    expired: Filled | None = key(None, "Said once in a conversation whose messages expired", "a sentence", effect="restart")
    late: Filled | None = key(None, "Said when `deadline` has passed", "a sentence", effect="restart")
    failed: Filled | None = key(None, "Said when a message is given up", "a sentence", effect="restart")
    unreadable: Filled | None = key(None, "Said to what the bot cannot read (a sticker, a voice message)", "a sentence", effect="restart")
    max_file: Size = key(20 << 20, "Largest file that is kept", '"20MB"', effect="restart", ge=1)
    max_contact: Size = key(200 << 20, "Most that the files of one contact take", '"200MB"', effect="restart", ge=1)
    max_total: Size = key(2 << 30, "Most that the files of the bot take", '"2GB"', effect="restart", ge=1)


class TelegramProxyTable(Table):
    """A local Bot API for an unmodified bot."""

    token: Filled = key(..., "The network token, best as `secret:name`; the bot never sees it", "required", effect="restart")
    env: VariableName = key("BOT_TOKEN", "The variable in which the bot gets a stand-in for the token", '"BOT_TOKEN"', effect="restart")
    url_env: VariableName = key(
        "TELEGRAM_API_URL",
        "The variable in which the bot gets the address to use in place of Telegram's",
        '"TELEGRAM_API_URL"',
        effect="restart",
    )
    url: Url = key(TELEGRAM_URL, "Where Telegram is", f'"{TELEGRAM_URL}"', effect="restart")
    keep: Duration = key(86400.0, "How long updates wait for a bot that does not come for them", '"1d"', effect="restart")
    again: Duration = key(
        0.0, "After a restart of the bot, messages that it had confirmed no longer ago than this and not answered come once more",
        '"0s"', effect="restart",
    )  # fmt: skip


def chat_spec(table: ChatTable) -> ChatSpec:
    """Return what a start needs of the table."""
    return {
        "mode": table.mode,
        "debounce_s": table.debounce,
        "at_once": table.at_once,
        "deadline_s": table.deadline,
        "max_age_s": table.max_age,
        "retries": table.retries,
        "replies": table.replies,
        "groups": table.groups,
        "typing": table.typing,
        "expired": table.expired,
        "late": table.late,
        "failed": table.failed,
        "unreadable": table.unreadable,
        "max_file_bytes": table.max_file,
        "max_contact_bytes": table.max_contact,
        "max_total_bytes": table.max_total,
    }


def proxy_spec(table: TelegramProxyTable | None) -> TelegramProxySpec | None:
    """Return what the web process and a start need of the table."""
    if table is None:
        return None
    return {"token": table.token, "env": table.env, "url_env": table.url_env, "url": table.url.rstrip("/"), "keep_s": table.keep,
            "again_s": table.again}  # fmt: skip
