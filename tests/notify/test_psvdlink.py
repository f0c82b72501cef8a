"""The notifier's connection to psvd, against a socket that answers as psvd does."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from tests.supervisor.live import eventually

from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.notify.psvdlink import PsvdLink


def test_a_question_that_is_refused_is_asked_again(tmp_path: Path) -> None:
    """psvd that cannot say now how the fleet does is asked anew: the dead man's switch is not silent for ever."""
    paths = FleetPaths(tmp_path)
    paths.ensure()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(paths.socket("psv")))
        listener.listen()
        link = PsvdLink(paths, 60.0)
        assert link.tick("0-")
        psvd, _ = listener.accept()
        with psvd, psvd.makefile("rw") as asked:
            assert json.loads(asked.readline())["op"] == "fleet.events"
            for answer in ({"error": {"code": "system", "message": "not now"}}, {"result": {"bots": {}}}):
                link.ask_status()
                assert json.loads(asked.readline())["op"] == "fleet.status"
                asked.write(json.dumps({"id": 3, **answer}) + "\n")
                asked.flush()
                before = link.heard_mono
                eventually(lambda before=before: link.read() == [] and link.heard_mono > before, "the answer")  # type: ignore[misc]
                assert link.take_status() == answer.get("result")
        link.drop()
