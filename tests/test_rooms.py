"""The rules of the house that import-linter cannot say: which libraries stand in which room, and what an own process has loaded."""

from __future__ import annotations

import ast
import configparser
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "processsupervisor"

# Library -> the rooms that may import it. A library that is not here may be imported nowhere.
OWNERS = {
    "msgspec": {"ipc", "commands", "bot"},
    "cryptography": {"config"}, "pydantic": {"config", "commands"}, "tomlkit": {"config"}, "watchfiles": {"config"},
    "uvloop": {"app", "bot"},
    "setproctitle": {"observe"},
    "psutil": {"resources"},
    "regex": {"process"},
    "prometheus_client": {"observe"}, "opentelemetry": {"observe"},
    "sqlalchemy": {"storage"}, "alembic": {"storage"}, "asyncpg": {"storage"},
    "openai": {"chat"}, "bm25s": {"chat"}, "rank_bm25": {"chat"}, "croniter": {"config"},
    "starlette": {"web"}, "uvicorn": {"web"}, "markdown_it": {"web"},
    "yaml": {"adopt"},
    "aiogram": {"connectors"},
    "aiohttp": {"bot", "connectors", "testing", "web"}, "certifi": {"connectors"},
    "click": {"cli"}, "rich": {"cli"}, "textual": {"cli"},
    "pytest": {"testing"},
}
STANDARD_LIBRARY_ONLY = ("kernel", "launch")
DAEMON_WING = {"process", "health", "supervisor", "web", "cluster", "verify"}
CHILD_WING = {"chat", "connectors", "bot", "zygote"}


def rooms() -> set[str]:
    return {folder.name for folder in PACKAGE.iterdir() if (folder / "__init__.py").is_file()}


def imported_libraries(path: Path) -> Iterator[tuple[str, int]]:
    """Yield (top-level name, line) of every import of `path` that is neither ours nor the standard library's."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        for name in names:
            top = name.partition(".")[0]
            if top != "processsupervisor" and top not in sys.stdlib_module_names:
                yield top, node.lineno


def loaded_after(code: str, *args: str) -> set[str]:
    """Run `code` in a fresh interpreter and return the top-level names of the modules that it has loaded at its end."""
    report = ("\nimport json as _json, sys as _sys\n_sys.__stdout__.write('\\nLOADED ' + _json.dumps(sorted(_sys.modules)) + '\\n')\n"
              "_sys.__stdout__.flush()\n")
    done = subprocess.run([sys.executable, "-c", code + report, *args], capture_output=True, text=True, timeout=60, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("LOADED ")]
    assert lines, f"the interpreter said nothing: {done.stdout}{done.stderr}"
    return set(json.loads(lines[-1].removeprefix("LOADED ")))


def libraries_in(modules: set[str]) -> set[str]:
    """Return the top-level names of `modules` that are libraries (the site hooks of editable installs are not)."""
    tops = {name.partition(".")[0] for name in modules} - {"processsupervisor", "sitecustomize", "usercustomize"}
    return {top for top in tops if top not in sys.stdlib_module_names and not top.startswith("_")}


def test_a_library_is_imported_only_in_its_owner_room() -> None:
    """Each library has owner rooms (design: libraries); everything else reaches it through them."""
    strays = []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0]
        strays += [f"{path.relative_to(ROOT)}:{line} imports {top}" for top, line in imported_libraries(path)
                   if room not in OWNERS.get(top, set())]
    assert not strays, "\n".join(strays)


@pytest.mark.parametrize("room", STANDARD_LIBRARY_ONLY)
def test_the_lowest_floors_use_the_standard_library_only(room: str) -> None:
    """kernel/ and launch/ run between fork and program, in the keeper and in every child: nothing of pip's may be in the way."""
    strays = [f"{path.relative_to(ROOT)}:{line} imports {top}" for path in sorted((PACKAGE / room).rglob("*.py"))
              for top, line in imported_libraries(path)]
    assert not strays, "\n".join(strays)


def test_every_library_is_declared() -> None:
    """What the package imports is in pyproject's dependencies or an extra, and what is pinned there is pinned in constraints.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [spec for extra in project.get("optional-dependencies", {}).values() for spec in extra]
    declared = {spec.split(";")[0].split(">")[0].split("=")[0].split("[")[0].strip().lower().replace("_", "-") for spec in wanted}
    pinned = {line.split("==")[0].strip().lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().splitlines()
              if "==" in line}
    assert declared <= pinned, f"not in constraints.txt: {sorted(declared - pinned)}"
    distribution = {"markdown_it": "markdown-it-py", "yaml": "pyyaml"}
    used = {top for path in PACKAGE.rglob("*.py") for top, _line in imported_libraries(path)}
    missing = {top for top in used if distribution.get(top, top.replace("_", "-")) not in declared}
    assert not missing, f"imported, but not in pyproject.toml: {sorted(missing)}"


def test_import_linter_knows_every_room_of_the_wings() -> None:
    """A room of a wing that exists is a source and a target of the contract that keeps the wings apart."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    for name, own, other in (("daemon-wing", DAEMON_WING, CHILD_WING), ("child-wing", CHILD_WING, DAEMON_WING)):
        section = contracts[f"importlinter:contract:{name}"]
        assert set(section["source_modules"].split()) == {f"processsupervisor.{room}" for room in own & rooms()}
        assert set(section["forbidden_modules"].split()) == {f"processsupervisor.{room}" for room in other & rooms()}


@pytest.mark.parametrize("module", ["process.keeper", "process.logd"])
def test_keeper_and_logd_load_the_standard_library_only(module: str) -> None:
    """What reaps and what moves the logs must come up whatever is broken in site-packages, and stay small."""
    loaded = loaded_after(f"import processsupervisor.{module}")
    assert libraries_in(loaded) == set()
    assert not {"asyncio", "sqlite3", "ssl", "http", "email"} & {name.partition(".")[0] for name in loaded}


def test_the_notifier_loads_the_standard_library_only() -> None:
    """It waits for weeks; what it needs to send is loaded by a process that ends afterwards."""
    loaded = loaded_after("import processsupervisor.notify.main")
    assert libraries_in(loaded) == set()
    assert not {"asyncio", "ssl", "http", "email", "smtplib"} & {name.partition(".")[0] for name in loaded}


def test_psvd_loads_neither_pydantic_nor_the_command_line() -> None:
    """psvd reads what config/ resolved; checking is done before it starts."""
    loaded = libraries_in(loaded_after("import processsupervisor.app.psvd"))
    assert loaded <= {"msgspec", "psutil", "uvloop", "setproctitle"}


def test_bot_list_loads_neither_pydantic_nor_msgspec(tmp_path: Path) -> None:
    """`psv bot list` is typed by hand all day: click and the standard library only."""
    (tmp_path / "fleet.toml").write_text('[fleet]\nname = "empty"\n')
    loaded = loaded_after("import sys\nsys.argv = ['psv', '-C', sys.argv[1], 'bot', 'list', '--json']\n"
                          "from processsupervisor.cli.main import main\ntry:\n    main()\nexcept SystemExit:\n    pass\n", str(tmp_path))
    assert libraries_in(loaded) <= {"click"}
    assert "asyncio" not in loaded


def test_the_author_api_costs_nothing_to_import() -> None:
    """`import processsupervisor` loads no library and no room; `Bot` is fetched when it is used."""
    loaded = loaded_after("import processsupervisor")
    assert libraries_in(loaded) == set()
    assert not [name for name in loaded if name.startswith("processsupervisor.") and name != "processsupervisor.version"]
