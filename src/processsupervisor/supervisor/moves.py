"""What is kept of a bot follows it to its new name, or is deleted with it: data, logs, lock, login budget, its rows in psv.db.

A move is noted in data/moves.json before fleet.toml changes, and carried out while no psvd works with the bot: by the next psvd before
it looks at anything, or by the command when none runs. Each step is done or not, so a move that was killed is gone on with; a move
that fleet.toml does not say after all is dropped. A bot whose lock is held is not touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypedDict

from processsupervisor.config.spec import Applied
from processsupervisor.kernel.files import is_flocked, read_json, write_json
from processsupervisor.kernel.paths import BOT_NAME_PATTERN, FleetPaths
from processsupervisor.launch import known

_BUSY_S = 2.0


class Move(TypedDict):
    """`new` None: everything is deleted."""

    old: str
    new: str | None


def note_move(paths: FleetPaths, move: Move) -> None:
    """Write down what is about to be done, durably, behind what is not done yet."""
    paths.ensure()
    write_json(_file(paths), [*_noted(paths), move], durable=True)


def drop_move(paths: FleetPaths, move: Move) -> None:
    """Take back a note."""
    _write(paths, [noted for noted in _noted(paths) if noted != move])


def finish_moves(paths: FleetPaths, bots: Collection[str]) -> dict[str, str]:
    """Carry out what is noted and fits `bots`, the names of fleet.toml; return `{bot: why not}` for what could not be done."""
    failed: dict[str, str] = {}
    left: list[Move] = []
    for move in _noted(paths):
        if not _fits(move, bots):
            left.append(move)
            continue
        try:
            _carry_out(paths, move)
        except (OSError, sqlite3.Error) as err:
            failed[move["new"] or move["old"]] = f"what is kept of {move['old']} could not be moved: {err}"
            left.append(move)
    if _file(paths).exists():
        with contextlib.suppress(OSError):  # done twice, it changes nothing
            _write(paths, left)
    return failed


def drop_unfit(paths: FleetPaths, bots: Collection[str]) -> None:
    """Drop what does not fit `bots`, the names of the present fleet.toml: it was not changed after all, or was changed back."""
    noted = _noted(paths)
    fit = [move for move in noted if _fits(move, bots)]
    if fit != noted:
        _write(paths, fit)


def _fits(move: Move, bots: Collection[str]) -> bool:
    return move["old"] not in bots and (move["new"] is None or move["new"] in bots)


def mark_unmoved(applied: Applied, failed: dict[str, str]) -> None:
    """Let no bot start beside the data that are its own."""
    for spec in applied["bots"]:
        if spec["name"] in failed and not spec["error"]:
            spec["error"] = f"{failed[spec['name']]}; psv down, then psv up tries again"
            spec["error_rechecks"] = False


def kept_of(paths: FleetPaths, bot: str) -> list[Path]:
    """Return the folders that hold something of a bot: data and logs. There is nothing under what is no name of a bot, such as ".."."""
    if not _is_name(bot):
        return []
    return [path for path in (paths.bot_data(bot), paths.bot_logs(bot)) if path.exists()]


def _file(paths: FleetPaths) -> Path:
    return paths.data / "moves.json"


def _noted(paths: FleetPaths) -> list[Move]:
    value = read_json(_file(paths))
    rows = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
    noted = [Move(old=row["old"], new=row["new"]) for row in rows if {"old", "new"} <= row.keys()]
    # Names become paths that are renamed and deleted: what is none, such as "..", is not looked at.
    return [move for move in noted if _is_name(move["old"]) and (move["new"] is None or _is_name(move["new"]))]


def _is_name(bot: object) -> bool:
    return isinstance(bot, str) and re.fullmatch(BOT_NAME_PATTERN, bot) is not None


def _write(paths: FleetPaths, moves: list[Move]) -> None:
    if moves:
        write_json(_file(paths), moves, durable=True)
    else:
        _file(paths).unlink(missing_ok=True)


def _carry_out(paths: FleetPaths, move: Move) -> None:
    old, new = move["old"], move["new"]
    for name in filter(None, (old, new)):
        if is_flocked(paths.bot_run(name) / "lock"):
            raise OSError(f"{name} still runs")
    if paths.database.exists():
        _move_rows(paths.database, old, new)
    if new is None:
        for folder in (paths.bot_data(old), paths.bot_logs(old), paths.bot_run(old)):
            if folder.exists():
                shutil.rmtree(folder)
        (paths.logins / f"{old}.locks").unlink(missing_ok=True)
        known.move(paths, old, None)
        return
    pairs = [(of(old), of(new)) for of in (paths.bot_run, paths.bot_logs, paths.bot_data)]
    for source, target in (*pairs, (paths.logins / f"{old}.locks", paths.logins / f"{new}.locks")):
        if source.exists():
            if target == paths.bot_run(new):
                shutil.rmtree(target, ignore_errors=True)  # void anyway: nothing of that name runs
            os.rename(source, target)  # noqa: PTH104 - refuses a folder that is not empty, as it must
    known.move(paths, old, new)


def _move_rows(database: Path, old: str, new: str | None) -> None:
    """Rename or delete what psv.db holds of a bot, in one transaction, whatever tables this version of it has."""
    with contextlib.closing(sqlite3.connect(database, isolation_level=None, timeout=_BUSY_S)) as db:
        db.execute("BEGIN IMMEDIATE")
        tables = [str(row[0]) for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if "bot" not in {str(row[1]) for row in db.execute(f'PRAGMA table_info("{table}")')}:
                continue
            if db.execute(f'SELECT 1 FROM "{table}" WHERE bot = ? LIMIT 1', (old,)).fetchone() is None:
                continue  # also when this was done before: then the rows of the new name are those
            if new is None:
                db.execute(f'DELETE FROM "{table}" WHERE bot = ?', (old,))
            else:
                db.execute(f'DELETE FROM "{table}" WHERE bot = ?', (new,))
                if table == "events":
                    _rename_events(db, old, new)
                db.execute(f'UPDATE "{table}" SET bot = ? WHERE bot = ?', (new, old))
        db.execute("COMMIT")


def _rename_events(db: sqlite3.Connection, old: str, new: str) -> None:
    rows: list[tuple[int, str]] = db.execute("SELECT id, event FROM events WHERE bot = ?", (old,)).fetchall()
    renamed: list[tuple[str, int]] = []
    for number, text in rows:
        event: dict[str, Any] = json.loads(text)
        renamed.append((json.dumps(event | {"bot": new}), number))
    db.executemany("UPDATE events SET event = ? WHERE id = ?", renamed)
