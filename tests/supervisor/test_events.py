"""Events: every listener hears all, one that does not keep up loses the oldest."""

from __future__ import annotations

from processsupervisor.supervisor import events
from processsupervisor.supervisor.events import Event, Events


def test_listeners_hear_everything_in_order_until_they_leave() -> None:
    """A listener that leaves while it is told does not disturb the others."""
    hub, heard, other = Events(), [], []

    def once(event: Event) -> None:
        other.append(event["n"])
        hub.unlisten(once)

    hub.listen(once)
    hub.listen(heard.append)
    hub.tell("alert", n=1)
    hub.tell("alert", n=2, at=5.0)
    assert [event["n"] for event in heard] == [1, 2]
    assert other == [1]
    assert heard[1] == {"seq": 2, "kind": "alert", "at": 5.0, "n": 2}
    assert isinstance(heard[0]["at"], float)


def test_a_queue_that_is_not_emptied_loses_the_oldest() -> None:
    """Memory of psvd is bounded, whoever follows; when the follower is gone nothing is kept for it."""
    hub = Events()
    with hub.queue() as queue:
        for n in range(events._QUEUE_EVENTS + 10):
            hub.tell("alert", n=n)
        assert queue.qsize() == events._QUEUE_EVENTS
        assert queue.get_nowait()["n"] == 10
        assert queue.lost == 10
    size = queue.qsize()
    hub.tell("alert", n=-1)
    assert queue.qsize() == size
