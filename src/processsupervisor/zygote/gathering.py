"""The code of functions that every bot runs, copied so that it lies together.

A call writes into the head of the function's code (its reference count), and so copies that page for the bot. Code lies where its module
was loaded, between what no bot ever calls. A copy of it by `code.replace()` is equal in everything but its place.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from types import CodeType, FrameType, FunctionType

_Copies = dict[int, tuple[CodeType, CodeType]]
"""{id of the code: the code, which so keeps its id, and its copy}"""


class Calls:
    """Notes the code of each function that is called in this thread while it is open as a context."""

    def __init__(self) -> None:
        self.called: dict[int, CodeType] = {}
        """By id, in the order of the first calls."""

    def __enter__(self) -> Calls:
        sys.setprofile(self._note)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            self.called.setdefault(id(frame.f_code), frame.f_code)


def gather(called: Sequence[CodeType], modules: Sequence[str]) -> list[FunctionType]:
    """Give functions with code in `called`, and all of `modules` (names, or what they begin with), a copy; returns them in that order."""
    owners: dict[int, list[FunctionType]] = {}
    others: list[CodeType] = []
    for function in gc.get_objects():
        if type(function) is FunctionType:
            owners.setdefault(id(function.__code__), []).append(function)
            if str(function.__module__).startswith(tuple(modules)):
                others.append(function.__code__)
    copies: _Copies = {}
    for code in (*called, *others):
        if id(code) in owners:
            _copy(code, copies)
    gathered = []
    for code, copy in copies.values():
        for function in owners.get(id(code), ()):
            function.__code__ = copy
            gathered.append(function)
    return gathered


def _copy(code: CodeType, copies: _Copies) -> CodeType:
    """Return the copy of code; what it defines is copied with it, for a `def` that runs touches the code of the function that it makes."""
    if id(code) not in copies:
        constants = tuple(_copy(one, copies) if type(one) is CodeType else one for one in code.co_consts)
        copies[id(code)] = code, code.replace(co_consts=constants)
    return copies[id(code)][1]
