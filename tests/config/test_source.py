"""config.source: whatever fleet.toml is or holds, a clear problem with a place comes out, never a traceback."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from tests.config.conftest import as_nobody

from processsupervisor.config.load import load_fleet, load_text
from processsupervisor.config.source import MOST_BYTES, parse_source

HERE = Path("fleet.toml")
GOOD = b'[fleet]\nname = "demo"\n'


def test_a_missing_file_says_how_to_make_one(tmp_path):
    """No fleet.toml: fatal, with the way out."""
    loaded = load_fleet(tmp_path)
    assert loaded.fatal and loaded.problems[0].code == "no-file" and "psv init" in loaded.problems[0].hint


def test_a_folder_instead_of_a_file(tmp_path):
    """A folder of that name is told from a missing file."""
    (tmp_path / "fleet.toml").mkdir()
    assert load_fleet(tmp_path).problems[0].code == "not-a-file"


def test_a_fifo_is_not_waited_for(tmp_path):
    """Opening a FIFO would hang until somebody writes."""
    os.mkfifo(tmp_path / "fleet.toml")
    assert load_fleet(tmp_path).problems[0].code == "not-a-file"


def test_a_broken_link_is_told(tmp_path):
    """psv init would not make a file there."""
    (tmp_path / "fleet.toml").symlink_to("gone")
    (problem,) = load_fleet(tmp_path).problems
    assert problem.code == "no-file" and "is a link to nothing" in problem.message


def test_a_loop_of_links_is_unreadable(tmp_path):
    """An error of the system becomes a problem with its words."""
    (tmp_path / "fleet.toml").symlink_to("fleet.toml")
    assert load_fleet(tmp_path).problems[0].code == "unreadable"


def test_a_file_that_may_not_be_read(tmp_path):
    """Permission denied is a problem, too."""
    (tmp_path / "fleet.toml").write_bytes(GOOD)
    (tmp_path / "fleet.toml").chmod(0)
    assert as_nobody(lambda: load_fleet(tmp_path).problems[0].code == "unreadable")


def test_a_huge_file_is_not_read(tmp_path):
    """A file beyond every use is refused by its size."""
    with (tmp_path / "fleet.toml").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    assert load_fleet(tmp_path).problems[0].code == "too-large"


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + GOOD, GOOD.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n")])
def test_bom_and_crlf_are_accepted(tmp_path, content):
    """What editors of other systems write is read; the digest is of the bytes."""
    loaded = load_text(tmp_path, content)
    assert loaded.problems == () and loaded.applied["source_digest"] == hashlib.sha256(content).hexdigest()


def test_places_hold_with_crlf(tmp_path):
    """Lines and columns are counted as an editor shows them."""
    problem = load_text(tmp_path, GOOD.replace(b"\n", b"\r\n") + b"\r\n[web]\r\nlisten = 5\r\n").problems[0]
    assert (problem.line, problem.column) == (5, 1)


def test_other_encodings_are_named(tmp_path):
    """UTF-16 and stray bytes are told by name and place."""
    assert "UTF-16" in load_text(tmp_path, "[fleet]".encode("utf-16")).problems[0].message
    problem = load_text(tmp_path, b'[fleet]\nname = "\xe4"').problems[0]
    assert (problem.code, problem.line, problem.column) == ("encoding", 2, 9) and "0xe4" in problem.message


def test_syntax_errors_do_not_hide_each_other_nor_unknown_keys():
    """Reading goes on behind a faulty line, so that one run names all."""
    loaded = load_text(Path("/nowhere"), b'[fleet]\nname = demo\n[web]\nlisen = "x"\nnext_free = False\n')
    assert [(p.line, p.code) for p in loaded.problems] == [(2, "syntax"), (4, "unknown-key"), (5, "syntax")]
    assert "quotes" in loaded.problems[0].hint


def test_a_value_with_a_syntax_error_is_not_shown():
    """It may be a token that only lacks its quotes."""
    assert "123:secret" not in load_text(Path("/x"), b"[bots.a]\nenv.TOKEN = 123:secret\n").problems[0].text()


@pytest.mark.parametrize(
    ("content", "line", "first"),
    [
        (b'[fleet]\nname = "a"\nname = "b"\n', 3, 2),
        (b'[fleet]\nname = "a"\n[bots.x]\n[bots.y]\n[bots.x]\n', 5, 3),
        (b'[fleet]\nname = "a"\n[bots.x]\nenv = { A = "1", A = "2" }\n', 4, 4),
    ],
)
def test_a_second_one_names_the_first(content, line, first):
    """Keys and tables given twice: the place of the second, and the line of the first."""
    problem = parse_source(HERE, content).problems[0]
    assert (problem.code, problem.line) == ("duplicate-key", line) and f"line {first};" in problem.hint


@pytest.mark.parametrize(
    "content",
    [
        b"[fleet",
        b'x = """never closed',
        b"a = [[[[" * 20000,
        b"a = " + b"[" * 20000,
        b"a = " + b"{a=" * 20000,
        b"a = " + b"9" * 10000,
        b"a = 0x" + b"f" * 10000,
        b"a." * 5000 + b"a = 1",
        b"\x00",
        b"a = \x01",
        b"=\n=\n=\n",
        b"\r",
        b"[[bots]]\n[bots.x]\n",
        b"[fleet]\nname='x'\n[bots]\nx = 1979-05-27\n",
        b"[fleet]\nname='x'\n[bots.x.env]\na.b = 1\n",
        b"[fleet]\nname='x'\n[bots.x]\noptions." + b"a." * 3000 + b"b = 1\ncommand=['sh']\n",
        b"[fleet]\nname='x'\n[bots.x]\ncommand=['sh']\nenv.A = 0x" + b"f" * 10000 + b"\nrestart.factor = 0x" + b"f" * 9000,
    ],
)
def test_hostile_files_give_problems(content):
    """Depth, size and nonsense end in problems whose text is one printable line."""
    loaded = load_text(Path("/nowhere"), content)
    assert loaded.problems
    assert all(problem.text().isprintable() and len(problem.text()) < 20000 for problem in loaded.problems)
