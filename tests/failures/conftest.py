"""The live fleet of tests/supervisor, and what hard cases need beside it."""

from __future__ import annotations

from tests.supervisor.conftest import fleet, unused_port

__all__ = ["fleet", "unused_port"]
