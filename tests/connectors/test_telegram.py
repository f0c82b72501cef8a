"""Telegram keeps the law of connectors, at a double of the Bot API that knows people, groups and mishaps."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.connectors.telegramrig import TOKEN

from processsupervisor.connections.buckets import Limit, Limits
from processsupervisor.connectors.base import ErrorKind
from processsupervisor.connectors.telegram.connector import TelegramConnector
from processsupervisor.connectors.telegram.settings import read_settings
from processsupervisor.storage.records import Place
from processsupervisor.testing.botapi.faults import Fault, FaultKind
from processsupervisor.testing.botapi.people import ADA, Chat, Person
from processsupervisor.testing.botapi.server import BotApi
from processsupervisor.testing.connectorlaw import ConnectorLaw
from processsupervisor.testing.lawrig import MOVED_TO, RETRY_AFTER_S, Ability, Mishap

WIDE = Limits(token=Limit(1000, 1.0), chat=Limit(1000, 1.0), group=Limit(1000, 1.0))
_CONFLICT = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
_FAULTS = {
    Mishap.AUTH: {"kind": FaultKind.ERROR, "status": 401, "description": "Unauthorized"},
    Mishap.RATE: {"kind": FaultKind.RATE, "retry_after_s": int(RETRY_AFTER_S)},
    Mishap.SERVER: {"kind": FaultKind.ERROR, "status": 500},
    Mishap.CUT_BEFORE: {"kind": FaultKind.CUT_BEFORE},
    Mishap.CUT_AFTER: {"kind": FaultKind.CUT_AFTER},
    Mishap.REFUSED: {"kind": FaultKind.ERROR, "status": 400, "description": "Bad Request: message is too long"},
    Mishap.BLOCKED: {"kind": FaultKind.ERROR, "status": 403, "description": "Forbidden: bot was blocked by the user"},
}


class TelegramRig:
    """Ada, others and a group around one bot."""

    place = Place("telegram", str(ADA.id))

    def __init__(self, api: BotApi) -> None:
        self._api = api
        self._crowd = api.bot(TOKEN)
        self._account = api.known(TOKEN)
        self._last = 0
        self._group: Chat | None = None
        self._repeats: list[int] = []

    def connect(self, folder: Path) -> TelegramConnector:
        settings = read_settings({"token": TOKEN, "base_url": self._api.url}, "anna")
        return TelegramConnector(settings, "anna", folder, WIDE)

    async def say(self, text: str, *, to: str = "") -> str:
        self._last = self._crowd.says(text, Person(int(to), "Eve") if to else ADA)
        return f"m{self._last}"

    def shown(self, *, to: str = "") -> list[str]:
        return self._crowd.texts(int(to or ADA.id))

    async def repeat(self) -> None:
        self._repeats.append(self._polls())
        self._crowd.repeats()
        while self._account.updates.waiting and self._polls() == self._repeats[-1]:
            await asyncio.sleep(0.005)

    def acknowledged(self) -> int:
        return self._account.updates.confirmed + sum(self._polls() > polls for polls in self._repeats)

    def _polls(self) -> int:
        return self._account.called["getUpdates"]

    def befall(self, mishap: Mishap) -> None:
        if mishap is Mishap.MOVED:
            with self._api.heard:
                self._account.chats[ADA.id].migrated_to = int(MOVED_TO)
        else:
            self._api.faults.add(Fault(method="sendMessage", **_FAULTS[mishap]))

    def deny(self, kind: ErrorKind) -> None:
        if kind is ErrorKind.AUTH:
            self._api.revoke(TOKEN)
        else:
            self._api.faults.add(Fault(FaultKind.ERROR, "getUpdates", times=99, status=409, description=_CONFLICT))
        self._crowd.says("whatever ends the poll under way")

    def calls(self) -> int:
        return self._account.called["sendMessage"]

    def typed(self) -> int:
        return len(self._account.actions)

    def pieces(self) -> list[str]:
        return [shown.message["text"] for shown in self._crowd.shown if shown.kind == "draft"]

    async def say_in_group(self, text: str) -> None:
        self._crowd.says(text.replace("@BOT", "@n123456_bot"), chat=self._group)

    async def join(self) -> None:
        self._group = self._crowd.group("Team")

    async def leave(self) -> None:
        assert self._group is not None
        self._crowd.removes_bot(self._group)

    async def edit(self, text: str) -> None:
        self._crowd.edits(self._last, text)

    async def press(self, label: str) -> None:
        message = self._with_buttons()
        (data,) = (button["callback_data"] for button in _buttons(message) if button["text"] == label)
        self._crowd.presses(message["message_id"], data)

    def buttons(self) -> list[str]:
        return [button["text"] for button in _buttons(self._with_buttons())]

    def _with_buttons(self) -> dict[str, Any]:
        return next((shown.message for shown in reversed(self._crowd.shown) if _buttons(shown.message)), {})

    async def send_file(self, name: str, content: bytes, text: str) -> None:
        self._crowd.sends("document", content, name=name, caption=text)

    def files(self) -> dict[str, bytes]:
        documents = [shown.message["document"] for shown in self._crowd.shown if shown.kind == "document"]
        return {document["file_name"]: self._account.files.find(document["file_id"]).content for document in documents}

    def standing(self) -> list[str]:
        return [str(message.get("text")) for message in self._account.chats[ADA.id].messages.values() if message["from"]["id"] == self._account.id]

    def forget_message(self, network_id: str) -> None:
        self._crowd.deletes(int(network_id))


def _buttons(message: dict[str, Any]) -> list[dict[str, Any]]:
    return [button for row in message.get("reply_markup", {}).get("inline_keyboard", []) for button in row]


class TestTelegram(ConnectorLaw):
    abilities = frozenset({
        Ability.KEEPS, Ability.REPEATS, Ability.ACKNOWLEDGES, Ability.ROOMS, Ability.REOPENS, Ability.SENDS, Ability.CURSOR,
        Ability.GROUPS, Ability.EDITS, Ability.CORRECTS, Ability.BUTTONS, Ability.FILES, Ability.ATTACHES, Ability.MARKUP,
        Ability.TYPING, Ability.DRAFTS,
    })  # fmt: skip

    @contextlib.asynccontextmanager
    async def rig(self, folder: Path) -> AsyncIterator[TelegramRig]:
        with BotApi(conflict_pause_s=0.2) as api:
            yield TelegramRig(api)
