"""Tracebacks are found as real interpreters print them, whatever stands around them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from processsupervisor.process.exits import find_exception
from processsupervisor.process.logreader import LogLine
from processsupervisor.process.tracebacks import LONGEST_MESSAGE, Raised, find_all


def printed(tmp_path: Path, program: str) -> list[str]:
    """Run a program and return what it wrote on stderr."""
    (tmp_path / "main.py").write_text(program)
    done = subprocess.run([sys.executable, str(tmp_path / "main.py")], capture_output=True, text=True, timeout=60, check=False)
    return done.stderr.splitlines()


def lines(texts: list[str], *, generation: int = 1, stream: str = "stderr") -> Iterator[LogLine]:
    for number, text in enumerate(texts):
        yield LogLine(float(number), "ann", stream, 1, generation, text)


def found(texts: list[str]) -> list[tuple[str, str, int]]:
    return [(raised.type, raised.message, raised.place.line) for raised in find_all(lines(texts))]


def test_the_innermost_frame_is_the_place(tmp_path: Path) -> None:
    """Type, first line of the message, file, line and function; a module's own type has its module before it."""
    program = "class Odd(Exception): pass\nOdd.__module__ = 'shop'\ndef inner():\n    raise Odd('no\\nuse')\ninner()\n"
    raised = next(find_all(lines([*printed(tmp_path, program), "next line"])))
    assert raised[1:] == ("ann", 1, "shop.Odd", "no", (str(tmp_path / "main.py"), 4, "inner"))


@pytest.mark.parametrize("program", ["import os\nos.environ['NOPE']\n", "import json\njson.loads('{')\n", "import pytest\npytest.fail('x')\n"])
def test_the_place_is_in_the_authors_file(tmp_path: Path, program: str) -> None:
    """Not in a frozen or standard-library module, or an installed package, that raised it for the author: those would fall together."""
    texts = printed(tmp_path, program)
    (raised,) = find_all(lines(texts))
    assert raised.place == (str(tmp_path / "main.py"), 2, "<module>")
    exception = find_exception(texts)
    assert exception is not None and (exception["file"], exception["line"]) == (str(tmp_path / "main.py"), 2)


def test_a_traceback_of_libraries_alone_has_its_innermost_place() -> None:
    """Whatever stood before it."""
    texts = [
        "Traceback (most recent call last):", '  File "/srv/main.py", line 1, in f', "Traceback (most recent call last):",
        '  File "/usr/lib/python3.11/threading.py", line 7, in run', '  File "<frozen os>", line 679, in __getitem__', "KeyError: 'k'",
    ]  # fmt: skip
    assert found(texts) == [("KeyError", "'k'", 679)]
    exception = find_exception(texts)
    assert exception is not None and exception["line"] == 679


def test_of_a_chain_the_last_one_counts(tmp_path: Path) -> None:
    """One error, whether it was raised from the other or while that was handled; a second, later one is another."""
    program = "try:\n    try:\n        1 / 0\n    except ZeroDivisionError as e:\n        raise KeyError('a') from e\nexcept KeyError:\n    raise ValueError('b')\n"
    chain = printed(tmp_path, program)
    assert found(chain) == [("ValueError", "b", 7)]
    assert found([*chain, *chain]) == [("ValueError", "b", 7)] * 2
    assert found([*chain, "", *chain]) == [("ValueError", "b", 7)] * 2


def test_groups_and_what_is_in_them(tmp_path: Path) -> None:
    """A group of a TaskGroup counts, and so does each exception in it."""
    program = """
import asyncio
async def one(): raise OSError("first")
async def two(): raise KeyError("second")
async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(one())
        group.create_task(two())
asyncio.run(main())
"""
    assert [kind for kind, _, _ in found(printed(tmp_path, program))] == ["ExceptionGroup", "OSError", "KeyError"]


def test_recursion_syntax_logging_and_no_message(tmp_path: Path) -> None:
    """Repeated frames, a script that cannot be compiled, logging.exception, an exception without a text."""
    assert [kind for kind, _, _ in found(printed(tmp_path, "def f(): f()\nf()\n"))] == ["RecursionError"]
    assert [(kind, line) for kind, _, line in found(printed(tmp_path, "x = 1\ny = = 2\n"))] == [("SyntaxError", 2)]
    logged = "import logging\ntry:\n    raise TimeoutError\nexcept TimeoutError:\n    logging.exception('poll failed: %s', 1)\nlogging.warning('going on')\n"
    assert found(printed(tmp_path, logged)) == [("TimeoutError", "", 3)]


def test_what_only_looks_like_one() -> None:
    """Ordinary lines, a header without frames, a traceback that the end of a generation cut off."""
    assert found(["INFO: started", "ValueError: said by somebody", '  File "a.py", line 3, in f', "KeyError: quoted"]) == []
    assert found(["Traceback (most recent call last):", "INFO: on we go"]) == []
    cut = lines(["Traceback (most recent call last):", '  File "a.py", line 3, in f', "    x()"])
    following = lines(["INFO: started"], generation=2)
    assert list(find_all([*cut, *following])) == []


def test_streams_are_told_apart() -> None:
    """A line of stdout between two of stderr does not break a traceback."""
    frames = ["Traceback (most recent call last):", '  File "a.py", line 3, in f', "    x()", "KeyError: 'k'"]
    mixed = [line for pair in zip(lines(frames), lines(["out"] * 4, stream="stdout"), strict=True) for line in pair]
    assert [raised.type for raised in find_all(mixed)] == ["KeyError"]


def test_node() -> None:
    """The stack of an uncaught error of Node.js as version 20 prints it."""
    text = """/srv/bot.js:2
  throw new TypeError("no token");
  ^

TypeError: no token
    at start (/srv/bot.js:2:9)
    at Object.<anonymous> (/srv/bot.js:4:1)
    at Module._compile (node:internal/modules/cjs/loader:1356:14)

Node.js v20.11.0
Error: connect ECONNREFUSED 127.0.0.1:5432
    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1555:16)"""
    assert found(text.splitlines()) == [("TypeError", "no token", 2), ("Error", "connect ECONNREFUSED 127.0.0.1:5432", 1555)]


def test_a_message_is_cut() -> None:
    """However long it is, LONGEST_MESSAGE characters are kept."""
    texts = ["Traceback (most recent call last):", '  File "a.py", line 3, in f', "ValueError: " + "x" * 60_000]
    raised: Raised = next(find_all(lines(texts)))
    assert raised.message == "x" * LONGEST_MESSAGE


FAILS = "def inner():\n    raise ValueError('bad')\ntry:\n    inner()\nexcept ValueError as e:\n    raise KeyError('k') from e\n"


@pytest.mark.parametrize("before", ["[shop] ", "    ", "2026-11-21 09:00:00,{0}00 | ERROR | ", "  {0} E: "])
def test_what_a_logger_puts_before_each_line_is_passed_over(tmp_path: Path, before: str) -> None:
    """A mark, a margin, a time that goes on: the chain is one error, at the same place as without."""
    texts = [before.format(number) + text for number, text in enumerate(printed(tmp_path, FAILS), 1)]
    assert found(texts) == [("KeyError", "'k'", 6)]
    assert found([text.rstrip() for text in texts] * 2) == [("KeyError", "'k'", 6)] * 2


def test_lines_of_other_threads_and_colours(tmp_path: Path) -> None:
    """Other lines between the frames, and what a coloured traceback of Python 3.13 has in it, hide no error."""
    texts = printed(tmp_path, "def inner():\n    raise ValueError('bad')\ninner()\n")
    mixed = [line for text in texts for line in (text, "12:00 polling goes on", "INFO: polled")]
    assert found(mixed) == [("ValueError", "bad", 2)]
    assert found([f"\x1b[35m{text}\x1b[0m" for text in texts]) == [("ValueError", "bad", 2)]
