"""The body of a request, whole, within a size and a time."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from processsupervisor.web.link import DEADLINE_S
from processsupervisor.web.problem import Problem


async def read_body(request: Request, most_bytes: int) -> bytes:
    """Return the body. Raises Problem: 413 when it is longer, 408 when it comes too slowly, 400 when the client goes away."""
    body = bytearray()
    try:
        async with asyncio.timeout(DEADLINE_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most_bytes:
                    raise Problem(413, "too-long", f"a message may have {most_bytes} bytes as JSON", hint="send it in parts")
    except TimeoutError as err:
        raise Problem(408, "timeout", f"the message did not arrive within {DEADLINE_S:g} s") from err
    except ClientDisconnect as err:
        raise Problem(400, "disconnected", "the client went away while it sent") from err
    return bytes(body)
