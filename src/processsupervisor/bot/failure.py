"""How a handler's exception is logged: its type and its stack, never its message, which may hold a contact's words.

The stack is printed as Python prints one, so that `psv errors` finds it.
"""

from __future__ import annotations

import os
import traceback
from pathlib import Path

_PACKAGE = f"{Path(__file__).parent.parent}{os.sep}"
_LONGEST_CHAIN = 4
_MOST_FRAMES = 20
_CAUSED = "The above exception was the direct cause of the following exception:"
_MEANWHILE = "During handling of the above exception, another exception occurred:"


def place_of_error(err: BaseException) -> str:
    """Return type and place of an exception."""
    places = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in _own_frames(err)[-3:]]
    return f"{type(err).__name__} at " + " > ".join(places)


def stack_of_error(err: BaseException) -> str:
    """Return the traceback of an exception and of those it came from: files, lines, functions and types."""
    parts = [_one(err)]
    for _ in range(_LONGEST_CHAIN):
        cause = err.__cause__
        before = cause or (None if err.__suppress_context__ else err.__context__)
        if before is None:
            break
        parts[:0] = [_one(before), _CAUSED if cause is not None else _MEANWHILE]
        err = before
    return "\n\n".join(parts)


def _one(err: BaseException) -> str:
    kind = type(err)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    frames = "".join(traceback.format_list(_own_frames(err)[-_MOST_FRAMES:]))
    return f"Traceback (most recent call last):\n{frames}{name}"


def _own_frames(err: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames outside of this package; all if there is none."""
    frames = list(traceback.extract_tb(err.__traceback__))
    return [frame for frame in frames if not frame.filename.startswith(_PACKAGE)] or frames[-1:]
