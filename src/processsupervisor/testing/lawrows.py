"""What cases do with rows: make one as the engine would have committed it, bring it to its network, and wait for what is shown."""

from __future__ import annotations

import time

from processsupervisor.connectors.base import Connector, ErrorKind, NetworkError
from processsupervisor.storage.records import NO_EXTRAS, Extras, Outgoing, Place, SendState
from processsupervisor.testing.lawengine import Engine, until
from processsupervisor.testing.lawrig import Rig

OTHER = "4711"
"""Another conversation, where there are several."""


def row(rig: Rig, text: str, out_id: str = "r900", *, to: str = "", extras: Extras = NO_EXTRAS) -> Outgoing:
    """Return a committed row that is being sent. Its number is as far behind the engine's as that of its id ("r900", "r95-4")."""
    place = Place(rig.place.network, to) if to else rig.place
    seq = 10_000 + int("".join(char for char in out_id if char.isdecimal()))
    return Outgoing(seq, out_id, place, None, text, time.time(), extras=extras, state=SendState.SENDING)


async def begun(rig: Rig, *, to: str = "") -> None:
    """Let the person speak first, as networks want it, and wait until the bot has nothing more to send."""
    await rig.say("hello", to=to)
    await seen(rig, "echo hello", to=to)


async def seen(rig: Rig, text: str, *, to: str = "") -> None:
    """Wait until a final text has appeared."""
    await until(lambda: text in rig.shown(to=to), f"to see {text!r}")


async def bring(engine: Engine, out: Outgoing) -> str:
    """Bring a row to its network, as the engine does: by `send`, or by `publish` where readers pull, who know it by its own id.

    Returns the network's id of it. Raises NetworkError.
    """
    if engine.connector.is_pulled:
        engine.connector.publish(out)
        return out.id
    return (await engine.connector.send(out)).network_id


async def refused(connector: Connector, out: Outgoing) -> NetworkError:
    """Send a row and return the error. Raises AssertionError when it is taken."""
    try:
        await connector.send(out)
    except NetworkError as err:
        return err
    raise AssertionError("the send did not fail")


async def said_or_refused(rig: Rig, engine: Engine, out: Outgoing, missing: str, *words: str) -> None:
    """Bring a row that holds what the network lacks: the person is shown all `words`, or it is refused for what is `missing`.

    Raises AssertionError for anything else.
    """
    before = len(rig.shown())
    try:
        await bring(engine, out)
    except NetworkError as err:
        assert (err.kind, err.is_uncertain) == (ErrorKind.PERMANENT, False), f"a row with {missing} is refused for good, not {err.kind}"
        assert missing in str(err), f"the refusal does not say that it is for the {missing}"
        assert len(rig.shown()) == before, "it was refused and shown"
        return
    await until(lambda: all(word in "\n".join(rig.shown()[before:]) for word in words), f"a row with {missing} to be shown in words")
