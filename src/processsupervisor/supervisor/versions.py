"""Every configuration that was ever applied, as a numbered version in psv.db; and which contents of files were rejected, and why.

The number of the running version stands in fleet.json, which is replaced in one step: that file decides, the rows follow it. What
cannot be committed is refused: a version that a crash could forget would be no way back.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from processsupervisor.config.content import checksum, pack, unpack
from processsupervisor.config.spec import Applied
from processsupervisor.kernel.clock import wall
from processsupervisor.kernel.errors import Refused, SystemRefused
from processsupervisor.supervisor.store import Store

MOST_VERSIONS = 500
"""Older ones are forgotten, except the running one and the one before it."""
_MOST_SOURCE_BYTES = 16 << 20
PENDING, APPLIED, ROLLED_BACK, FAILED = "pending", "applied", "rolled-back", "failed"
_COLUMNS = "number, at, author, reason, checksum, source_digest, summary, result, message"


@dataclass(frozen=True, slots=True)
class Version:
    """One version without its content. `summary` is `{added, removed, changed: {bot: [keys]}, fleet}` against the one before."""

    number: int
    at: float
    author: str
    reason: str
    checksum: str
    source_digest: str
    summary: dict[str, object]
    result: str
    message: str

    def to_json(self) -> dict[str, object]:
        """Return what `config.versions` shows."""
        return {name: getattr(self, name) for name in self.__slots__}


class Kept(NamedTuple):
    """What a version keeps of a configuration: made in a thread where it is large."""

    checksum: str
    content: bytes

    @classmethod
    def of(cls, applied: Applied, sources: dict[str, str]) -> Kept:
        """Return it for a configuration and the text of its files."""
        return cls(checksum(applied), pack(applied, sources))


class Versions:
    """The versions of one fleet; `number` is the running one, 0 before the first is registered."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.number = 0

    def register(self, folder: Path, applied: Applied) -> bool:
        """Take what psvd was started with as the running version; True when it is one that was not known, and has got a number.

        One that says the same as the newest applied one is that one. Its files are kept with it as far as they are still what it came from.
        """
        number, known = int(applied.get("number") or 0), checksum(applied)
        version = self.get(number)
        if version is not None and version.checksum == known:
            self.number = number
            if version.result != APPLIED:
                self.finish(number, APPLIED)
            return False
        last = self.last_applied()
        if last is not None and last.checksum == known:
            self.number = last.number
            self.retake(last.number, applied, read_sources(folder, applied))
            return False
        kept = Kept.of(applied, read_sources(folder, applied))
        self.number = self.add(applied, kept, summary=self._summary(last, applied), result=APPLIED)
        return True

    def _summary(self, last: Version | None, applied: Applied) -> dict[str, object]:
        try:
            return summary_of(self.content(last.number)[0], applied) if last is not None else {}
        except Refused:  # its row is damaged: that must not keep psvd from its bots
            return {}

    def add(self, applied: Applied, kept: Kept, *, summary: dict[str, object], result: str = PENDING) -> int:
        """Note a version durably, with who made it (`applied["change"]`), and return its number. Raises SystemRefused if that cannot be."""
        change = applied.get("change") or {"author": "", "reason": "psv up"}
        digest, note = applied["source_digest"], json.dumps(summary)
        row = (wall(), change["author"], change["reason"], kept.checksum, digest, note, result, "", kept.content)
        names = "at, author, reason, checksum, source_digest, summary, result, message, content"
        if not self._store.write_durably([(f"INSERT INTO versions ({names}) VALUES (?,?,?,?,?,?,?,?,?)", row)]):
            raise SystemRefused(f"the version cannot be noted: {self._store.problem}", hint="free disk space; nothing has changed")
        return int(self._store.rows("SELECT max(number) FROM versions")[0][0])

    def finish(self, number: int, result: str, message: str = "") -> None:
        """Note how it came out."""
        self._store.write("UPDATE versions SET result = ?, message = ? WHERE number = ?", (result, message, number))
        self.prune()  # also of those that failed: a change that is tried all the time must not fill the disk
        self._store.flush()

    def retake(self, number: int, applied: Applied, sources: dict[str, str]) -> None:
        """Note that the same content came from other text (a comment, another order)."""
        values = (applied["source_digest"], pack(applied, sources), number)
        self._store.write("UPDATE versions SET source_digest = ?, content = ? WHERE number = ?", values)
        self._store.flush()

    def get(self, number: int) -> Version | None:
        """Return one version, None when it is not kept."""
        rows = self._store.rows(f"SELECT {_COLUMNS} FROM versions WHERE number = ?", (number,))
        return _version(rows[0]) if rows else None

    def newest(self, limit: int) -> list[Version]:
        """Return the newest `limit` versions, newest first."""
        return [_version(row) for row in self._store.rows(f"SELECT {_COLUMNS} FROM versions ORDER BY number DESC LIMIT ?", (limit,))]

    def last_applied(self) -> Version | None:
        """Return the newest version that came into force."""
        query = f"SELECT {_COLUMNS} FROM versions WHERE result = ? ORDER BY number DESC LIMIT 1"
        rows = self._store.rows(query, (APPLIED,))
        return _version(rows[0]) if rows else None

    def before(self, number: int) -> Version | None:
        """Return the version that was in force before this one."""
        query = f"SELECT {_COLUMNS} FROM versions WHERE result = ? AND number < ? ORDER BY number DESC LIMIT 1"
        rows = self._store.rows(query, (APPLIED, number))
        return _version(rows[0]) if rows else None

    def packed(self, number: int) -> bytes:
        """Return the content of a version as content.pack made it. Raises Refused when it is not kept."""
        rows = self._store.rows("SELECT content FROM versions WHERE number = ?", (number,))
        if not rows:
            raise Refused(f"there is no version {number}", hint="psv config versions lists those that are kept", code="no-such-version")
        return bytes(rows[0][0])

    def content(self, number: int) -> tuple[Applied, dict[str, str]]:
        """Return what a version says and the text of its files. Raises Refused when it is not kept, or its row is damaged."""
        try:
            return unpack(self.packed(number))
        except ValueError as err:
            text = f"version {number} cannot be read: {err}"
            raise Refused(text, hint="psv config versions lists the others", code="no-such-version") from err

    # -- what was rejected

    def reject(self, source_digest: str, reason: str, number: int) -> None:
        """Note that files of this content do not come into force by themselves again."""
        upsert = "INSERT OR REPLACE INTO rejected (source_digest, reason, at, number) VALUES (?,?,?,?)"
        self._store.write(upsert, (source_digest, reason, wall(), number))
        self._store.write("DELETE FROM rejected WHERE rowid NOT IN (SELECT rowid FROM rejected ORDER BY at DESC LIMIT ?)", (MOST_VERSIONS,))
        self._store.flush()

    def pardon(self, source_digest: str) -> None:
        """Forget that this content was rejected: it is in force."""
        self._store.write("DELETE FROM rejected WHERE source_digest = ?", (source_digest,))
        self._store.flush()

    def rejected(self) -> dict[str, dict[str, object]]:
        """Return `{source_digest: {reason, at, number}}`."""
        rows = self._store.rows("SELECT source_digest, reason, at, number FROM rejected ORDER BY at")
        return {digest: {"reason": reason, "at": at, "number": number} for digest, reason, at, number in rows}

    def give_up_pending(self) -> None:
        """Note of versions that were never begun, because psvd ended, that they failed."""
        change = "UPDATE versions SET result = ?, message = 'psvd ended before it was begun' WHERE result = ? AND number != ?"
        self._store.write(change, (FAILED, PENDING, self.number))
        self._store.flush()

    def prune(self) -> None:
        """Forget the oldest versions."""
        before = self.before(self.number)
        kept = (self.number, before.number if before is not None else 0, MOST_VERSIONS)
        query = "DELETE FROM versions WHERE number NOT IN (?, ?) AND number <= (SELECT max(number) FROM versions) - ?"
        self._store.write(query, kept)


def summary_of(old: Applied, new: Applied) -> dict[str, object]:
    """Return `{added, removed, changed, fleet}` between two configurations."""
    from processsupervisor.config.plan import make_plan

    plan = make_plan(old, new)
    changed = {name: list(change.keys) for name, change in plan.changed.items()}
    return {"added": list(plan.added), "removed": list(plan.removed), "changed": changed, "fleet": list(plan.fleet)}


def read_sources(folder: Path, applied: Applied) -> dict[str, str]:
    """Return the text of the files that `applied` came from; without those that are not what they were."""
    files = applied.get("files") or [{"path": "fleet.toml", "digest": applied["source_digest"]}]
    sources, total = {}, 0
    for file in files:
        try:
            path = folder / file["path"]
            content = path.read_bytes() if path.is_file() else b""  # to open a pipe would wait for its writer
            total += len(content)
            if total <= _MOST_SOURCE_BYTES and hashlib.sha256(content).hexdigest() == file["digest"]:
                sources[file["path"]] = content.decode("utf-8")
        except (OSError, ValueError):
            continue
    return sources


def _version(row: tuple[object, ...]) -> Version:
    number, at, author, reason, known, digest, summary, result, message = row
    assert isinstance(number, int)
    assert isinstance(at, float)
    found = json.loads(str(summary))
    return Version(number, at, str(author), str(reason), str(known), str(digest), found, str(result), str(message))
