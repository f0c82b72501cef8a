"""What a Dockerfile says that its container runs: CMD and ENTRYPOINT, WORKDIR, ENV, of the last stage. Nothing is built."""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from processsupervisor.adopt.program import CannotRead, Place
from processsupervisor.adopt.text import read_text

_LINE = re.compile(r"([A-Za-z]+)\s+(.*)", re.DOTALL)


@dataclass(slots=True)
class Image:
    """`copied` maps a folder in the container to one in the build context, as COPY says."""

    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    workdir: str = "/"
    env: dict[str, str] = field(default_factory=dict)
    copied: dict[str, str] = field(default_factory=dict)
    stop_signal: str = ""


def read_dockerfile(path: Path) -> Image:
    """Read the last stage; raises CannotRead for an instruction that is none."""
    image = Image()
    for line, number in _logical(read_text(path)):
        match = _LINE.fullmatch(line)
        if match is None:
            raise CannotRead(f"{Place(path, number)}: found no instruction, expected one such as CMD", hint="correct the file")
        rest = match[2].strip()
        match match[1].upper():
            case "FROM":
                image = Image()
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


def _logical(text: str) -> list[tuple[str, int]]:
    lines: list[tuple[str, int]] = []
    joined, began = "", 0
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
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
