"""What must hold of a lane after a round, and what is written of it at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from statistics import mean
from typing import Any, Protocol

from tests.chaos.lanes import Lane, Promise
from tests.chaos.people import accounts


class Watched(Protocol):
    """What was measured of a lane."""

    span_s: float
    in_flight: dict[str, list[int]]
    rounds: Counter[str]


def judge(lane: Lane) -> list[str]:
    """Return what is against the lane's promise; each thing is said with the same words however often it is looked at."""
    if lane.promise is Promise.NOTHING:
        return []
    marked = lane.marked()
    wrong = []
    for person in lane.people:
        twice = [n for n, times in person.shown.items() if times > 1]
        wrong += [f"{lane.name}: {person.name} {n} was answered twice, unmarked" for n in twice if (person.name, n) not in marked]
        if lane.promise is not Promise.MARKED:
            wrong += [f"{lane.name}: {person.name} {n} was answered twice" for n in twice if (person.name, n) in marked]
        is_allowed = lane.promise is Promise.AT_MOST_ONCE
        wrong += [f"{lane.name}: {person.name} {n} was lost ({person.said[n - 1]})" for n in person.unanswered
                  if not (is_allowed and (person.name, n) in marked)]  # fmt: skip
        if person.completed_twice:
            wrong.append(f"{lane.name}: {person.name}: handled to completion twice: {person.completed_twice}")
        if person.disordered:
            wrong.append(f"{lane.name}: {person.name}: answered out of order: {person.disordered}")
        wrong += [f"{lane.name}: {fault}" for fault in person.faults]
        wrong += [f"{lane.name}: {person.name} was told {text!r}" for text in person.others[1:]]  # the first says that a program answers
    return wrong


def written(lane: Lane, watch: Watched) -> dict[str, Any]:
    """Return a lane's numbers for the result file."""
    marked = lane.marked()
    by_name = {person.name: person for person in lane.people}
    kinds: dict[str, Any] = {}
    for kind, account in accounts(lane.people).items():
        of_kind = [(name, number) for name, number in marked if by_name[name].said[number - 1] == kind]
        twice_marked = sum(by_name[name].shown[number] > 1 for name, number in of_kind)
        kinds[kind] = asdict(account) | {
            "marked_uncertain": len(of_kind), "marked_and_shown_twice": twice_marked,
            "marked_and_not_shown": sum(not by_name[name].shown[number] for name, number in of_kind),
            "in_flight_mean": round(mean(watch.in_flight.get(kind) or [0]), 1), "rounds": watch.rounds[kind],
        }  # fmt: skip
    return {
        "promise": str(lane.promise), "people": len(lane.people), "undisturbed_s": round(watch.span_s, 2), "by_death": kinds,
        "completed_twice": sum(person.completed_twice for person in lane.people),
        "out_of_order": sum(person.disordered for person in lane.people),
    }  # fmt: skip


def table(result: dict[str, Any]) -> str:
    """Return the lanes side by side, as text."""
    head = f"{'bot':<16} {'death':<25} {'rounds':>6} {'messages':>8} {'in flight':>9} {'lost':>6} {'twice':>6} {'uncertain':>9}"
    lines = [head]
    for name, lane in result["lanes"].items():
        for death, found in lane["by_death"].items():
            lines.append(
                f"{name:<16} {death:<25} {found['rounds']:>6} {found['said']:>8} {found['in_flight_mean']:>9} {found['lost']:>6} "
                f"{found['twice']:>6} {found['marked_uncertain']:>9}"
            )
    return "\n".join(lines)
