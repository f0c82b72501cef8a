"""Sections of Markdown files in a full-text index that follows the files: SQLite's FTS5 with its porter stemmer and bm25().

Only finding is here, not deciding what an answer is (documents.py). The database is SQLite's private temporary one (`""`): it
lives in the page cache, spills to an unlinked file when it outgrows that, and ends with the process; docs/decisions/0002 tells why.
Bounded: MAX_FILES files, MAX_FILE_BYTES each, MAX_TOTAL_BYTES together; what is left out is said once in the log.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from processsupervisor.chat.sections import split
from processsupervisor.kernel.errors import StorageError

MAX_FILES = 2_000
MAX_FILE_BYTES = 1 << 20
MAX_TOTAL_BYTES = 64 << 20
SUFFIXES = (".md", ".markdown")
HEADING_WEIGHT, ABOVE_WEIGHT, TEXT_WEIGHT = 4.0, 1.5, 1.0
"""A word in the section's own heading, in the headings above it, in its text."""
_SETTLED_NS = 2_000_000_000  # a file changed this recently may change again within one tick of its mtime, unseen
_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__"})

logger = logging.getLogger("processsupervisor.chat")


@dataclass(frozen=True, slots=True)
class Found:
    """One section that holds a word of the question; `rank` is bm25 with its sign turned: higher is better."""

    rowid: int
    file: str
    anchor: str
    heading: str
    text: str
    rank: float

    @property
    def citation(self) -> str:
        """`file#heading`, or the file alone for text above its first heading."""
        return f"{self.file}#{self.anchor}" if self.anchor else self.file


class DocumentIndex:
    """Index of all Markdown below `roots` (folders or files); a file is named by its path from its root's parent.

    Not thread-safe: the caller holds a lock. Methods raise StorageError when SQLite refuses (no FTS5, no room for its file).
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = [Path(os.path.abspath(root)) for root in roots]  # noqa: PTH100 - links that users chose are kept
        self._seen: dict[str, tuple[int, ...]] = {}
        self._warned: set[str] = set()
        try:
            self._db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA cache_size = -4096")
            self._db.execute("PRAGMA journal_mode = MEMORY")
            self._db.execute(
                "CREATE VIRTUAL TABLE sections USING fts5(heading, above, text, file UNINDEXED, anchor UNINDEXED,"
                " tokenize = 'porter unicode61 remove_diacritics 2')"
            )
        except sqlite3.Error as err:
            raise StorageError(f"cannot make a full-text index: {err}", hint="use a Python whose sqlite3 has FTS5") from err

    def refresh(self) -> int:
        """Read files that are new or changed since the last call, forget deleted ones; return the number of sections."""
        try:
            with self._transaction():
                self._follow()
            (count,) = self._db.execute("SELECT count(*) FROM sections").fetchone()
        except sqlite3.Error as err:
            raise StorageError(f"the full-text index failed: {err}") from err
        return int(count)

    def _follow(self) -> None:
        now_ns = time.time_ns()
        present: set[str] = set()
        for name, path, facts in self._files():
            present.add(name)
            signature = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
            if self._seen.get(name) == signature:
                continue
            self._forget(name)
            parts = split(self._read(path, name) or "")
            rows = [(s.path[-1] if s.path else "", " / ".join(s.path[:-1]), s.text, name, s.anchor) for s in parts]
            self._db.executemany("INSERT INTO sections (heading, above, text, file, anchor) VALUES (?, ?, ?, ?, ?)", rows)
            self._seen[name] = signature if now_ns - facts.st_mtime_ns > _SETTLED_NS else ()
        for name in self._seen.keys() - present:
            self._forget(name)

    def _forget(self, name: str) -> None:
        if self._seen.pop(name, None) is not None:
            self._db.execute("DELETE FROM sections WHERE file = ?", (name,))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            self._seen.clear()  # what was read is not in the index any more, or twice: read all again
            self._db.execute("DELETE FROM sections")
            raise
        self._db.execute("COMMIT")

    def close(self) -> None:
        """Give up the index; nothing can be asked of it afterwards."""
        self._db.close()

    def rows_with(self, word: str) -> set[int]:
        """Return the rowids of the sections that hold `word` or another form of it (porter)."""
        try:
            rows = self._db.execute("SELECT rowid FROM sections WHERE sections MATCH ?", (quoted(word),))
            return {row[0] for row in rows}
        except sqlite3.Error as err:
            raise StorageError(f"the full-text index failed: {err}") from err

    def best(self, words: Sequence[str], limit: int) -> list[Found]:
        """Return up to `limit` sections that hold any of `words`, best bm25 first."""
        sql = (
            "SELECT rowid, file, anchor, heading, text, -bm25(sections, ?, ?, ?) AS rank"
            " FROM sections WHERE sections MATCH ? ORDER BY rank DESC, rowid LIMIT ?"
        )
        try:
            query = " OR ".join(quoted(word) for word in words)
            return [Found(*row) for row in self._db.execute(sql, (HEADING_WEIGHT, ABOVE_WEIGHT, TEXT_WEIGHT, query, limit))]
        except sqlite3.Error as err:
            raise StorageError(f"the full-text index failed: {err}") from err

    def _files(self) -> Iterator[tuple[str, Path, os.stat_result]]:
        count = total_bytes = 0
        for name, path in self._candidates():
            try:
                facts = path.stat()
            except OSError as err:
                self._warn(name, f"cannot be read: {err.strerror}")
                continue
            if not stat.S_ISREG(facts.st_mode):
                continue
            if facts.st_size > MAX_FILE_BYTES:
                self._warn(name, f"is larger than {MAX_FILE_BYTES} bytes")
                continue
            count += 1
            total_bytes += facts.st_size
            if count > MAX_FILES or total_bytes > MAX_TOTAL_BYTES:
                self._warn("", f"more than {MAX_FILES} files or {MAX_TOTAL_BYTES} bytes; the rest is left out")
                return
            yield name, path, facts

    def _candidates(self) -> Iterator[tuple[str, Path]]:
        names: set[str] = set()
        for root in self._roots:
            for path in [root] if root.is_file() else _walk(root):
                name = path.relative_to(root.parent).as_posix()
                if name not in names:
                    names.add(name)
                    yield name, path

    def _read(self, path: Path, name: str) -> str | None:
        try:
            with path.open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
            if len(data) > MAX_FILE_BYTES:
                self._warn(name, f"is larger than {MAX_FILE_BYTES} bytes")
                return None
            text = data.decode("utf-8-sig")
        except OSError as err:
            self._warn(name, f"cannot be read: {err.strerror}")
            return None
        except UnicodeDecodeError:
            self._warn(name, "is not UTF-8")
            return None
        self._warned.discard(name)
        return text

    def _warn(self, name: str, reason: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            logger.warning("document left out", extra={"file": name, "reason": reason})


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f not in _SKIPPED_FOLDERS)
        for file in sorted(files):
            if file.lower().endswith(SUFFIXES) and not file.startswith("."):
                yield Path(folder, file)


def quoted(word: str) -> str:
    """Return `word` as an FTS5 string, in which nothing is an operator."""
    return '"' + word.replace('"', '""') + '"'
