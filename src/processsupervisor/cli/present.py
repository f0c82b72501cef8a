"""The configuration that runs, for whoever compares with it: asked of psvd, else read from what the fleet ran by last.

Nothing is written: psv.db, which only psvd writes, is opened read-only. What cannot be read there is not known, and no error.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from processsupervisor.cli.session import Session
from processsupervisor.config.applied import read_applied
from processsupervisor.config.content import checksum
from processsupervisor.config.spec import Applied
from processsupervisor.ipc import candidate
from processsupervisor.kernel.errors import ConfigError, NoSupervisor
from processsupervisor.kernel.paths import FleetPaths

Rejected = Mapping[str, Mapping[str, Any]]
"""By the digest of the files: `{reason, at, number}` of a content that was taken back."""


@dataclass(frozen=True, slots=True)
class Present:
    """The version that runs, or ran last. `version` has number, at, author and reason, `sources` its files, as far as they are known."""

    applied: Applied
    version: Mapping[str, Any]
    rejected: Rejected = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    is_live: bool = False

    @property
    def number(self) -> int | None:
        """Return the number of the version; None when nobody knows it."""
        number = self.version.get("number")
        return number if isinstance(number, int) else None

    @property
    def name(self) -> str:
        """Return "running version 12", or what can be said in its place."""
        which = "" if self.number is None else f" version {self.number}"
        return f"running{which or ' configuration'}" if self.is_live else f"last{which or ' applied configuration'}"

    def why_rejected(self, digest: str) -> str | None:
        """Return why the content with this digest was taken back, None when it was not."""
        found = self.rejected.get(digest)
        return None if found is None else str(found.get("reason") or "it failed")


def ask(session: Session) -> Present:
    """Return what psvd runs. Raises NoSupervisor."""
    with session.client() as client:
        here = candidate.running(client)
        applied, sources = candidate.content(client, here.get("number"))
    return Present(applied, here, here.get("rejected") or {}, sources, is_live=True)


def look(session: Session) -> Present:
    """Return what runs, or ran last. Raises ConfigError when nothing ever did."""
    try:
        return ask(session)
    except NoSupervisor:
        applied = read_applied(session.paths)
        return Present(applied, version_of(session.paths, applied), rejected(session.paths))


def last_applied(paths: FleetPaths) -> Applied | None:
    """Return what the fleet ran by last, None when there is nothing to use."""
    try:
        return read_applied(paths)
    except ConfigError:
        return None


def rejected(paths: FleetPaths) -> Rejected:
    """Return what psvd has noted as rejected."""
    rows = _read(paths, "SELECT source_digest, reason, at, number FROM rejected")
    return {digest: {"reason": reason, "at": at, "number": number} for digest, reason, at, number in rows}


def version_of(paths: FleetPaths, applied: Applied) -> Mapping[str, Any]:
    """Return number, at, author and reason of the newest version with this content, as far as psvd has noted one."""
    query = "SELECT number, at, author, reason FROM versions WHERE checksum = ? ORDER BY number DESC LIMIT 1"
    rows = _read(paths, query, checksum(applied))
    return dict(zip(("number", "at", "author", "reason"), rows[0], strict=True)) if rows else {}


def _read(paths: FleetPaths, query: str, *arguments: object) -> list[tuple[Any, ...]]:
    try:
        with contextlib.closing(sqlite3.connect(f"{paths.database.as_uri()}?mode=ro", uri=True, timeout=2.0)) as database:
            return database.execute(query, arguments).fetchall()
    except sqlite3.Error:
        return []
