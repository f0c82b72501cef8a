"""Whether a bot that was changed can still be imported, found out in a child, while its present generation goes on.

Run by `psv dev` as `boot.py processsupervisor.zygote.rehearsal MODULES` under the interpreter of the bot. It imports libraries once and
forks for each question, so that an answer takes milliseconds. A question is a line with the path of a bot's spec.json; the answer a line
{"error": text or null}. A native bot's module is imported whole, of a script only what it imports at its top: a program is not run.
"""

from __future__ import annotations

import ast
import gc
import json
import os
import select
import signal
import sys
import time
import traceback
from typing import Any, NoReturn

from processsupervisor.kernel.errors import PsvError
from processsupervisor.launch.environment import compose
from processsupervisor.launch.release import code_folder
from processsupervisor.zygote.preload import StartsThread, preload

LONGEST_S = 20.0
_LOADER = "processsupervisor.bot.loading"


def main(argv: list[str]) -> int:
    """Answer questions until standard input ends. `argv`: modules to preload, and those to leave out, each joined by commas."""
    sys.dont_write_bytecode = True  # two saves within one second may have the same size, and the bot would read the first one's
    modules, left_out = ([name for name in words.split(",") if name] for words in (*argv, "", "")[:2])
    try:
        preload([*modules, _LOADER], set(left_out))
    except StartsThread as found:
        before = sys.orig_argv[1 : sys.orig_argv.index(argv[0])]
        os.execv(sys.executable, [sys.executable, *before, argv[0], ",".join([*left_out, found.module])])
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        print(json.dumps({"error": rehearse(line.rstrip("\n"))}), flush=True)
    return 0


def rehearse(spec_file: str) -> str | None:
    """Import the bot of `spec_file` in a child of its own, and return what went wrong. One that takes too long is not judged."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        os.close(reading)
        _perform(spec_file, writing)
    os.close(writing)
    said = b""
    deadline = time.monotonic() + LONGEST_S
    while select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
        part = os.read(reading, 65536)
        if not part:
            break
        said += part
    os.close(reading)
    os.kill(child, signal.SIGKILL)  # whatever it has started goes with its session, or is its own affair
    os.waitpid(child, 0)
    return said.decode(errors="replace") or None


def _perform(spec_file: str, writing: int) -> NoReturn:
    """Import as the bot would, with nothing to read and nobody to hear what it prints; never returns."""
    try:
        null = os.open(os.devnull, os.O_RDWR)
        for target in (0, 1, 2):
            os.dup2(null, target)
        with open(spec_file, "rb") as file:
            spec: dict[str, Any] = json.load(file)
        error = _attempt(spec)
    except BaseException:  # noqa: BLE001 - a forked child must never return into the loop
        error = traceback.format_exc()
    try:
        os.write(writing, (error or "").encode(errors="backslashreplace")[-60_000:])
    finally:
        os._exit(0)


def _attempt(spec: dict[str, Any]) -> str | None:
    try:
        environment = compose(spec)
        os.chdir(spec["cwd"])
    except (PsvError, OSError) as err:
        return str(err)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    extra = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    if spec["kind"] == "native":
        sys.path[:0] = [str(code_folder(spec["folder"], spec.get("release"))), *extra]
        from processsupervisor.bot.loading import LoadFailed, load_bot

        try:
            load_bot(spec["run"])
        except LoadFailed as err:
            return str(err)
        return None
    sys.path[:0] = [os.path.dirname(os.path.realpath(spec["script"])), *extra]
    return _imports_of(spec["script"])


def _imports_of(script: str) -> str | None:
    """Carry out the imports at the top of a script, one after the other; those inside `if` and `try` are the program's own affair."""
    try:
        with open(script, "rb") as file:
            tree = ast.parse(file.read(), filename=script)
        names: dict[str, object] = {"__name__": "__psv_rehearsal__", "__file__": script}
        for node in tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                exec(compile(ast.Module([node], []), script, "exec", dont_inherit=True), names)
    except SyntaxError as err:
        return "".join(traceback.format_exception_only(err))
    except BaseException as err:  # noqa: BLE001 - a module may raise anything while it is imported, SystemExit included
        shown = traceback.TracebackException.from_exception(err)
        kept = [frame for frame in shown.stack if frame.filename != __file__ and "importlib" not in frame.filename]
        shown.stack = traceback.StackSummary.from_list(kept)
        return "".join(shown.format())
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
