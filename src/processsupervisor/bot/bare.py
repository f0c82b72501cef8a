"""Decorators that are written without parentheses: whoever writes them with some is told where, and how it is written."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

from processsupervisor.kernel.errors import ConfigError

Method = TypeVar("Method", bound=Callable[..., Any])


def bare(method: Method) -> Method:
    """Let a method be used as `@bot.method` alone: it raises ConfigError with file and line when it is called without a function."""

    @functools.wraps(method)
    def decorate(self: object, *given: Any, **named: Any) -> Any:
        function = given[0] if given else named.get("function")
        if callable(function):
            return method(self, *given, **named)
        caller = sys._getframe(1)
        name = f"@bot.{method.__name__}"
        place = f"{caller.f_code.co_filename}:{caller.f_lineno}"
        raise ConfigError(f"{place}: {name} is written without parentheses", hint=f"write {name} in the line above the function")

    return cast(Method, decorate)
