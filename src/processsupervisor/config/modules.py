"""Rules on the module of a native bot (`run = "module:bot"`): it is there, and its file defines that bot. Nothing is imported or run.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from processsupervisor.config.missing import like, outside
from processsupervisor.config.problem import Finding, nearest
from processsupervisor.config.spec import BotSpec
from processsupervisor.launch.release import code_folder


class Site(Protocol):
    """The place where rules look (rules.Site), as far as it is asked here."""

    @property
    def folder(self) -> Path: ...

    def is_installed(self, module: str) -> bool: ...


def module_is_there(spec: BotSpec, site: Site) -> Iterator[Finding]:
    """The module of a native bot lies beside fleet.toml (or in its release), or is installed (not known for another interpreter)."""
    if spec["run"] is None:
        return
    module = spec["run"].partition(":")[0]
    top, *rest = module.split(".")
    folder = code_folder(site.folder, spec.get("release"))
    if _is_module(folder, top):
        for part, inner in zip([top, *rest], rest, strict=False):
            folder = folder / part
            if not _is_module(folder, inner):
                missing = folder / f"{inner}.py"
                yield outside(
                    ("run",), "module-missing", f"module {module}: {missing} does not exist", like(missing, f"create {missing}")
                )
                return
    elif spec["python"] is None and "PYTHONPATH" not in spec["env"] and not site.is_installed(top):
        where = "beside fleet.toml" if spec.get("release") is None else f"in release {spec.get('release')}"
        message = f"module {top} is neither {where} nor installed"
        yield outside(("run",), "module-missing", message, like(folder / f"{top}.py", f"create {site.folder / top}.py"))


def _is_module(folder: Path, name: str) -> bool:
    if (folder / name).is_dir() or (folder / f"{name}.py").is_file():
        return True
    return any(folder.glob(f"{name}.*.so")) or (folder / f"{name}.so").is_file()


def bot_is_in_module(spec: BotSpec, site: Site) -> Iterator[Finding]:
    """A module that defines bots where that can be read defines this one; of any other nothing is said."""
    module, _, attribute = (spec["run"] or "").partition(":")
    if not attribute or spec["python"] is not None:
        return
    from processsupervisor.config.defined import read_names  # psvd, which asks for a bot in trouble alone, reads no syntax trees otherwise

    path = code_folder(site.folder, spec.get("release")).joinpath(*module.split("."))
    names, bots = read_names(path / "__init__.py" if path.is_dir() else path.with_name(f"{path.name}.py"))
    top = attribute.partition(".")[0]
    if names is None or not bots or top in names:
        return
    close = nearest(top, bots)
    hint = f"did you mean {module}:{close}?" if close else f"write run = \"{module}:{bots[0]}\""
    yield outside(("run",), "bot-missing", f"module {module} has no \"{attribute}\"; its bots are: {', '.join(bots)}", hint)
