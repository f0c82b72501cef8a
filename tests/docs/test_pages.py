"""The documents are true: every example and command of README.md and docs/ is run, every link leads somewhere."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.page import blocks, links, name_of, pages
from tests.docs.shell import Shell

from processsupervisor.chat.sections import split

RUNNABLE = [page for page in pages() if any(block.is_run for block in blocks(page))]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A shell in an empty folder."""
    folder = tmp_path / "reader"
    folder.mkdir()
    shell = Shell(folder)
    yield shell
    shell.close()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="fleets need Linux")
@pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
def test_the_examples_of_a_page_work(page: Path, shell: Shell) -> None:
    """Read from top to bottom, every file is as described and every command ends as said."""
    for block in blocks(page):
        if not block.is_run:
            continue
        if block.file:
            shell.write(block.file, block.text)
        elif block.language == "console":
            *before, last = block.commands
            for command in before:
                shell.run(command)
            shell.run(last, block.exit_status)
        elif block.language == "python":
            shell.run_python(block.text)
        elif block.language == "toml":
            tomllib.loads(_without_repetition(block.text))


def _without_repetition(text: str) -> str:
    """Alternatives of one key below each other are read one by one."""
    lines = [line for line in text.splitlines() if line.strip()]
    keys = [line.split("=")[0].strip() for line in lines]
    if len(set(keys)) == 1 and len(keys) > 1:
        for line in lines:
            tomllib.loads(line)
        return ""
    return text


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_block_says_what_it_is(page: Path) -> None:
    """A block has a language; a console block has commands; only what is not run may be of a language that no test knows."""
    for block in blocks(page):
        assert block.language, f"{page}:{block.line}: no language"
        if block.language == "mermaid":
            first, *arrows = block.text.splitlines()
            assert first == "stateDiagram-v2"
            assert all(re.fullmatch(r" {4}(\[\*\]|[A-Z]+) --> [A-Z]+(: [a-z-]+)?", arrow) for arrow in arrows)
        if block.language == "console":
            assert block.commands, f"{page}:{block.line}: no command"
        elif block.is_run and not block.file:
            assert block.language in ("python", "toml", "text", "mermaid"), f"{page}:{block.line}: {block.language} is not checked by any test"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    """A link inside the project names an existing file and a heading of it."""
    for target in links(page):
        if target.startswith(("http://", "https://")):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{page}: {target} does not exist"
        if anchor:
            anchors = {section.anchor for section in split(path.read_text(encoding="utf-8"))}
            assert anchor in anchors, f"{page}: {target}: no such heading"


def test_every_page_is_reached() -> None:
    """Each page of docs/ is linked from docs/index.md."""
    index = next(page for page in pages() if name_of(page) == "docs/index.md")
    reached = {(index.parent / target.partition("#")[0]).resolve() for target in links(index)} | {index}

    assert [name_of(page) for page in pages() if page not in reached and name_of(page) != "README.md"] == []
