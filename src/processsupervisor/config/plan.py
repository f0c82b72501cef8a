"""What lies between two configurations: key by key, and as a plan of what each bot goes through. Pure, standard library only.

`differences` and `patch` are each other's inverse over normalised content; a plan is made of the same differences.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from processsupervisor.config.content import Content, normalised
from processsupervisor.config.spec import Applied, BotSpec, Effect

_STRENGTH: dict[Effect, int] = {"live": 0, "restart": 1, "recreate": 2}
_LIKE = 0.8
"""Two bots of which so many keys say the same look like one that was renamed."""
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """One place at which two contents differ; `is_added` and `is_removed` say that one of them has nothing there."""

    path: tuple[str, ...]
    old: Any = None
    new: Any = None
    is_added: bool = False
    is_removed: bool = False


def differences(old: Content, new: Content) -> list[Difference]:
    """Return where `new` differs from `old`: tables key by key, everything else as a whole."""
    return list(_differ((), old, new))


def _differ(path: tuple[str, ...], old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[Difference]:
    for key in [*old, *(key for key in new if key not in old)]:
        here, before, after = (*path, key), old.get(key, _ABSENT), new.get(key, _ABSENT)
        if after is _ABSENT:
            yield Difference(here, old=before, is_removed=True)
        elif before is _ABSENT:
            yield Difference(here, new=after, is_added=True)
        elif isinstance(before, dict) and isinstance(after, dict):
            yield from _differ(here, before, after)
        elif before != after or type(before) is not type(after):
            yield Difference(here, old=before, new=after)


def patch(content: Content, changes: Iterable[Difference]) -> Content:
    """Return `content` with `changes` made."""
    patched = copy.deepcopy(content)
    for change in changes:
        table = patched
        for key in change.path[:-1]:
            table = table[key]
        if change.is_removed:
            del table[change.path[-1]]
        else:
            table[change.path[-1]] = copy.deepcopy(change.new)
    return patched


@dataclass(frozen=True, slots=True)
class BotChange:
    """What changes of one bot: keys of its BotSpec ("env", "restart.max_s"), and the strongest of their effects."""

    name: str
    keys: tuple[str, ...]
    effect: Effect


@dataclass(frozen=True, slots=True)
class Plan:
    """What lies between two configurations. `fleet` are keys of no bot ("web.listen_port"); `renames` look like (old, new) name."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: dict[str, BotChange] = field(default_factory=dict)
    fleet: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing would happen."""
        return not (self.added or self.removed or self.changed or self.fleet)

    def with_effect(self, *effects: Effect) -> list[str]:
        """Return the changed bots whose effect is one of these, in order."""
        return [name for name, change in self.changed.items() if change.effect in effects]


def make_plan(old: Applied, new: Applied) -> Plan:
    """Return what leads from `old` to `new`; the effects are those that `new` brings along."""
    before, after = normalised(old), normalised(new)
    effects = new.get("effects") or old.get("effects") or {}
    was, now = before["bots"], after["bots"]
    changed: dict[str, BotChange] = {}
    for name in (name for name in now if name in was):
        keys = tuple(dict.fromkeys(_key(d, effects) for d in differences(_shared(was[name], now[name]), _shared(now[name], was[name]))))
        if keys:
            changed[name] = BotChange(name, keys, max((effect_of(key, effects) for key in keys), key=_STRENGTH.__getitem__))
    added, removed = tuple(name for name in now if name not in was), tuple(name for name in was if name not in now)
    rest = [d for d in differences(_others(before), _others(after)) if d.path[0] not in ("runtime", "version")]
    fleet = tuple(dict.fromkeys(".".join(d.path[:2]) for d in rest))
    return Plan(added, removed, changed, fleet, _renames(removed, added, was, now))


def effect_of(key: str, effects: Mapping[str, Effect]) -> Effect:
    """Return what a change of the spec key `key` asks for; of one that nobody declared, a restart."""
    return effects.get(key) or effects.get(key.partition(".")[0]) or "restart"


def _key(difference: Difference, effects: Mapping[str, Effect]) -> str:
    """Return the key of a difference inside one bot: of two parts where the effects know those, else of one."""
    two = ".".join(difference.path[:2])
    return two if len(difference.path) > 1 and two in effects else difference.path[0]


def _shared(spec: Mapping[str, Any], other: Mapping[str, Any]) -> Content:
    """Return the keys of `spec` that both know: one that only one version of psv writes is no difference unless it says something."""
    return {key: value for key, value in spec.items() if key in other or value not in (None, {}, [], "folder")}


def _others(content: Content) -> Content:
    return {key: value for key, value in content.items() if key != "bots"}


def _renames(
    removed: Iterable[str], added: Iterable[str], was: Mapping[str, BotSpec], now: Mapping[str, BotSpec]
) -> tuple[tuple[str, str], ...]:
    """Pair bots that went with bots that came and are the same in nearly everything; each at most once."""
    free, pairs = [name for name in added if not now[name].get("template")], []
    for old in (name for name in removed if not was[name].get("template")):
        likeness = {new: _likeness(was[old], now[new]) for new in free[:100]}
        best = max(likeness, key=likeness.__getitem__, default=None)
        if best is not None and likeness[best] >= _LIKE and _runs_same(was[old], now[best]):
            pairs.append((old, best))
            free.remove(best)
    return tuple(pairs)


def _runs_same(old: BotSpec, new: BotSpec) -> bool:
    return (old["run"], old["script"], old["command"], old["args"]) == (new["run"], new["script"], new["command"], new["args"])


def _likeness(old: Mapping[str, Any], new: Mapping[str, Any]) -> float:
    keys = (old.keys() | new.keys()) - {"name"}
    return sum(bool(old.get(key) == new.get(key)) for key in keys) / len(keys)
