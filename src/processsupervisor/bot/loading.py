"""Imports the Bot that `run = "module:attr"` names, and turns every mistake there into one clear end of the process.

What only a person can mend ends with 78 (config, not retried): no such module or attribute, not a Bot, a syntax error, a
missing library, sys.exit() or input() at import. Any other exception at import ends with 1 and is retried.
"""

from __future__ import annotations

import builtins
import importlib
import signal
import sys
import traceback

from processsupervisor.bot import api
from processsupervisor.bot.api import Bot
from processsupervisor.kernel.errors import ConfigError

EXIT_CRASHED = 1
EXIT_CONFIG = 78
_KEPT_CODES = frozenset({75, 77, 78, 79, 80})  # exit codes with a meaning of their own


class LoadFailed(Exception):
    """The bot cannot be imported; `status` is what the process ends with, the text what stderr gets."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def load_bot(run: str) -> Bot:
    """Return the bot named by `run`. Raises LoadFailed."""
    module_name, _, attribute = run.partition(":")
    if not module_name or not attribute:
        raise LoadFailed(f'run = "{run}" is not "module:bot"', EXIT_CONFIG)
    api.imported_by_psv = True
    module = _import(module_name)
    found: object = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as err:
            bots = sorted(name for name, value in vars(module).items() if isinstance(value, Bot))
            known = f"; its bots are: {', '.join(bots)}" if bots else "; it holds no Bot()"
            raise LoadFailed(f'run = "{run}": module {module_name} has no "{attribute}"{known}', EXIT_CONFIG) from err
    if not isinstance(found, Bot):
        raise LoadFailed(f'run = "{run}": {attribute} is {type(found).__name__}, expected a processsupervisor.Bot', EXIT_CONFIG)
    try:
        found.registry.resolve()
    except ConfigError as err:
        raise LoadFailed(str(err), EXIT_CONFIG) from err
    return found


def status_of_exit(err: BaseException) -> int:
    """Return the exit status for what an author's code ends a bot with that runs: sys.exit, or a KeyboardInterrupt."""
    if not isinstance(err, SystemExit):
        return 128 + signal.SIGINT
    return err.code if isinstance(err.code, int) else (EXIT_CRASHED if err.code else 0)


def _import(name: str) -> object:
    try:
        with _NoInput():
            return importlib.import_module(name)
    except ModuleNotFoundError as err:
        if err.name is not None and (name == err.name or name.startswith(f"{err.name}.")):
            raise LoadFailed(f"no module named {name} in {sys.path[0] or '.'}", EXIT_CONFIG) from err
        raise LoadFailed(_traceback(err), EXIT_CONFIG) from err
    except ConfigError as err:
        raise LoadFailed(str(err), EXIT_CONFIG) from err
    except (SyntaxError, ImportError, EOFError) as err:
        raise LoadFailed(_traceback(err), EXIT_CONFIG) from err
    except SystemExit as err:
        status = err.code if isinstance(err.code, int) and err.code in _KEPT_CODES else EXIT_CONFIG
        said = f": {err.code}" if err.code is not None else ""
        raise LoadFailed(f"{_traceback(err)}{name} called sys.exit() while it was imported{said}", status) from err
    except Exception as err:
        raise LoadFailed(_traceback(err), EXIT_CRASHED) from err


class _NoInput:
    """Makes input() fail with a clear line while a module is imported, and only then."""

    def __enter__(self) -> None:
        self._input = builtins.input
        builtins.input = self._refuse

    def __exit__(self, *_: object) -> None:
        builtins.input = self._input

    @staticmethod
    def _refuse(prompt: object = "") -> str:
        raise EOFError("input() was called while the module was imported; a bot in a fleet has no console")


def _traceback(err: BaseException) -> str:
    """Return the traceback without the frames of the import machinery and our own: they say nothing to an author."""
    shown = traceback.TracebackException.from_exception(err)
    kept = [frame for frame in shown.stack if frame.filename != __file__ and "importlib" not in frame.filename]
    shown.stack = traceback.StackSummary.from_list(kept)
    return "".join(shown.format())
