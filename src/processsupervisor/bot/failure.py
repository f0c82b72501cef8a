"""How a handler's exception is logged: its type and its stack, never an author's message, which may hold a contact's words.

What our own code raised is told with its text and the way out, but for the values that the text shows: errors say which these are
(PsvError.found); of one that does not, all that is quoted is left out.

The stack is printed as Python prints one, so that `psv errors` finds it.
"""

from __future__ import annotations

import os
import re
import traceback
from pathlib import Path

from processsupervisor.bot.collecting import BadReply
from processsupervisor.bot.shapes import Misfit
from processsupervisor.kernel.errors import PsvError, UsageError

_PACKAGE = f"{Path(__file__).parent.parent}{os.sep}"
_LONGEST_CHAIN = 4
_MOST_FRAMES = 20
_MOST_PLACES = 3
_LIBRARIES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}", f"{Path(os.__file__).parent}{os.sep}")
_MOST_CHARS = 500
_QUOTED = re.compile(r"""["'].*["']""", re.DOTALL)  # from the first to the last: a value may hold quotes itself
_CAUSED = "The above exception was the direct cause of the following exception:"
_MEANWHILE = "During handling of the above exception, another exception occurred:"


def is_useless_again(err: BaseException) -> bool:
    """Tell whether our own code refused what a handler did, so that another try can only be refused again."""
    return isinstance(err, BadReply) or (isinstance(err, (UsageError, Misfit)) and _is_ours(err))


def blame(err: BaseException, function: object) -> None:
    """Note whose handler an error came from that may be raised when the author's code has returned already."""
    vars(err)["function"] = function


def place_of_error(err: BaseException) -> str:
    """Return type and place of an exception, and the text of one of ours."""
    frames = _own_frames(err)
    last = frames[-_MOST_PLACES:]
    if all(map(_is_of_library, last)):  # deep within one: where the author called it says more
        last = [*([frame for frame in frames if not _is_of_library(frame)][-1:] or last[:1]), *last[1:]]
    places = [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in last]
    return f"{type(err).__name__}{_told(err)} at " + " > ".join(places)


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
    return f"Traceback (most recent call last):\n{frames}{name}{_told(err)}"


def _told(err: BaseException) -> str:
    """Return ": TEXT; HINT" of an exception that our code raised, without a value that the text quotes; "" of any other."""
    if not isinstance(err, (PsvError, BadReply)) or not _is_ours(err):
        return ""
    return f": {' '.join(_without_values(err).split())[:_MOST_CHARS]}"


def _without_values(err: PsvError | BadReply) -> str:
    if isinstance(err, (Misfit, BadReply)):
        return str(err)  # made of types, places and the author's key
    if err.found is None:
        return _QUOTED.sub('"…"', err.message) + (f"; {err.hint}" if err.hint else "")
    text = str(err)
    for value in sorted(err.found, key=len, reverse=True):  # one may stand within another
        text = text.replace(value, '"…"')
    return text


def _is_of_library(frame: traceback.FrameSummary) -> bool:
    return any(part in frame.filename for part in _LIBRARIES)


def _is_ours(err: BaseException) -> bool:
    """Tell whether a line of this package raised it."""
    frame = err.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and frame.tb_frame.f_code.co_filename.startswith(_PACKAGE)


def _own_frames(err: BaseException) -> list[traceback.FrameSummary]:
    """Return the frames outside of this package; if there is none, the handler that is to blame, or the last one."""
    frames = list(traceback.extract_tb(err.__traceback__))
    own = [frame for frame in frames if not frame.filename.startswith(_PACKAGE)]
    code = getattr(getattr(err, "function", None), "__code__", None)
    if not own and code is not None:
        return [traceback.FrameSummary(code.co_filename, code.co_firstlineno, code.co_name)]
    return own or frames[-1:]
