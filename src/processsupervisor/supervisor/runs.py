"""The runs of tasks in psv.db: what is due, what has begun and how it ended; and each task's mark.

A run is noted as queued together with the mark that passes its due time, and as running with its generation before it is launched,
both beyond a power cut. So a due time is never run twice, whatever is killed, and none is lost between the two.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from processsupervisor.kernel.clock import wall
from processsupervisor.kernel.identity import boot_id
from processsupervisor.process.exits import ExitRecord
from processsupervisor.supervisor.due import Why
from processsupervisor.supervisor.store import Store

_COLUMNS = "id, bot, due_at, why, state, boot_id, generation, started_at, ended_at, reason, exit_code, signal, message"
_INSERT = "INSERT INTO runs (bot, due_at, why, state, boot_id, generation, message) VALUES (?, ?, ?, ?, ?, 0, ?)"
_MARK = (
    "INSERT INTO tasks VALUES (?, ?, ?, ?) ON CONFLICT (bot) DO UPDATE SET schedule = excluded.schedule, anchor = excluded.anchor, "
    "mark = excluded.mark"
)


class RunState(StrEnum):
    """Where a run is. What is queued or running is open."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"
    SKIPPED = "skipped"


@dataclass(slots=True)
class Run:
    """One run. `due_at` of a command's is when it was asked for; `generation` 0 = never launched. Times are epoch seconds."""

    id: int
    bot: str
    due_at: float
    why: Why
    state: RunState
    boot_id: str
    generation: int
    started_at: float | None
    ended_at: float | None
    reason: str | None
    exit_code: int | None
    signal: str | None
    message: str

    def to_json(self) -> dict[str, object]:
        """Return the object of `psv task history --json`."""
        duration_s = None if self.started_at is None or self.ended_at is None else round(max(0.0, self.ended_at - self.started_at), 3)
        return {
            "bot": self.bot, "due_at": self.due_at, "why": self.why, "state": self.state, "generation": self.generation or None,
            "started_at": self.started_at, "ended_at": self.ended_at, "duration_s": duration_s, "reason": self.reason,
            "exit_code": self.exit_code, "signal": self.signal, "message": self.message,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mark:
    """What is known of a task's time: up to `at` everything was dealt with; `anchor` is what an interval is counted from."""

    schedule: str
    anchor: float
    at: float


class Runs:
    """All tasks' runs, over psvd's one connection."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def mark(self, bot: str) -> Mark | None:
        """Return a task's mark, None when it was never scheduled."""
        rows = self._store.rows("SELECT schedule, anchor, mark FROM tasks WHERE bot = ?", (bot,))
        return Mark(*rows[0]) if rows else None

    def set_mark(self, bot: str, mark: Mark) -> None:
        """Note that everything up to the mark is dealt with; on disk at the next flush."""
        self._store.write(_MARK, (bot, mark.schedule, mark.anchor, mark.at))

    def forget_others(self, bots: Collection[str]) -> None:
        """Forget the marks, and what waits, of tasks that are in the fleet no more: one that is put in again is new."""
        for (bot,) in self._store.rows("SELECT bot FROM tasks"):
            if bot not in bots:
                self._store.write("DELETE FROM tasks WHERE bot = ?", (bot,))
                skip = "UPDATE runs SET state = ?, message = 'the task was taken out of the fleet' WHERE bot = ? AND state = ?"
                self._store.write(skip, (RunState.SKIPPED, bot, RunState.QUEUED))

    def is_known(self, bot: str, due_at: float) -> bool:
        """Tell whether the occurrence that is due then was noted already."""
        return bool(self._store.rows("SELECT 1 FROM runs WHERE bot = ? AND due_at = ? AND why != 'command'", (bot, due_at)))

    def known_from(self, bot: str, keep: int) -> float:
        """Return the due time from which on all runs are still noted: earlier ones may have been dropped."""
        rows = self._store.rows("SELECT count(*), min(due_at) FROM runs WHERE bot = ?", (bot,))
        return float(rows[0][1]) if rows and rows[0][0] >= keep else 0.0

    def queue(self, bot: str, runs: Sequence[tuple[float, Why]], left_out: tuple[float, str] | None, mark: Mark) -> bool:
        """Note what is due, what is left out and why, and the mark, in one; False when the disk refuses, and nothing is noted then."""
        rows = [(_INSERT, (bot, due_at, str(why), RunState.QUEUED, boot_id(), "")) for due_at, why in runs]
        if left_out is not None:
            rows.append((_INSERT, (bot, left_out[0], str(Why.MISSED), RunState.SKIPPED, boot_id(), left_out[1])))
        return self._store.write_durably([*rows, (_MARK, (bot, mark.schedule, mark.anchor, mark.at))])

    def call(self, bot: str) -> bool:
        """Note a run that a person asked for; False when the disk refuses."""
        return self._store.write_durably([(_INSERT, (bot, wall(), str(Why.COMMAND), RunState.QUEUED, boot_id(), ""))])

    def open(self, bot: str) -> list[Run]:
        """Return what is queued or running, oldest first."""
        return self._select("bot = ? AND state IN ('queued', 'running') ORDER BY due_at, id", (bot,))

    def get(self, bot: str, number: int) -> Run | None:
        """Return one run of a task, None when it is not kept."""
        found = self._select("bot = ? AND id = ?", (bot, number))
        return found[0] if found else None

    def newest(self, bot: str, limit: int) -> list[Run]:
        """Return the newest runs, oldest first."""
        return self._select("bot = ? ORDER BY id DESC LIMIT ?", (bot, limit))[::-1]

    def _select(self, where: str, values: tuple[object, ...]) -> list[Run]:
        rows = self._store.rows(f"SELECT {_COLUMNS} FROM runs WHERE {where}", values)
        return [Run(row[0], row[1], row[2], Why(row[3]), RunState(row[4]), *row[5:]) for row in rows]

    def begin(self, run: Run, generation: int) -> bool:
        """Note that this generation is about to be launched for `run`; False when the disk refuses: then it must not be."""
        began = wall()
        change = "UPDATE runs SET state = ?, generation = ?, started_at = ?, boot_id = ? WHERE id = ?"
        if not self._store.write_durably([(change, (RunState.RUNNING, generation, began, boot_id(), run.id))]):
            return False
        run.state, run.generation, run.started_at, run.boot_id = RunState.RUNNING, generation, began, boot_id()
        return True

    def follow(self, run: Run, generation: int) -> None:
        """Note that another generation carries the run: its first start was refused by the system."""
        run.generation = generation
        self._store.write("UPDATE runs SET generation = ? WHERE id = ?", (generation, run.id))

    def put_back(self, run: Run) -> None:
        """Queue a run again of which it is proven that it never began."""
        run.state, run.generation, run.started_at = RunState.QUEUED, 0, None
        self._store.write("UPDATE runs SET state = ?, generation = 0, started_at = NULL WHERE id = ?", (run.state, run.id))

    def end(self, run: Run, record: ExitRecord) -> None:
        """Note how a run ended; on disk at the next flush, with the exit itself."""
        run.state, run.ended_at, run.reason = RunState.ENDED, record.at, str(record.reason)
        run.exit_code, run.signal, run.message = record.exit_code, record.signal, record.message
        change = "UPDATE runs SET state = ?, ended_at = ?, reason = ?, exit_code = ?, signal = ?, message = ? WHERE id = ?"
        self._store.write(change, (run.state, run.ended_at, run.reason, run.exit_code, run.signal, run.message, run.id))

    def reopen(self, bot: str, generation: int) -> Run | None:
        """Return the run of a generation as running again: it was noted as failed to start, and a process of it lives."""
        found = self._select("bot = ? AND generation = ? AND state = 'ended' ORDER BY id DESC LIMIT 1", (bot, generation))
        for run in found:
            run.state, run.ended_at, run.reason = RunState.RUNNING, None, None
            self._store.write("UPDATE runs SET state = ?, ended_at = NULL, reason = NULL WHERE id = ?", (run.state, run.id))
        return found[0] if found else None

    def skip(self, run: Run, message: str) -> None:
        """Note that a queued run is left out."""
        run.state, run.message = RunState.SKIPPED, message
        self._store.write("UPDATE runs SET state = ?, message = ? WHERE id = ?", (run.state, message, run.id))

    def prune(self, bot: str, keep: int) -> None:
        """Drop the oldest results beyond `keep`. What is due in the future stays: the clock was set back, and they must not come twice."""
        closed = "bot = ? AND state IN ('ended', 'skipped') AND due_at <= ?"
        keeping = f"SELECT id FROM runs WHERE {closed} ORDER BY id DESC LIMIT ?"
        self._store.write(f"DELETE FROM runs WHERE {closed} AND id NOT IN ({keeping})", (bot, wall(), bot, wall(), keep))
