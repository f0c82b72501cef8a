"""What a bot's evidence means, case by case: pure, over facts that no file and no process stands behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from processsupervisor.ipc.journal import ExitEntry
from processsupervisor.kernel.identity import Identity, Liveness
from processsupervisor.supervisor.adoption import Finding, Outcome, gather, weigh

OLD, NEW = Identity(10, 100, "boot", 1), Identity(20, 200, "boot", 1)


@dataclass
class Case:
    """An EvidencePort over what the test says; who is not in `living` or `elsewhere` is gone."""

    signed: tuple[Identity, int] | None = None
    facts: dict[str, object] = field(default_factory=dict)
    held: bool = False
    living: frozenset[Identity] = frozenset()
    elsewhere: frozenset[Identity] = frozenset()

    def is_held(self, bot: str) -> bool:
        return self.held

    def note(self, bot: str) -> Mapping[str, object]:
        return {} if self.signed is None else {**self.signed[0].to_json(), "generation": self.signed[1]}

    def record(self, bot: str) -> Mapping[str, object]:
        return self.facts

    def liveness(self, identity: Identity) -> Liveness:
        if identity in self.elsewhere:
            return Liveness.UNVERIFIABLE
        return Liveness.ALIVE if identity in self.living else Liveness.GONE

    def weigh(self, *ended: Identity) -> Finding:
        entries = {(i.pid, i.start_ticks): ExitEntry(1, i.pid, i.start_ticks, 256, 1.0) for i in ended}
        return weigh(gather(self, "x", entries))


def _record(generation: int, identity: Identity | None, *, has_process: bool = True) -> dict[str, object]:
    return {"generation": generation, "identity": identity.to_json() if identity else None, "has_process": has_process, "state": "RUNNING"}


def test_who_signed_the_lock_and_lives_is_adopted_with_the_record_of_its_generation() -> None:
    """Facts about another generation are not facts about this one."""
    found = Case((NEW, 2), _record(2, NEW), held=True, living=frozenset({NEW})).weigh()
    assert (found.outcome, found.identity, found.generation, found.facts["state"]) == (Outcome.ADOPT, NEW, 2, "RUNNING")
    assert Case((NEW, 2), _record(1, OLD), held=True, living=frozenset({NEW})).weigh().facts == {}


def test_the_record_names_a_child_that_has_not_signed_its_lock_yet() -> None:
    """psvd heard of the birth and died; the note in the lock is still the one of the generation before."""
    found = Case((OLD, 1), _record(2, NEW), living=frozenset({NEW})).weigh()
    assert (found.outcome, found.identity, found.generation) == (Outcome.ADOPT, NEW, 2)


def test_a_start_that_was_only_written_down_is_no_exit() -> None:
    """The journal's entry is the generation's before: it is not told twice."""
    found = Case((OLD, 1), _record(2, None)).weigh(OLD)
    assert (found.outcome, found.generation, found.entry) == (Outcome.UNBORN, 2, None)


def test_a_held_lock_after_a_start_that_was_written_down_may_be_the_child() -> None:
    """It has taken the lock and is about to sign it: nobody kills it as what an earlier one left."""
    assert Case((OLD, 1), _record(2, None), held=True).weigh().outcome is Outcome.CANNOT_TELL


@pytest.mark.parametrize("facts", [{}, _record(3, None, has_process=False)])
def test_a_held_lock_that_names_nobody_cannot_be_told(facts: dict[str, object]) -> None:
    """Torn note, lost record: whoever holds it may be the bot."""
    assert Case(None, facts, held=True).weigh().outcome is Outcome.CANNOT_TELL


def test_a_held_lock_of_the_dead_is_leftovers() -> None:
    """However the first process ended, and whatever the record says."""
    assert Case((NEW, 2), _record(2, NEW), held=True).weigh(NEW).outcome is Outcome.LEFTOVERS
    assert Case((NEW, 2), {}, held=True).weigh().outcome is Outcome.LEFTOVERS


def test_another_namespace_is_not_judged_while_it_holds_the_lock() -> None:
    """Once the lock is free, its holder is gone wherever it lived."""
    assert Case((NEW, 2), _record(2, NEW), held=True, elsewhere=frozenset({NEW})).weigh().outcome is Outcome.CANNOT_TELL
    assert Case((OLD, 1), _record(2, NEW), held=True, elsewhere=frozenset({OLD})).weigh().outcome is Outcome.CANNOT_TELL
    assert Case((NEW, 2), _record(2, NEW), elsewhere=frozenset({NEW})).weigh().outcome is Outcome.ENDED_UNSEEN


def test_an_end_is_told_from_the_journal_or_as_unseen_and_only_once() -> None:
    """A record that rests has told it already; a record that is lost has told nothing."""
    assert Case((NEW, 2), _record(2, NEW)).weigh(NEW).outcome is Outcome.ENDED
    assert Case((NEW, 2), _record(2, NEW)).weigh(OLD).outcome is Outcome.ENDED_UNSEEN
    assert Case((NEW, 2), _record(2, None, has_process=False)).weigh(NEW).outcome is Outcome.FRESH
    assert Case((NEW, 2), {}).weigh(NEW).outcome is Outcome.ENDED
    assert Case().weigh().outcome is Outcome.FRESH


@pytest.mark.parametrize("generation", [None, "3", -1.5, {}])
def test_nonsense_in_a_record_is_no_generation(generation: object) -> None:
    """A record of another version, or of no version at all, raises nothing."""
    assert Case((NEW, 2), _record(2, NEW) | {"generation": generation}, living=frozenset({NEW})).weigh().outcome is Outcome.ADOPT
