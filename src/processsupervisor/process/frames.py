"""Which frames of a Python traceback are of the author's files: a place in a library says little, and many errors share it."""

from __future__ import annotations

import re

_LIBRARY = re.compile(r"<frozen |.*[/\\](?:(?:site|dist)-packages|lib(?:64)?[/\\]python\d[\d.]{0,9}t?|Python\d{1,4}[/\\]Lib)[/\\]")


def is_library(file: str) -> bool:
    """Tell whether a frame's file belongs to the interpreter, its standard library or an installed package."""
    return _LIBRARY.match(file) is not None


def is_better_place(file: str, present: str | None) -> bool:
    """Tell whether a frame further in says more about where an error comes from than the `present` one."""
    return present is None or is_library(present) or not is_library(file)
