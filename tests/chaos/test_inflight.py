"""A few rounds with messages in flight on three networks, and the proof that the verdict can be another one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.chaos.crew import HEAD, TAKES_S, crew
from tests.chaos.inflight import Death, Inflight, Watch
from tests.chaos.lanes import Lane, Promise
from tests.chaos.people import Person
from tests.chaos.verdict import judge, table, written

from processsupervisor.kernel.identity import Identity


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_is_lost_and_nothing_answered_twice_unmarked(folder: Path) -> None:
    """On the page, on a network that takes keys and on Telegram, whatever becomes of the bot; `make inflight` is the same at length."""
    with crew(folder, ["web", "parlour", "telegram"]) as (fleet, lanes):
        result, is_good = Inflight(fleet, lanes, 20, head=HEAD % TAKES_S).run(1, [Death.TERM, Death.KILL, Death.POINT])
    assert is_good, result["violations"]
    for lane in result["lanes"].values():
        assert [lane["by_death"][death]["said"] for death in ("nothing", Death.TERM, Death.KILL, Death.POINT)] == [100, 50, 50, 50]


class _Lane(Lane):
    """A lane of one person, whose answers a test writes."""

    def __init__(self, promise: Promise, marked: set[tuple[str, int]], *answers: str) -> None:
        super().__init__("lane", promise, [Person("ada", "kill")])
        for _ in range(3):
            self.people[0].say()
        for text in answers:
            self.people[0].on_text(text)
        self._marked = marked

    def table(self) -> str:
        return ""

    def say(self) -> None:
        """Nothing more is said."""

    def victim(self) -> Identity | None:
        return None

    def waits(self) -> int:
        return 0

    def marked(self) -> set[tuple[str, int]]:
        return self._marked


ALL = ("ada 1 #1", "ada 2 #2", "ada 3 #3")
MARK = {("ada", 3)}


@pytest.mark.parametrize(
    ("promise", "marked", "answers", "wrong"),
    [
        (Promise.ONCE, set(), ALL, []),
        (Promise.ONCE, set(), ALL[:2], ["lane: ada 3 was lost (kill)"]),
        (Promise.ONCE, MARK, (*ALL, ALL[2]), ["lane: ada 3 was answered twice"]),
        (Promise.MARKED, set(), (*ALL, ALL[2]), ["lane: ada 3 was answered twice, unmarked"]),
        (Promise.MARKED, MARK, (*ALL, ALL[2]), []),
        (Promise.MARKED, MARK, ALL[:2], ["lane: ada 3 was lost (kill)"]),
        (Promise.AT_MOST_ONCE, MARK, ALL[:2], []),
        (Promise.AT_MOST_ONCE, set(), ALL[:2], ["lane: ada 3 was lost (kill)"]),
        (Promise.AT_MOST_ONCE, MARK, (*ALL, ALL[2]), ["lane: ada 3 was answered twice"]),
        (Promise.MARKED, MARK, (*ALL, "ada 3 #4"), ["lane: ada: handled to completion twice: 1"]),
        (Promise.ONCE, set(), (ALL[1], ALL[0], ALL[2]), ["lane: ada: answered out of order: 1"]),
        (Promise.ONCE, set(), ("A program answers.", *ALL, "Sorry."), ["lane: ada was told 'Sorry.'"]),
        (Promise.NOTHING, set(), (ALL[0], ALL[0]), []),
    ],
)
def test_each_promise_is_judged_by_its_words(promise: Promise, marked: set[tuple[str, int]], answers: tuple[str, ...], wrong: list[str]) -> None:
    """What is lost, twice or out of order; a mark excuses only what it is for, and a peer promises nothing."""
    assert judge(_Lane(promise, marked, *answers)) == wrong


def test_the_numbers_of_a_lane_are_by_death() -> None:
    """With what was marked beside what was shown."""
    lane = _Lane(Promise.MARKED, MARK, ALL[0], ALL[2], ALL[2])
    watch = Watch(in_flight={"kill": [40, 50]}, rounds=Counter({"kill": 2}))
    found = written(lane, watch)["by_death"]["kill"]
    assert found == {
        "said": 3, "lost": 1, "twice": 1, "repeats": 1, "marked_uncertain": 1, "marked_and_shown_twice": 1, "marked_and_not_shown": 0,
        "in_flight_mean": 45, "rounds": 2,
    }  # fmt: skip
    assert "kill" in table({"lanes": {"lane": written(lane, watch)}})
