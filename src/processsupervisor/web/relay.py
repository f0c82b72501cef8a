"""One client's view of one conversation, kept whole over every death of the bot.

The client's stream stays open while the bot is away; afterwards the relay subscribes again after the last final event that
it passed on, so that nothing is lost and nothing repeated. It keeps a position and no messages.
"""

from __future__ import annotations

import contextlib
import time
from asyncio import sleep
from collections.abc import Awaitable, Callable

from processsupervisor.kernel.errors import ProtocolError
from processsupervisor.web.link import BotLink, ChatEvent
from processsupervisor.web.problem import Problem

RETRY_FIRST_S = 0.05
RETRY_MOST_S = 1.0
_LOOK_BACK = (50, 200)
"""How many of the newest messages are looked through for the place where "from now on" begins."""

OnEvent = Callable[[ChatEvent], Awaitable[None]]
OnPresence = Callable[[bool], Awaitable[None]]


class Relay:
    """Passes on the events of `conversation` with seq > `after`; without `after`, those from now on."""

    def __init__(self, link: BotLink, bot: str, conversation: str, after: int | None) -> None:
        self._link = link
        self._bot = bot
        self._conversation = conversation
        self._after = after
        self._opened_at = time.time()
        self._is_present: bool | None = None

    async def run(self, on_event: OnEvent, on_presence: OnPresence, is_known: Callable[[], bool]) -> None:
        """Relay until the bot is no longer of the fleet (`is_known`) or the caller cancels.

        `on_presence` hears whether the bot can be reached, at first and at each change.
        """
        retry_s = RETRY_FIRST_S
        while is_known():
            try:
                if self._after is None:
                    self._after = await self._find_position()
                async with self._link.subscribe(self._bot, self._conversation, self._after) as events:
                    await self._say(True, on_presence)
                    retry_s = RETRY_FIRST_S
                    async for event in events:
                        await self._pass_on(event, on_event)
            except (Problem, ProtocolError):
                retry_s = min(retry_s * 2, RETRY_MOST_S)
            await self._say(False, on_presence)
            await sleep(retry_s)

    async def _pass_on(self, event: ChatEvent, on_event: OnEvent) -> None:
        if event.seq is not None:
            if self._after is not None and event.seq <= self._after:
                return  # replayed by a bot that counts differently; the client has it
            await on_event(event)
            self._after = event.seq
        else:
            await on_event(event)

    async def _say(self, is_present: bool, on_presence: OnPresence) -> None:
        if is_present != self._is_present:
            self._is_present = is_present
            await on_presence(is_present)

    async def _find_position(self) -> int | None:
        """Return the newest seq that was there when the client came, 0 when there was none.

        The bot may have been away then, so the history is compared with the moment of the client's request: a reminder
        that the returning bot sends first belongs to the client. Without a position a death of the bot before its first
        event would lose what it says on its return.
        """
        for limit in _LOOK_BACK:
            messages = await self._link.history(self._bot, self._conversation, limit)
            older = [m for m in messages if m.get("seq") is not None and m.get("from") == "bot" and _number(m.get("at")) <= self._opened_at]
            if older:
                return max(int(_number(message.get("seq"))) for message in older)
            if len(messages) < limit:
                return 0
        return None


def _number(value: object) -> float:
    if isinstance(value, (int, float)):
        return float(value)
    with contextlib.suppress(TypeError, ValueError):
        return float(str(value))
    return 0.0
