"""What psvd makes of a bot's words about its messages: an alert that names the way to look."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from processsupervisor.supervisor.alerts import Alerts
from processsupervisor.supervisor.botlinks import BotLinks
from processsupervisor.supervisor.events import Event, Events
from processsupervisor.supervisor.letters import LetterDesk
from processsupervisor.supervisor.liveconfig import LiveConfig


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"op": "send-unknown", "messages": 1}, "the outcome of a message is unknown, it is not sent again; see psv send list anna"),
        ({"op": "send-unknown", "messages": 7}, "the outcome of 7 messages is unknown, they are not sent again; see psv send list anna"),
        ({"op": "send-failed", "messages": 2, "why": "chat not found"}, "2 messages cannot be sent: chat not found"),
    ],
)
def test_messages_that_did_not_arrive_are_an_alert(line, message):
    events = Events()
    told: list[Event] = []
    events.listen(told.append)
    links = BotLinks(lambda _name: None, lambda *_: None, events, LiveConfig(Alerts(events)), LetterDesk())
    links._take(SimpleNamespace(name="anna"), line)
    (event,) = told
    assert (event["kind"], event["bot"], event["what"], event["message"]) == ("alert", "anna", line["op"], message)
