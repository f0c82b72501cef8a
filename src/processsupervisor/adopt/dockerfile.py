"""What a Dockerfile says that its container runs: CMD and ENTRYPOINT, WORKDIR, ENV, of the last stage. Nothing is built."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from processsupervisor.adopt.program import CannotRead, Place
from processsupervisor.adopt.text import read_text

_LINE = re.compile(r"([A-Za-z]+)\s+(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\\\$|\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})")
_HEREDOC = re.compile(r"<<-?\s*[\"']?(\w+)")


@dataclass(slots=True)
class Image:
    """`copied` maps a folder in the container to one in the build context, as COPY says."""

    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    workdir: str = "/"
    env: dict[str, str] = field(default_factory=dict)
    copied: dict[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    user: str = ""
    installs: int = 0
    """The line of the first RUN that installs something; 0 for none."""


def read_dockerfile(path: Path, target: str = "") -> Image:
    """Read the stage `target`, else the last, with those that it begins from; raises CannotRead for an instruction that is none."""
    image = Image()
    stages: dict[str, Image] = {}
    values: dict[str, str] = {}
    name = ""
    for line, number in _logical(read_text(path)):
        match = _LINE.fullmatch(line)
        if match is None:
            raise CannotRead(f"{Place(path, number)}: found no instruction, expected one such as CMD", hint="correct the file")
        word, rest = match[1].upper(), match[2].strip()
        if word in ("WORKDIR", "ENV", "COPY", "ADD", "STOPSIGNAL", "USER"):
            rest = _filled(rest, {**values, **image.env})
        match word:
            case "FROM":
                if name and name == target.lower():
                    break
                words = [item for item in rest.split() if not item.startswith("--")]
                image = deepcopy(stages.get(words[0].lower(), Image()))
                name = words[2].lower() if len(words) == 3 and words[1].upper() == "AS" else str(len(stages))
                stages[name] = image
            case "ARG":
                key, _, default = rest.partition("=")
                values[key] = default.strip("\"'")
            case "USER":
                image.user = rest
            case "RUN" if re.search(r"\b(?:install|sync|add)\b", rest):
                image.installs = image.installs or number
            case "CMD":
                image.command = _exec_form(rest)
            case "ENTRYPOINT":
                image.entrypoint, image.command = _exec_form(rest), []
            case "WORKDIR":
                image.workdir = posixpath.normpath(posixpath.join(image.workdir, rest.strip("\"'")))
            case "ENV":
                image.env.update(_variables(rest))
            case "COPY" | "ADD":
                _copy(image, rest)
            case "STOPSIGNAL":
                image.stop_signal = rest
    return image


def _filled(text: str, values: dict[str, str]) -> str:
    """Replace $NAME and ${NAME:-default} by what ENV and ARG say; one that nothing says is empty, as docker has it."""
    return _VARIABLE.sub(lambda m: "$" if m[0] == "\\$" else values.get(m[1] or m[2], m[3] or ""), text)


def _logical(text: str) -> list[tuple[str, int]]:
    lines: list[tuple[str, int]] = []
    joined, began, until = "", 0, ""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if until:
            until = "" if line == until else until
            continue
        if not line or line.startswith("#"):
            continue
        if heredoc := _HEREDOC.search(line):
            until = heredoc[1]
        began = began or number
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        lines.append((joined + line, began))
        joined, began = "", 0
    return [*lines, (joined, began)] if joined.strip() else lines


def _exec_form(text: str) -> list[str]:
    if text.startswith("["):
        try:
            words = json.loads(text)
        except ValueError:
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
    return ["sh", "-c", text]


def _variables(text: str) -> dict[str, str]:
    first, _, rest = text.partition(" ")
    if "=" not in first:
        return {first: rest.strip()}
    try:
        return dict(word.split("=", 1) for word in shlex.split(text) if "=" in word)
    except ValueError:
        return {}


def _copy(image: Image, text: str) -> None:
    words = [word for word in text.split() if not word.startswith("--")]
    if "--from" in text or text.startswith("[") or len(words) != 2:
        return
    target = posixpath.normpath(posixpath.join(image.workdir, words[1]))
    source = words[0].rstrip("/") or "."
    if not re.search(r"[*?]", source):
        image.copied[target] = "." if source in (".", "./") else source
