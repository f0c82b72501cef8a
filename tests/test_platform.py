"""The package imports where there is no Linux: pidfd, prctl, fcntl, resource and the Linux-only libraries are taken away first."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "src" / "processsupervisor"
LINUX_ROOMS = ("process", "zygote", "resources")
POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}

# Runs in a fresh interpreter. asyncio and subprocess are loaded before fcntl goes, because the standard library of a real macOS
# or Windows brings its own way around; urllib would look for a module of macOS that is not there.
_ELSEWHERE = """
import asyncio, ctypes, importlib, importlib.abc, json, os, select, signal, socket, subprocess, sys, sysconfig, traceback, types, urllib.request

sysconfig.get_config_vars()  # reads a file named after the platform

sys.platform = "darwin"
sys.modules["_scproxy"] = types.ModuleType("_scproxy")
sys.modules["_scproxy"]._get_proxy_settings = sys.modules["_scproxy"]._get_proxies = dict
for module, names in ((os, ("pidfd_open", "memfd_create", "eventfd", "splice", "pipe2", "O_PATH", "sched_getaffinity", "posix_fallocate")),
                      (signal, ("pidfd_send_signal",)), (select, ("epoll",)), (socket, ("SO_PEERCRED",))):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)


class _Elsewhere(ctypes.CDLL):
    def __getattr__(self, name):
        if name in ("prctl", "splice", "syscall", "unshare", "setns", "pidfd_open", "pidfd_send_signal"):
            raise AttributeError(f"symbol not found: {name}")
        return super().__getattr__(name)


class _Gone(importlib.abc.MetaPathFinder):
    names = {"fcntl", "resource", "uvloop", "psutil", "setproctitle"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


ctypes.CDLL = _Elsewhere
for name in list(sys.modules):
    if name.partition(".")[0] in _Gone.names:
        del sys.modules[name]
sys.meta_path.insert(0, _Gone())
failed = {}
for name in json.loads(sys.argv[1]):
    try:
        importlib.import_module(name)
    except BaseException:
        failed[name] = traceback.format_exc(limit=-3)
print(json.dumps(failed))
"""


def portable_files() -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] not in LINUX_ROOMS
            and path.name != "__main__.py" and path.parent.name != "migrations"]


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_everything_but_the_linux_rooms_imports_elsewhere() -> None:
    """Off Linux, `bot.run()`, init, check and the client work; only process/, zygote/ and resources/ may need Linux to import."""
    names = [module_name(path) for path in portable_files()]
    done = subprocess.run([sys.executable, "-c", _ELSEWHERE, json.dumps(names)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    failed = json.loads(done.stdout.splitlines()[-1])
    assert not failed, "\n".join(f"{name}:\n{text}" for name, text in failed.items())


def top_level_imports(tree: ast.Module) -> list[tuple[str, int]]:
    """Return (name, line) of the imports that run whenever the module is imported, without those under a try or an if."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            found += [(alias.name.partition(".")[0], node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.append(((node.module or "").partition(".")[0], node.lineno))
    return found


def test_no_posix_only_module_is_imported_at_the_top_level() -> None:
    """Windows has none of them: they are imported inside the functions that need them."""
    strays = [f"{path.relative_to(PACKAGE)}:{line} imports {name}" for path in portable_files()
              for name, line in top_level_imports(ast.parse(path.read_text())) if name in POSIX_MODULES]
    assert not strays, "\n".join(strays)
