"""A page of documentation as a script: its fenced blocks, in order, with what the markers before them say.

Conventions: "```LANGUAGE FILE" writes FILE; "```console" runs each line that begins with "$ "; "```python" without a file is run;
"```toml" without a file is parsed. A line `<!-- not run: WHY -->` before a block leaves it out, `<!-- needs: PROGRAM -->` leaves it
out where the program is missing, `<!-- exit: N -->` expects that exit status of its last command.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
_MARKER = re.compile(r"<!-- (not run|needs|exit): (.+) -->")
_FENCE = re.compile(r"(`{3,})(\w*)[ ]?(\S*)\s*$")
_LINK = re.compile(r"(?<!`)!?\[[^\]\n]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    line: int
    language: str
    file: str
    text: str
    is_run: bool
    exit_status: int

    @property
    def commands(self) -> list[str]:
        """The commands of a console block; a line that ends with a backslash goes on."""
        joined = self.text.replace("\\\n", "")
        return [line[2:] for line in joined.splitlines() if line.startswith("$ ")]


def pages() -> list[Path]:
    """Return README.md and every page of docs/."""
    return [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    """Return a page's path in the project."""
    return page.relative_to(PROJECT).as_posix()


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page."""
    found: list[Block] = []
    open_fence: tuple[int, str, str, str] | None = None
    lines: list[str] = []
    markers: dict[str, str] = {}
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if open_fence is not None:
            start, fence, language, file = open_fence
            if line.strip() == fence:
                is_run = "not run" not in markers and shutil.which(markers.get("needs", "sh")) is not None
                text = "\n".join(lines) + "\n"
                found.append(Block(start, language, file, text, is_run, int(markers.get("exit", "0"))))
                open_fence, lines, markers = None, [], {}
            else:
                lines.append(line)
        elif match := _FENCE.match(line):
            open_fence = (number, match[1], match[2], match[3])
        elif marker := _MARKER.fullmatch(line.strip()):
            markers[marker[1]] = marker[2]
    assert open_fence is None, f"{page}: the fence in line {open_fence and open_fence[0]} is not closed"
    return found


def links(page: Path) -> list[str]:
    """Return the targets of all links outside of fenced blocks and code."""
    text = re.sub(r"^(`{3,}).*?^\1\s*$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return _LINK.findall(re.sub(r"``[^`]*(?:`[^`]+)*``|`[^`\n]*`", "", text))
