"""`ConnectorLaw`: what holds for every connector (connectors/base.py), as a test class that yours derives from.

    class TestLaw(ConnectorLaw):
        abilities = frozenset({Ability.SENDS, …})

        @contextlib.asynccontextmanager
        async def rig(self, folder):
            yield MyRig(…)

`abilities` says what the network has. What it lacks has cases of its own, so that no class gets away with fewer by saying less; none is
skipped. lawrig.py says what a rig is.
"""

from __future__ import annotations

from processsupervisor.testing.lackinglaw import LackingLaw
from processsupervisor.testing.lifelaw import LifeLaw
from processsupervisor.testing.pulledlaw import PulledLaw
from processsupervisor.testing.receivinglaw import ReceivingLaw
from processsupervisor.testing.richlaw import RichLaw
from processsupervisor.testing.sendinglaw import SendingLaw
from processsupervisor.testing.showinglaw import ShowingLaw


class ConnectorLaw(ReceivingLaw, LifeLaw, ShowingLaw, SendingLaw, PulledLaw, RichLaw, LackingLaw):
    """The whole law."""


def cases_of(law: type[ConnectorLaw]) -> list[str]:
    """Return the names of the cases that a class has."""
    return sorted(name for name in dir(law) if name.startswith("test_") and getattr(law, name) is not None)
