"""Looking everywhere for what dead bots left behind: one pass over /proc for all that ask, in pieces between which psvd goes on.

Needed for bots that an earlier keeper started: what they leave is nobody's child here. A pass each, all in one piece, took
psvd so long where thousands of processes run that its keeper heard no pong, and killed it, while a fleet went down.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass

from processsupervisor.kernel.identity import Identity
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.tree import Attribution, all_pids

_PIECE = 50
"""Processes looked at before other work of the loop gets its turn: a few milliseconds."""


@dataclass(frozen=True, slots=True)
class _Question:
    bot: str
    session: int | None
    known: frozenset[int]
    answer: asyncio.Future[list[Identity]]


class Search:
    """Answers as tree.leftovers does for all processes; who asks while a pass is under way is answered by the next one."""

    def __init__(self) -> None:
        self.passes = 0
        self._asked: list[_Question] = []
        self._work: asyncio.Task[None] | None = None

    async def leftovers(self, paths: FleetPaths, bot: str, session: int | None, known: Iterable[int]) -> list[Identity]:
        """Return what is left of a bot, with everything below it; `known` as for tree.leftovers. Raises OSError."""
        loop = asyncio.get_running_loop()
        question = _Question(bot, session, frozenset(known) | {os.getpid()}, loop.create_future())
        self._asked.append(question)
        if self._work is None or self._work.done():
            self._work = loop.create_task(self._answer_all(paths))
        return await question.answer

    async def _answer_all(self, paths: FleetPaths) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            self.passes += 1
            try:
                found = await _look(paths, asked)
            except Exception as err:  # noqa: BLE001 - whatever it is, whoever asked must get an answer
                for question in asked:
                    if not question.answer.done():
                        question.answer.set_exception(err)
                continue
            for question, left in zip(asked, found, strict=True):
                if not question.answer.done():
                    question.answer.set_result(left)


async def _look(paths: FleetPaths, asked: list[_Question]) -> list[list[Identity]]:
    """Return what is left of each bot that is asked for, in the same order."""
    attribution = Attribution(paths, {question.bot: question.session for question in asked})
    found: dict[str, list[Identity]] = {question.bot: [] for question in asked}
    everybodys = frozenset.intersection(*(question.known for question in asked))
    for number, pid in enumerate(all_pids()):
        if number % _PIECE == 0:
            await asyncio.sleep(0)
        for bot, members in attribution.members((pid,), everybodys):
            found[bot] += members
    return [[i for i in dict.fromkeys(found[q.bot]) if i.pid not in q.known] for q in asked]
