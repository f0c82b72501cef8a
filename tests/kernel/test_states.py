"""The lifecycle table is total, has a way out of every state, and stays what the page in docs says."""

from __future__ import annotations

import itertools

from processsupervisor.kernel.states import DEADLINE_OF, HAS_PROCESS, TABLE, State, Trigger, next_state


def test_every_pair_of_state_and_trigger_is_written() -> None:
    """A pair that is missing would be a decision nobody took."""
    assert set(TABLE) == set(itertools.product(State, Trigger))


def test_every_state_is_reachable_and_has_a_way_out() -> None:
    """No state is a trap and none is decoration."""
    reached = {target for target in TABLE.values() if target is not None}
    assert reached | {State.INITIALIZING} == set(State)
    for state in State:
        assert any(next_state(state, t) not in (None, state) for t in Trigger), state


def test_every_state_names_what_ends_it() -> None:
    """Each state has a deadline that forces it, or says why none is needed."""
    assert set(DEADLINE_OF) == set(State)


def test_a_bot_with_a_process_is_never_launched_again() -> None:
    """LAUNCH is refused wherever a process may live: two copies cannot come out of the table (I1)."""
    for state in (*HAS_PROCESS, State.UNKNOWN):
        assert next_state(state, Trigger.LAUNCH) is None, state


def test_stop_leads_to_rest_from_every_state_with_a_process() -> None:
    """From wherever a process lives, STOP then EXIT ends in STOPPED."""
    for state in HAS_PROCESS - {State.STOPPING}:
        stopping = next_state(state, Trigger.STOP)
        assert stopping is State.STOPPING, state
        assert next_state(stopping, Trigger.EXIT) is State.STOPPED
