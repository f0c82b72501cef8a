"""What a forked child does to become its bot: the launch steps, then the author's module or an unmodified script.

The interpreter is never finalised here: exit callbacks, flush, os._exit (its teardown would touch, and so copy, every page
shared with the zygote).
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import gc
import importlib
import io
import os
import sys
import threading
import time
import traceback
from typing import Any, NoReturn

from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.reasons import EXIT_LAUNCH_FAILED
from processsupervisor.launch.context import LaunchContext, load_context, report_failure
from processsupervisor.launch.release import code_folder
from processsupervisor.launch.steps import become, prepare
from processsupervisor.launch.vitals import Vitals
from processsupervisor.observe.title import set_title

RUNNER_MODULE = "processsupervisor.bot.runner"
WARMING_MODULE = "processsupervisor.bot.warming"


def run(folder: str, bot: str, generation: int, secret_fd: int, *, is_in_group: bool) -> NoReturn:
    """Become generation `generation` of `bot`; never returns. `is_in_group`: this process is in the bot's cgroup already."""
    try:
        context = load_context(folder, bot, generation, secret_fd)
        context.is_in_group = is_in_group
        environment = prepare(context)
        vitals = Vitals(context)
        set_title(f"psv: bot {bot}")
        become(context)
    except PsvError as err:
        report_failure(folder, bot, generation, err)
        os._exit(EXIT_LAUNCH_FAILED)
    except BaseException as err:  # noqa: BLE001 - a forked child must never return into the zygote's loop
        report_failure(folder, bot, generation, PsvError(f"{type(err).__name__}: {err}"))
        os._exit(EXIT_LAUNCH_FAILED)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))  # as a fresh interpreter would have taken it
    _reseed()
    _open_streams(context.spec)
    gc.enable()
    vitals.begin()
    leave(_run_native(context) if context.spec["kind"] == "native" else _run_script(context))


def leave(status: int) -> NoReturn:
    """End the process as a Python program ends, but without finalising the interpreter."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # joins non-daemon threads, as the interpreter's own exit does
        atexit._run_exitfuncs()
    except BaseException:  # noqa: BLE001 - an exit callback of the program may raise anything; it is shown, as Python does
        traceback.print_exc()
    _flush_files()
    os._exit(status)


def _flush_files() -> None:
    """Write out what open files still buffer: a finalised interpreter would do it when it drops them.

    Text wrappers come before the buffers below them. Objects of the zygote are frozen and not among those listed.
    """
    living = gc.get_objects()
    for kinds in ((io.TextIOWrapper,), (io.BufferedWriter, io.BufferedRandom)):
        for file in living:
            if isinstance(file, kinds):
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    file.flush()


def _run_native(context: LaunchContext) -> int:
    sys.path[:0] = [str(code_folder(context.paths.folder, context.spec.get("release"))), *_python_path()]
    sys.argv = [f"psv: bot {context.bot}"]
    runner = importlib.import_module(RUNNER_MODULE)
    return int(runner.main(context))


def _python_path() -> list[str]:
    """Return what the bot's PYTHONPATH names; the interpreter read that variable long before it was the bot's."""
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def _run_script(context: LaunchContext) -> int:
    """Run an unmodified program as `python main.py ARGS` would: same __main__, argv, path, and exit status."""
    path = str(context.spec["script"])
    sys.argv = [path, *map(str, context.spec.get("args") or [])]
    sys.path[:0] = [os.path.dirname(os.path.realpath(path)), *_python_path()]
    module = type(sys)("__main__")
    module.__dict__.update(__file__=path, __builtins__=builtins, __spec__=None, __loader__=None, __cached__=None)
    sys.modules["__main__"] = module
    try:
        with io.open_code(path) as file:
            code = compile(file.read(), path, "exec", dont_inherit=True)
        exec(code, module.__dict__)  # this is the program
    except SystemExit as end:
        return _status_of(end)
    except KeyboardInterrupt:
        _print_exception()
        return 130
    except BaseException:  # noqa: BLE001 - the program's own end, shown as the interpreter shows it
        _print_exception()
        return 1
    return 0


def _status_of(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def _print_exception() -> None:
    """Call sys.excepthook without the frames of this module."""
    kind, value, trace = sys.exc_info()
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    if kind is not None and value is not None:
        sys.excepthook(kind, value.with_traceback(trace), trace)


def _reseed() -> None:
    """Give the child randomness of its own where a library copied a generator's state; `random` reseeds itself."""
    numpy_random: Any = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def _open_streams(spec: dict[str, Any]) -> None:
    """Make sys.stdin, stdout and stderr anew on descriptors 0, 1 and 2, buffered as a fresh interpreter would."""
    encoding, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
    encoding = encoding or sys.stdout.encoding or "utf-8"
    is_unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
    reader = io.BufferedReader(io.FileIO(0, "r", closefd=False))
    _replace_stream("stdin", io.TextIOWrapper(reader, encoding=encoding, errors=errors or "strict"))
    for name, descriptor, how in (("stdout", 1, errors or "surrogateescape"), ("stderr", 2, "backslashreplace")):
        raw = io.FileIO(descriptor, "w", closefd=False)
        binary: Any = raw if is_unbuffered and spec["kind"] != "native" else io.BufferedWriter(raw)
        line_by_line = name == "stderr" or spec["kind"] == "native"
        stream = io.TextIOWrapper(binary, encoding=encoding, errors=how, line_buffering=line_by_line, write_through=is_unbuffered)
        _replace_stream(name, stream)


def _replace_stream(name: str, stream: io.TextIOWrapper) -> None:
    setattr(sys, name, stream)
    setattr(sys, f"__{name}__", stream)


