"""The content of a configuration by which versions are told apart: normalised, with its checksum and the form in which it is kept.

Standard library only. What says where a configuration came from, or what was found outside of it, is no content.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any, cast

from processsupervisor.config.spec import Applied

_NOT_CONTENT = frozenset({"problems", "source_digest", "files", "includes", "effects", "change", "number"})
_NOT_OF_A_BOT = frozenset({"error", "error_rechecks", "is_elsewhere"})

Content = dict[str, Any]
"""`{"fleet": {...}, "web": {...}, "bots": {name: {...}}, "notify": {name: {...}}, "runtime": [...], "release": n}`."""


def normalised(applied: Applied) -> Content:
    """Return what `applied` says, bots and channels by name, without what is no content."""
    content = {key: value for key, value in applied.items() if key not in _NOT_CONTENT}
    content["bots"] = {spec["name"]: {k: v for k, v in spec.items() if k not in _NOT_OF_A_BOT} for spec in applied["bots"]}
    content["notify"] = {spec["name"]: dict(spec) for spec in applied.get("notify", [])}
    content.setdefault("runtime", [])
    content.setdefault("release", None)
    return content


def checksum(applied: Applied) -> str:
    """Return the SHA-256 of the normalised content."""
    return hashlib.sha256(_text(normalised(applied))).hexdigest()


def pack(applied: Applied, sources: dict[str, str]) -> bytes:
    """Return a configuration and the text of its files as they are kept in a version."""
    return zlib.compress(_text({"applied": applied, "sources": sources}))


def unpack(packed: bytes) -> tuple[Applied, dict[str, str]]:
    """Return what `pack` was given. Raises ValueError for anything else."""
    try:
        value = json.loads(zlib.decompress(packed))
        return cast(Applied, value["applied"]), dict(value["sources"])
    except (zlib.error, KeyError, TypeError) as err:
        raise ValueError(f"no version of a configuration: {err}") from err


def _text(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
