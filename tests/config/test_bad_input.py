"""config: what goes wrong in real files, each with its place, in words; most of it also inside an included file."""

from __future__ import annotations

import pytest
from tests.config.test_load import bot, only

from processsupervisor.config.load import Loaded, load_texts

HEAD = b'[fleet]\nname = "demo"\n'
BOT = b"[bots.a]\ncommand = ['./run.sh']\n"


def load_both(folder, content: bytes) -> list[tuple[str, Loaded]]:
    """Load a content as fleet.toml, and as a file that it includes."""
    inner = {"fleet.toml": b'include = ["bots.d/x.toml"]\n' + HEAD, "bots.d/x.toml": content.replace(HEAD, b"\n\n").replace(HEAD.replace(b"\n", b"\r\n"), b"\r\n\r\n")}
    return [("fleet.toml", load_texts(folder, {"fleet.toml": content})), ("bots.d/x.toml", load_texts(folder, inner))]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_byte_order_mark_and_crlf_are_accepted(folder, mark, end):
    """Anywhere, and lines are counted alike."""
    for _, loaded in load_both(folder, mark + (HEAD + BOT).replace(b"\n", end)):
        assert loaded.problems == () and bot(loaded, "a")["error"] is None
    for name, loaded in load_both(folder, mark + (HEAD + BOT + b"nope = 1\n").replace(b"\n", end)):
        assert only(loaded).line == 5 and only(loaded).column == 1 and only(loaded).file == str(folder / name)


@pytest.mark.parametrize(
    ("more", "line", "code", "words"),
    [
        (b"command = ['x']\n", 5, "duplicate-key", "bots.a.command is given a second time"),
        (b"[bots.a]\n", 5, "duplicate-key", "bots.a is given a second time"),
        (b"args = ['\xe9']\n", 5, "encoding", "0xe9"),
        (b"args = [\n", 5, "syntax", ""),
        (b"[bots.b\n", 5, "syntax", ""),
        (b"x = 1\x002\n", 5, "syntax", ""),
        (b"start_timeout = " + b"9" * 5000 + b"\n", 0, "syntax", "too many digits"),
    ],
)
def test_what_is_no_toml_is_fatal(folder, more, line, code, words):
    """Nothing of the fleet is used, wherever it stands."""
    for name, loaded in load_both(folder, HEAD + BOT + more):
        problem = loaded.problems[0]
        assert loaded.fatal and loaded.applied is None
        assert (problem.code, problem.line, problem.file) == (code, line, str(folder / name)) and words in problem.message


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (b"start_timeout = nan", "a duration"),
        (b"start_timeout = inf", "a duration"),
        (b"start_timeout = -inf", "a duration from 0"),
        (b"start_timeout = '-5s'", "from 0 to ten years"),
        (b"start_timeout = -5", "from 0 to ten years"),
        (b"start_timeout = '99999999999999d'", "at most ten years"),
        (b"start_timeout = '" + b"9" * 400 + b"d'", "at most ten years"),
        (b"limits.memory = -1", "from 0 to 1 EiB"),
        (b"limits.memory = '-1MB'", "from 0 to 1 EiB"),
        (b"limits.memory = '99999999TB'", "from 0 to 1 EiB"),
        (b"limits.memory = '" + b"9" * 400 + b"TB'", "from 0 to 1 EiB"),
        (b"limits.memory = nan", "a size"),
        (b"restart.factor = nan", "finite"),
        (b"restart.factor = inf", "finite"),
        (b"restart.factor = -1.0", "at least 1"),
        (b"limits.nofile = 99999999999999999999999", "at most"),
        (b"options = { x = [1, inf] }", "finite"),
    ],
)
def test_numbers_that_are_none_are_the_bots_mistake(folder, setting, words):
    """Told at the place, and the other bots run."""
    for name, loaded in load_both(folder, HEAD + BOT + setting + b"\n[bots.b]\ncommand = ['./run.sh']\n"):
        problem = only(loaded)
        assert (problem.code, problem.line, problem.severity, problem.file) == ("bad-value", 5, "bot", str(folder / name))
        assert words in problem.message and bot(loaded, "b")["error"] is None


def test_utf16_is_named(folder):
    """As some editors save it."""
    for _, loaded in load_both(folder, "[fleet]\n".encode("utf-16")):
        assert "UTF-16" in loaded.problems[0].message


def test_a_file_of_the_given_texts_that_is_not_there(folder):
    """Its includes are not looked for on the disk."""
    (folder / "x.toml").write_bytes(BOT)
    assert only(load_texts(folder, {"fleet.toml": b'include = "x.toml"\n' + HEAD})).code == "no-file"
    assert only(load_texts(folder, {})).code == "no-file"
