"""How a connector comes up and goes: the network is asked who the bot is, and only then anything is received.

A network that refuses the token ends the bot; one that cannot be reached does not: the bot is ready, not connected, and asks again.
"""

from __future__ import annotations

import asyncio
import logging
import random

from processsupervisor.bot.failure import place_of_error
from processsupervisor.connectors.base import Connector, ErrorKind, NetworkError, Port
from processsupervisor.kernel.errors import PsvError

FIRST_IDENTIFY_S = 5.0
"""The bot is not ready before; a network that takes longer is asked again beside it."""
IDENTIFY_S = 20.0
_FIRST_S, _LAST_S = 1.0, 60.0
_FATAL = (ErrorKind.AUTH, ErrorKind.CONFLICT)
_log = logging.getLogger("processsupervisor.bot")


async def identify(connector: Connector, within_s: float = FIRST_IDENTIFY_S) -> bool:
    """Ask a network who the bot is; False when it cannot be reached now. Raises NetworkError when it refuses the bot for good."""
    try:
        async with asyncio.timeout(within_s):
            known = await connector.identify()
    except TimeoutError:
        _log.warning("%s: no answer within %g s", connector.network, within_s)
        return False
    except NetworkError as err:
        if err.kind in (ErrorKind.RATE, ErrorKind.TRANSIENT):
            _log.warning("%s", err)
            return False
        raise
    if known is not None:
        _log.info("%s: this bot is %s", connector.network, known.name)
    return True


async def open_later(connector: Connector, port: Port) -> None:
    """Ask again until the network answers, then open the connector; a refusal ends the bot."""
    wait_s = _FIRST_S
    while True:
        await asyncio.sleep(wait_s * random.uniform(0.75, 1.0))
        wait_s = min(wait_s * 2, _LAST_S)
        try:
            if await identify(connector, IDENTIFY_S):
                await connector.open(port)
                return
        except NetworkError as err:
            if err.kind not in _FATAL:
                _log.error("%s", err)
                continue
            port.end(err)
            return
        except PsvError as err:
            _log.error("%s cannot be served, tried again: %s", connector.network, err)
        except Exception as err:  # noqa: BLE001 - a connector of somebody else's: it must not stay away for ever
            _log.error("%s cannot be served, tried again: %s", connector.network, place_of_error(err))


async def close(connector: Connector, within_s: float) -> None:
    """Close a connector at the end of the bot. One that raises, or does not end, keeps nothing else from closing."""
    try:
        async with asyncio.timeout(within_s):
            await connector.close()
    except Exception as err:  # noqa: BLE001 - everything that must last is on disk by now
        _log.error("%s did not close in good order: %s", connector.network, place_of_error(err))
