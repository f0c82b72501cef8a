"""Which libraries a Python script needs, found by reading it: it is never imported or run.

Follows the script's own modules (files beside it); everything else that is not of the standard library is named, without
asking whether it exists. Bounded in files and bytes. Standard library only.
"""

from __future__ import annotations

import ast
import os
import sys
import warnings
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MOST_FILES = 200
MOST_BYTES = 2 << 20


@dataclass(frozen=True, slots=True)
class ImportScan:
    """`libraries`: dotted names, sorted; `local_files`: what was read, the script first; `error`: one line, or None."""

    libraries: tuple[str, ...]
    local_files: tuple[Path, ...]
    error: str | None


@dataclass
class _Scan:
    roots: tuple[Path, ...]
    libraries: set[str] = field(default_factory=set)
    queue: deque[tuple[Path, tuple[str, ...]]] = field(default_factory=deque)
    seen: dict[Path, None] = field(default_factory=dict)
    error: str | None = None

    def enqueue(self, path: Path, package: tuple[str, ...]) -> None:
        if path not in self.seen:
            self.seen[path] = None
            self.queue.append((path, package))


def scan_script(script: Path, cwd: Path) -> ImportScan:
    """Read the script and its local modules and return what they import when they are loaded.

    Counted are imports outside functions and outside `if TYPE_CHECKING`. Local is what lies in the folder of the script,
    as Python itself looks there first; `cwd` counts only where the script puts it on sys.path itself, hence second.
    The first file that cannot be read or parsed gives `error`; the libraries of the others are still named.
    """
    real = Path(os.path.realpath(script)).parent  # what Python puts first on sys.path for a script behind a link
    scan = _Scan(tuple(dict.fromkeys((script.parent, real, cwd))))
    scan.enqueue(script, ())
    read: list[Path] = []
    while scan.queue:
        if len(read) >= MOST_FILES:
            scan.error = scan.error or f"{script} has more than {MOST_FILES} local modules; only so many were read"
            break
        path, package = scan.queue.popleft()
        tree, error = parse_file(path)
        scan.error = scan.error or error
        if tree is not None:
            read.append(path)
            for node in _imports(tree):
                _note(node, package, scan)
    return ImportScan(tuple(sorted(scan.libraries)), tuple(read), scan.error)


def parse_file(path: Path) -> tuple[ast.Module | None, str | None]:
    """Return the syntax tree of a Python file, or None and one line that says why there is none."""
    try:
        if not path.is_file():  # opening a FIFO would wait for a writer
            raise FileNotFoundError(None, "no such file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"has more than {MOST_BYTES} bytes")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in a user's file are the user's business
            return ast.parse(content, filename=str(path)), None
    except SyntaxError as err:
        return None, f"{path}:{err.lineno or 1}:{err.offset or 1}: {err.msg}"
    except OSError as err:
        return None, f"{path} cannot be read: {err.strerror}"
    except (ValueError, RecursionError, MemoryError) as err:  # NUL bytes, nesting deeper than the parser's stack
        return None, f"{path} cannot be parsed: {err}"


def _imports(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that run when the module is loaded."""
    pending: deque[ast.stmt] = deque(tree.body)
    while pending:
        match pending.popleft():
            case ast.Import() | ast.ImportFrom() as node:
                yield node
            case ast.If(test=test, body=body, orelse=orelse):
                pending.extend(orelse if _is_type_checking(test) else [*body, *orelse])
            case ast.Try() | ast.TryStar() as node:
                pending.extend([*node.body, *(s for handler in node.handlers for s in handler.body), *node.orelse, *node.finalbody])
            case ast.With(body=body) | ast.ClassDef(body=body):
                pending.extend(body)
            case ast.For() | ast.While() as node:
                pending.extend([*node.body, *node.orelse])
            case ast.Match(cases=cases):
                pending.extend(statement for case in cases for statement in case.body)


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING")


def _note(node: ast.Import | ast.ImportFrom, package: tuple[str, ...], scan: _Scan) -> None:
    if isinstance(node, ast.Import):
        for alias in node.names:
            _name(tuple(alias.name.split(".")), (), scan)
        return
    base = tuple(node.module.split(".")) if node.module else ()
    if node.level:
        if node.level > len(package):
            return  # a relative import without a package fails when it runs, too
        base = package[: len(package) - node.level + 1] + base
    _name(base, tuple(alias.name for alias in node.names if alias.name != "*"), scan, is_relative=bool(node.level))


def _name(module: tuple[str, ...], attributes: tuple[str, ...], scan: _Scan, *, is_relative: bool = False) -> None:
    """Follow a module that is local, else name it as a library; `attributes` of a local package may be modules of it."""
    for root in scan.roots:
        if module and _is_local(root, module):
            for length in range(1, len(module) + 1):
                _follow(root, module[:length], scan)
            for attribute in attributes:
                _follow(root, (*module, attribute), scan)
            return
    if module and not is_relative and module[0] not in sys.stdlib_module_names and module[0] != "__main__":
        scan.libraries.add(".".join(module))


def _is_local(root: Path, module: tuple[str, ...]) -> bool:
    """Tell whether the module would come from `root`; a bare folder of its name counts only when Python code is in it."""
    if _file(root, module[:1]) is not None:
        return True
    try:
        return any(root.glob(f"{module[0]}.*.so")) or any((root / module[0]).glob("*.py"))
    except OSError:
        return False


def _follow(root: Path, module: tuple[str, ...], scan: _Scan) -> None:
    path = _file(root, module)
    if path is not None:
        scan.enqueue(path, module if path.name == "__init__.py" else module[:-1])


def _file(root: Path, module: tuple[str, ...]) -> Path | None:
    base = root.joinpath(*module)
    for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
        if os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises for names too long and folders not to be entered
            return path
    return None
