"""Which settings of each bot differ from those that the fleet ran with before: told once, when a psvd first runs with them.

psv.db keeps a digest of every key of every bot's spec, never a value. Until settings are taken over while a fleet runs, other ones
come with `psv up`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping

from processsupervisor.config.spec import BotSpec
from processsupervisor.supervisor.store import Store

_WHOLE = "*"
_NOT_SETTINGS = frozenset({"name", "error", "error_rechecks", "is_elsewhere"})


def take_settings(store: Store, specs: Mapping[str, BotSpec], bots: Collection[str] | None = None) -> dict[str, list[str]]:
    """Remember the present settings and return `{bot: keys that differ}` for the bots that were known before.

    `specs` are those of `bots`, which may be gone, or of all. On disk before it returns, so that nothing is told twice. A key that only
    one version of psv knows is no difference.
    """
    before: dict[str, dict[str, str]] = {bot: json.loads(digests) for bot, digests in _known(store, bots)}
    changed: dict[str, list[str]] = {}
    for bot, spec in specs.items():
        values = {key: value for key, value in spec.items() if key not in _NOT_SETTINGS}
        was, whole = before.get(bot), _digest(values)
        if was is not None and was.get(_WHOLE) == whole:
            continue
        now = {_WHOLE: whole, **{key: _digest(value) for key, value in values.items()}}
        upsert = "INSERT INTO settings (bot, digests) VALUES (?, ?) ON CONFLICT (bot) DO UPDATE SET digests = excluded.digests"
        store.write(upsert, (bot, json.dumps(now)))
        if was is not None and (keys := sorted(key for key in was.keys() & values.keys() if was[key] != now[key])):
            changed[bot] = keys
    for bot in before.keys() - specs.keys():
        store.write("DELETE FROM settings WHERE bot = ?", (bot,))
    store.flush()
    return changed


def _known(store: Store, bots: Collection[str] | None) -> list[tuple[str, str]]:
    if bots is None:
        return [(bot, digests) for bot, digests in store.rows("SELECT bot, digests FROM settings")]
    found = [store.rows("SELECT bot, digests FROM settings WHERE bot = ?", (bot,)) for bot in bots]
    return [(bot, digests) for rows in found for bot, digests in rows]


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
