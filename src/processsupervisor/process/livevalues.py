"""The settings that a native bot takes over while it runs, and the digest by which psvd and the bot speak of a set of them."""

from __future__ import annotations

import hashlib
import json
from typing import TypedDict

from processsupervisor.config.spec import BotSpec


class LiveValues(TypedDict):
    """What the message "config" carries; values of `options` may be references, as in the spec."""

    options: dict[str, object]
    log_level: str
    log_levels: dict[str, str]


def live_values(spec: BotSpec) -> LiveValues:
    """Return what of a spec a running bot can take over; an older psv wrote no levels of loggers."""
    return {"options": spec["options"], "log_level": spec["log_level"], "log_levels": spec.get("log_levels") or {}}


def digest_of(values: LiveValues) -> str:
    """Return the SHA-256 of the values, in hexadecimal."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()
