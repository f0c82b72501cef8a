"""Laws of processsupervisor.chat.docindex: it follows its files, and bounds what it reads."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from processsupervisor.chat import docindex
from processsupervisor.chat.docindex import DocumentIndex


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder of documents."""
    folder = tmp_path / "docs"
    (folder / "deep").mkdir(parents=True)
    (folder / "one.md").write_text("# One\nalpha")
    (folder / "deep" / "two.md").write_text("# Two\nbeta")
    return folder


def cited(index: DocumentIndex, word: str) -> list[str]:
    """Return what is found for a word, after a look at the files."""
    index.refresh()
    return sorted(found.citation for found in index.best([word], 10))


def test_files_are_named_from_the_folder_given(docs: Path) -> None:
    """A citation begins with the root's own name; a single file is named by its name."""
    index = DocumentIndex([docs, docs / "one.md"])

    assert cited(index, "beta") == ["docs/deep/two.md#two"]
    assert cited(index, "alpha") == ["docs/one.md#one", "one.md#one"]


def test_new_changed_and_deleted_files_count_at_the_next_look(docs: Path) -> None:
    """Nothing of an old version stays, also when a change leaves size and time as they were."""
    index = DocumentIndex([docs])
    assert cited(index, "gamma") == []

    (docs / "three.md").write_text("# Three\ngamma")
    assert cited(index, "gamma") == ["docs/three.md#three"]

    facts = (docs / "three.md").stat()
    (docs / "three.md").write_text("# Three\ndelta")
    os.utime(docs / "three.md", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert (cited(index, "gamma"), cited(index, "delta")) == ([], ["docs/three.md#three"])

    (docs / "three.md").unlink()
    assert cited(index, "delta") == []


def test_forms_of_a_word_are_one(docs: Path) -> None:
    """The index is stemmed."""
    (docs / "one.md").write_text("# One\nit restarts and restarted")

    assert cited(DocumentIndex([docs]), "restarting") == ["docs/one.md#one"]


def test_what_cannot_be_read_is_left_out_and_said_once(docs: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is no UTF-8, too large or gone under our hands leaves the others as they are."""
    (docs / "latin.md").write_bytes("# Caf\xe9\nalpha".encode("latin-1"))
    (docs / "large.md").write_bytes(b"# Large\nalpha " + b"x" * docindex.MAX_FILE_BYTES)
    (docs / "dangling.md").symlink_to(docs / "nowhere")
    os.mkfifo(docs / "pipe.md")
    index = DocumentIndex([docs])

    with caplog.at_level(logging.WARNING):
        assert cited(index, "alpha") == ["docs/one.md#one"]
        assert cited(index, "alpha") == ["docs/one.md#one"]

    said = sorted((record.file, record.reason) for record in caplog.records)
    assert [file for file, _ in said] == ["docs/dangling.md", "docs/large.md", "docs/latin.md"]


def test_the_number_of_files_is_bounded(docs: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond the limit the rest is left out with one warning."""
    monkeypatch.setattr(docindex, "MAX_FILES", 5)  # the real one would only take longer
    for number in range(20):
        (docs / f"more{number:02}.md").write_text("# More\nomega")

    assert len(cited(DocumentIndex([docs]), "omega")) == 5
    assert len(caplog.records) == 1


def test_hidden_folders_are_not_read(docs: Path) -> None:
    """What tools keep in .git, .venv or node_modules is nobody's document."""
    for name in (".git", "node_modules"):
        (docs / name).mkdir()
        (docs / name / "x.md").write_text("# X\nomega")

    assert cited(DocumentIndex([docs]), "omega") == []


def test_nothing_in_a_word_is_an_operator(docs: Path) -> None:
    """Quotes and the query language of FTS5 in a question are plain text."""
    index = DocumentIndex([docs])
    index.refresh()

    for word in ('"', 'a"b', "NEAR(", "alpha*", "text:alpha", "-", "^", "AND", ""):
        index.rows_with(word)
        index.best([word, "alpha"], 3)
