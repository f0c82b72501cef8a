"""The pytest plugin as an author meets it: in a pytest run of its own, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

BOT = """
from processsupervisor import Bot

bot = Bot()
started = []


@bot.on_message
async def echo(message):
    started.append(message.text)
    return f"{bot.options.get('word', 'echo')} {message.text} {len(started)}"
"""

FIXTURE = """
import pytest

@pytest.fixture
def bot():
    return "bots:bot"
"""


@pytest.fixture
def tests(tmp_path):
    """Run a test file beside bots.py; `-p no:` leaves other plugins out."""
    (tmp_path / "bots.py").write_text(BOT)
    (tmp_path / "conftest.py").write_text(FIXTURE)

    def run(source: str, *args: str) -> str:
        (tmp_path / "test_mine.py").write_text(textwrap.dedent(source))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *args], cwd=tmp_path, capture_output=True,
            text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": str(tmp_path)},
        )  # fmt: skip
        return done.stdout + done.stderr

    return run


PLAIN_AND_ASYNC = """
import asyncio
import time
import pytest

def test_plain(lab):
    lab.say("hi")
    lab.sees("echo hi")

async def test_async(lab):
    ada = lab.person("ada")
    began = time.monotonic()
    await ada.says("hi")
    await ada.sees("echo hi")
    await asyncio.sleep(3600)
    assert time.monotonic() - began < 60

class TestClass:
    @pytest.mark.parametrize("word", ["one", "two"])
    async def test_method(self, lab, word):
        await lab.say(word)
        await lab.sees("echo " + word)

@pytest.mark.lab(options={"word": "you said"})
def test_options(lab):
    lab.say("hi")
    lab.sees("you said hi")
"""


@pytest.mark.parametrize("args", [("-p", "no:asyncio", "-p", "no:anyio"), ("--asyncio-mode=auto",), ("--asyncio-mode=strict",)])
def test_plain_and_async_tests_run_with_and_without_other_plugins(tests, args):
    """The fixture is enough: an async test needs no mark and no plugin, and none that is there takes it away."""
    assert "5 passed" in tests(PLAIN_AND_ASYNC, *args)


def test_a_restart_imports_the_module_anew(tests):
    """What a module keeps in a variable is gone behind a restart, as it is in a fleet."""
    said = tests("""
        def test_restart(lab):
            lab.say("one")
            lab.sees("echo one 1")
            lab.say("two")
            lab.sees("echo two 2")
            lab.restart()
            lab.say("three")
            lab.sees("echo three 1")
    """)
    assert "1 passed" in said, said


def test_a_step_that_is_not_awaited_fails_the_test(tests):
    """Otherwise an async test that checks nothing would pass."""
    said = tests("""
        async def test_forgotten(lab):
            await lab.say("hi")
            lab.sees("never said")
    """)
    assert "1 passed, 1 error" in said and "you.sees(…) was not awaited" in said


def test_a_fixture_lab_of_somebody_else_is_left_alone(tests):
    """The name is a common one: what pytest-asyncio runs, it runs on."""
    said = tests("""
        import asyncio
        import pytest

        @pytest.fixture
        def lab():
            return "a laboratory"

        async def test_theirs(lab):
            await asyncio.sleep(0)
            assert lab == "a laboratory"
    """, "--asyncio-mode=auto")
    assert "1 passed" in said, said


def test_without_a_bot_the_fixture_says_what_it_needs(tests, tmp_path):
    """The way out stands in the error."""
    (tmp_path / "conftest.py").unlink()
    said = tests("def test_it(lab):\n    lab.say('hi')\n")
    assert "needs a fixture bot" in said and "1 error" in said


def test_what_is_not_seen_is_told_with_what_was(tests):
    """The error of `sees` shows the screen."""
    said = tests("""
        def test_wrong(lab):
            lab.say("hi")
            lab.sees("bye")
    """)
    assert "you does not see 'bye'" in said and "'echo hi 1'" in said and "1 failed" in said


def test_the_plugin_loads_nothing_of_a_bot():
    """Every pytest run of the machine pays for it."""
    code = "import processsupervisor.testing.plugin, sys; print(sorted(name for name in sys.modules if name.startswith('processsupervisor.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert eval(done.stdout) == ["processsupervisor.testing", "processsupervisor.testing.plugin", "processsupervisor.version"]
