"""YAML and JSON documents as plain values, and the line of every key in them. PyYAML's safe loader: no object is made of a file.

Aliases and merge keys are followed; a document whose aliases would unfold to more than MOST_NODES values is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processsupervisor.adopt.program import CannotRead, Place
from processsupervisor.adopt.text import read_text

MOST_NODES = 100_000
_DEEPEST = 60


@dataclass(slots=True)
class Document:
    """The value, and the lines of keys by their path."""

    path: Path
    value: Any
    lines: dict[tuple[str | int, ...], int] = field(default_factory=dict)

    def place(self, *keys: str | int) -> Place:
        """Return where a key stands, or the nearest one around it."""
        at = keys
        while at and at not in self.lines:
            at = at[:-1]
        return Place(self.path, self.lines.get(at, 0))


def read_yaml(path: Path) -> Document:
    """Read one YAML document; raises CannotRead with its line."""
    import yaml

    text = read_text(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        document = Document(path, None)
        _Walk(document).note(node, (), 0)
        document.value = yaml.safe_load(text)
    except yaml.MarkedYAMLError as err:
        line = err.problem_mark.line + 1 if err.problem_mark else 0
        raise CannotRead(f"{Place(path, line)}: {err.problem or err}, expected YAML", hint="correct the file; nothing was written") from err
    except (yaml.YAMLError, ValueError, RecursionError) as err:
        raise CannotRead(f"{path}: is not YAML that psv adopt reads ({type(err).__name__})", hint="correct the file") from err
    return document


class _Walk:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0

    def note(self, node: Any, path: tuple[str | int, ...], depth: int) -> None:
        import yaml

        self._nodes += 1
        if self._nodes > MOST_NODES or depth > _DEEPEST:
            raise CannotRead(f"{self._document.path} unfolds to more than {MOST_NODES} values", hint="name the file with the programs")
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                where = (*path, str(key.value))
                self._document.lines[where] = key.start_mark.line + 1
                self.note(value, where, depth + 1)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self._document.lines[(*path, index)] = value.start_mark.line + 1
                self.note(value, (*path, index), depth + 1)


def read_json_text(path: Path, text: str) -> Document:
    """Read JSON; raises CannotRead with its line. Lines are found by reading the same text as YAML, of which JSON is a part."""
    try:
        value = json.loads(text)
    except ValueError as err:
        line = getattr(err, "lineno", 0)
        reason = getattr(err, "msg", "not JSON")
        raise CannotRead(f"{Place(path, line)}: {reason[:1].lower() + reason[1:]}, expected JSON", hint="correct the file") from err
    except RecursionError as err:
        raise CannotRead(f"{path} is nested too deeply", hint="name the file with the programs") from err
    document = Document(path, value)
    import yaml

    try:
        _Walk(document).note(yaml.compose(text, Loader=yaml.SafeLoader), (), 0)
    except (yaml.YAMLError, RecursionError):
        document.lines.clear()  # tabs between tokens: the places are then the file as a whole
    return document
