"""Which names a Python file gives to anything, and which of them to a bot, as far as its text shows that. It is never imported or run.

Standard library only.
"""

from __future__ import annotations

import ast
from pathlib import Path

from processsupervisor.config.imports import parse_file

_DYNAMIC = frozenset({"__getattr__", "__import__", "exec", "eval", "globals", "locals", "modules", "setattr", "vars", "__dict__"})
"""What may give a module a name that its text does not show."""


def read_names(path: Path) -> tuple[set[str] | None, list[str]]:
    """Return all names that a file may have, None when nobody can say, and those of its bots."""
    tree, _ = parse_file(path)
    return (None, []) if tree is None else (_names(tree), _bots(tree))


def _names(tree: ast.Module) -> set[str] | None:
    """Return every name that is given to anything anywhere in a file; None when it may give others too."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ctx):
                if name in _DYNAMIC:
                    return None
                if not isinstance(ctx, ast.Load):
                    names.add(name)
            case ast.Attribute(attr=name) if name in _DYNAMIC:
                return None
            case ast.alias(name=name, asname=asname):
                if name in _DYNAMIC or name == "*":
                    return None
                names.add(asname or name.partition(".")[0])
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                if name in _DYNAMIC:
                    return None
                names.add(name)
            case ast.Global(names=several):
                names.update(several)
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                names.add(name)
            case ast.ExceptHandler(name=str(name)):
                names.add(name)
    return names


def _bots(tree: ast.Module) -> list[str]:
    """Return the names at the top of the file that are given a Bot of processsupervisor."""
    ours: set[str] = set()
    found: list[str] = []
    for node in tree.body:
        match node:
            case ast.ImportFrom(module="processsupervisor", names=names):
                ours |= {alias.asname or alias.name for alias in names if alias.name == "Bot"}
            case ast.Import(names=names):
                ours |= {f"{alias.asname or alias.name}.Bot" for alias in names if alias.name == "processsupervisor"}
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=called)) if ast.unparse(called) in ours:
                found.append(name)
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Call(func=called)) if ast.unparse(called) in ours:
                found.append(name)
    return found
