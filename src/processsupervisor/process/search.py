"""Looking everywhere for what dead bots left behind: one pass over /proc for all that ask, in pieces between which psvd goes on.

Needed for bots that an earlier keeper started: what they leave is nobody's child here. A pass each, all in one piece, took
psvd so long where thousands of processes run that its keeper heard no pong, and killed it, while a fleet went down.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass

from processsupervisor.kernel.identity import Identity, read_stat
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.process.tree import all_pids, descendants_of, high_files_of, marks_of

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
            except OSError as err:
                for question in asked:
                    if not question.answer.done():
                        question.answer.set_exception(err)
                continue
            for question in asked:
                if not question.answer.done():
                    question.answer.set_result(list(dict.fromkeys(found[question.bot])))


async def _look(paths: FleetPaths, asked: list[_Question]) -> dict[str, list[Identity]]:
    found: dict[str, list[Identity]] = {question.bot: [] for question in asked}
    locks = {question.bot: lock for question in asked if (lock := _file_of(paths, question.bot)) is not None}
    fleet = b"PSV_FLEET=" + os.fsencode(paths.folder)
    for number, pid in enumerate(all_pids()):
        if number % _PIECE == 0:
            await asyncio.sleep(0)
        stat = read_stat(pid)
        if stat is None or stat[0] in "ZX" or all(pid in question.known for question in asked):
            continue
        files, marks = high_files_of(pid), marks_of(pid)
        for question in asked:
            is_marked = fleet in marks and f"PSV_BOT={question.bot}".encode() in marks
            is_of_bot = stat[2] == question.session or is_marked or locks.get(question.bot) in files
            if is_of_bot and pid not in question.known:
                members = (pid, *descendants_of(pid))
                found[question.bot] += [i for m in members if m not in question.known and (i := Identity.of(m)) is not None]
    return found


def _file_of(paths: FleetPaths, bot: str) -> tuple[int, int] | None:
    with contextlib.suppress(OSError):
        facts = os.stat(paths.bot_run(bot) / "lock")
        return facts.st_dev, facts.st_ino
    return None
