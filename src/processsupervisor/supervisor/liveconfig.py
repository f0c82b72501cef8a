"""Gives running native bots the settings that they can take over, over their links, and knows what each of them holds.

What a bot holds is what it said last. One that comes back with something else, because a psvd was killed in the middle of a
change, is given what its spec says now. The newest change counts: an older one that still waits for its answer is told so.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from processsupervisor.config.spec import BotSpec
from processsupervisor.ipc.lines import MAX_LINE_BYTES
from processsupervisor.kernel.states import HAS_PROCESS, State
from processsupervisor.launch.references import has_references
from processsupervisor.launch.values import origin
from processsupervisor.process.chores import Chores
from processsupervisor.process.handle import BotHandle
from processsupervisor.process.livevalues import LiveValues, digest_of, live_values
from processsupervisor.supervisor.alerts import Alerts

ALERT = "settings"
_RUNS = HAS_PROCESS - {State.STOPPING}
SUPERSEDED = "superseded by a newer change"
_ANSWER_S = 1.0
"""What the answer may take on its way, beside what the author's hook may take."""
_MAX_BYTES = MAX_LINE_BYTES - 1024
_log = logging.getLogger("psv.liveconfig")


@dataclass(slots=True, frozen=True)
class _Push:
    """A change that waits for its answer: "" when it was taken, else why not."""

    values: LiveValues
    digest: str
    timeout_s: float
    answer: asyncio.Future[str]

    def settle(self, why: str) -> None:
        if not self.answer.done():
            self.answer.set_result(why)


class LiveConfig:
    """The live settings of all bots of one fleet; `keeper_pid` says by whose environment their references are read now."""

    def __init__(self, alerts: Alerts, keeper_pid: Callable[[], int | None] = lambda: None) -> None:
        self._alerts, self._keeper_pid = alerts, keeper_pid
        self._pushes: dict[str, _Push] = {}
        self._chores = Chores(lambda raised: _log.error("a change of settings failed", exc_info=raised))

    def takes_options(self, handle: BotHandle) -> bool:
        """Tell whether the bot that runs takes other options without a restart; False as long as it has not said hello."""
        return handle.condition.takes_options

    async def push(self, handle: BotHandle, timeout_s: float = 10.0) -> str:
        """Give the bot what its spec says now; returns "" when it holds that, or has nothing to hold, else why not.

        The author's hook has `timeout_s`, and the bot a moment more to come back if its link was lost. A bot of which no
        answer came may still take the values: it is then given what its spec says by that time.
        """
        if handle.spec["kind"] != "native" or handle.life.state not in _RUNS:
            return ""  # it reads its settings at its next start
        values = live_values(handle.spec)
        digest = digest_of(values)
        before = self._pushes.get(handle.name)
        if before is not None and before.digest == digest:
            return await asyncio.shield(before.answer)
        if before is not None:
            before.settle(SUPERSEDED)
        elif handle.link is not None and handle.condition.settings == digest:
            return ""
        return await self._give(handle, _Push(values, digest, timeout_s, asyncio.get_running_loop().create_future()))

    async def _give(self, handle: BotHandle, push: _Push) -> str:
        self._pushes[handle.name] = push
        self._send(handle, push)
        try:
            done, _ = await asyncio.wait({push.answer}, timeout=push.timeout_s + _ANSWER_S)
            if not done:
                handle.condition.settings = None  # it may take them yet
                push.settle(_why_silent(handle, push.timeout_s))
            return push.answer.result()
        finally:
            push.settle(SUPERSEDED)  # whoever shares the answer must not wait for it when this waiter was cancelled
            if self._pushes.get(handle.name) is push:
                del self._pushes[handle.name]

    def _send(self, handle: BotHandle, push: _Push) -> None:
        if handle.link is None:
            return  # sent when it comes back
        if not handle.condition.is_known:
            push.settle("it was started by an older psv and takes no settings while it runs: restart it")
        elif len(json.dumps(push.values)) > _MAX_BYTES:
            push.settle("its options are too many to be given to a running bot: restart it")
        else:
            handle.link.send({"op": "config", "digest": push.digest, "timeout_s": push.timeout_s, **push.values, **self._origin(push)})

    def _origin(self, push: _Push) -> dict[str, object]:
        """Return how references are read now: the keeper by which the bot was started, and the copy of psv, may be gone since."""
        pid = self._keeper_pid() if has_references(push.values["options"]) else None
        return {} if pid is None else {"origin": origin(pid)}

    # -- what bots say

    def on_hello(self, handle: BotHandle, hello: Mapping[str, Any]) -> None:
        """Take what a bot says of its settings when it connects, and give it others if its spec has others."""
        condition = handle.condition
        condition.is_known = isinstance(hello.get("config"), str)
        condition.takes_options = hello.get("live") is True
        condition.settings = hello["config"] if condition.is_known else None
        push = self._pushes.get(handle.name)
        if push is None:
            self._keep_in_line(handle)
        elif push.digest == condition.settings:
            push.settle("")
        else:
            self._send(handle, push)

    def on_answer(self, handle: BotHandle, answer: Mapping[str, Any]) -> None:
        """Take a bot's answer to a change."""
        push, digest = self._pushes.get(handle.name), answer.get("digest")
        is_taken = answer.get("op") == "config-taken"
        if is_taken:
            handle.condition.settings = str(digest)
        if push is not None and push.digest == digest:
            push.settle("" if is_taken else f"refused: {answer.get('message') or 'no reason given'}")
        if is_taken and push is None:
            self._keep_in_line(handle)  # the answer to a change that was given up

    def _keep_in_line(self, handle: BotHandle) -> None:
        if handle.condition.settings == _digest(handle.spec):
            self._alerts.close(handle.name, ALERT)
        elif handle.condition.is_known:
            self._chores.begin(self._bring_in_line(handle))

    async def _bring_in_line(self, handle: BotHandle) -> None:
        why = await self.push(handle)
        if not why:
            _log.info("a bot was given the settings that it missed", extra={"bot": handle.name})
            self._alerts.close(handle.name, ALERT)
        elif why != SUPERSEDED and handle.life.state in _RUNS and handle.condition.takes_options:
            self._alerts.tell(handle.name, ALERT, f"runs with other settings than its fleet: {why}")
        else:
            _log.info("a bot keeps its settings until its next start", extra={"bot": handle.name, "why": why})


def _digest(spec: BotSpec) -> str:
    return digest_of(live_values(spec))


def _why_silent(handle: BotHandle, timeout_s: float) -> str:
    if handle.life.state not in _RUNS:
        return "it ended before it had answered"
    return "it has no link to psvd now" if handle.link is None else f"no answer within {timeout_s:g} s"
