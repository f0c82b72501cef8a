"""Waiting for files in some folders to change. What has changed is for the caller to see: an event only says that it is time to look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_DEBOUNCE_MS, _STEP_MS = 60, 10
"""An editor writes a file in several steps; after 10 ms without another one, at the latest after 60, it is saved."""


def moments(folders: Sequence[str], every_ms: int) -> Iterator[None]:
    """Yield whenever something directly in one of `folders` has changed, and each `every_ms` without."""
    from watchfiles import watch

    events = watch(
        *folders, watch_filter=None, debounce=_DEBOUNCE_MS, step=_STEP_MS, recursive=False, rust_timeout=every_ms, yield_on_timeout=True
    )
    for _ in events:
        yield
