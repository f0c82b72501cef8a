"""The code of functions that every bot runs, copied so that it lies together.

A call writes into the head of the function's code (its reference count), and so copies that page for the bot. Code lies where its module
was loaded, between what no bot ever calls. A copy of it by `code.replace()` is equal in everything but its place.
"""

from __future__ import annotations

import gc
import sys
import types
from collections.abc import Sequence
from types import CodeType, FrameType, FunctionType


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


def gather(called: Sequence[CodeType], modules: Sequence[str]) -> int:
    """Give functions with code in `called`, and all of `modules` (names, or what they begin with), a copy; returns how many were made."""
    owners: dict[int, list[FunctionType]] = {}
    others: list[CodeType] = []
    for function in gc.get_objects():
        if type(function) is types.FunctionType:
            owners.setdefault(id(function.__code__), []).append(function)
            if str(function.__module__).startswith(tuple(modules)):
                others.append(function.__code__)
    copies = 0
    for code in {id(code): code for code in (*called, *others)}.values():
        functions = owners.get(id(code), ())
        if functions:
            copy = code.replace()
            copies += 1
        for function in functions:
            function.__code__ = copy
    return copies
