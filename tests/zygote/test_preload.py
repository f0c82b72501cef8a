"""The preload notices what must not be in a process that forks, and what changed on disk since."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def _python(code: str, library: Path) -> str:
    """Run `code` in a fresh interpreter that also sees `library`; returns what it printed."""
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(library)}, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_module_that_starts_a_thread_is_named(tmp_path: Path) -> None:
    """Python threads and the threads of C libraries look the same to the kernel, which is asked."""
    (tmp_path / "starter.py").write_text("import threading, time\nthreading.Thread(target=time.sleep, args=(99,), daemon=True).start()\n")
    code = """
from processsupervisor.zygote.preload import StartsThread, preload
try:
    preload(["wsgiref", "starter", "colorsys"], set())
except StartsThread as found:
    print(found.module)
"""
    assert _python(code, tmp_path) == "starter"
    assert _python("from processsupervisor.zygote.preload import preload; print(preload(['starter'], {'starter'}).failed)", tmp_path) == "{}"


def test_a_module_that_cannot_be_imported_is_reported_and_harms_nothing(tmp_path: Path) -> None:
    """Missing, broken, or ending the process at import: the others are loaded all the same."""
    (tmp_path / "broken.py").write_text("1/0\n")
    (tmp_path / "leaver.py").write_text("import sys\nsys.exit(3)\n")
    code = """
import json
from processsupervisor.zygote.preload import preload
outcome = preload(["broken", "leaver", "nowhere_to_be_found", "colorsys"], set())
print(json.dumps([sorted(outcome.failed), "colorsys" in outcome.loaded, outcome.failed["broken"]]))
"""
    assert _python(code, tmp_path) == '[["broken", "leaver", "nowhere_to_be_found"], true, "ZeroDivisionError: division by zero"]'


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_what_a_library_imports_when_it_is_used_is_there_before(library: str, tmp_path: Path) -> None:
    """A request by either client of it loads nothing more of it in the bot: what each bot loads for itself none of them shares."""
    code = f"""
import asyncio, importlib, json, sys
from processsupervisor.zygote.preload import preload
outcome = preload(["{library}"], set())
before = set(sys.modules)
library = importlib.import_module("{library}")

async def ask():
    async with library.AsyncClient() as client:
        await client.get("http://127.0.0.1:1/")

for use in (lambda: asyncio.run(ask()), lambda: library.get("http://127.0.0.1:1/")):
    try:
        use()
    except library.ConnectError:
        pass
new = {{name.partition(".")[0] for name in set(sys.modules) - before}}
print(json.dumps([outcome.failed, sorted(new - set(sys.stdlib_module_names))]))
"""
    assert _python(code, tmp_path) == "[{}, []]"


def test_a_changed_file_of_a_loaded_module_is_noticed(tmp_path: Path) -> None:
    """Size or time of any loaded file: the zygote is stale."""
    (tmp_path / "library.py").write_text("A = 1\n")
    code = f"""
import library
from processsupervisor.zygote.preload import Freshness
fresh = Freshness()
before = fresh.changed()
open({str(tmp_path / "library.py")!r}, "w").write("A = 22\\n")
print(before, fresh.changed())
"""
    assert _python(code, tmp_path) == f"None {tmp_path / 'library.py'}"
