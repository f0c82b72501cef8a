"""launch.envfile: what people write in .env files, read without a shell; errors with place and without values."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processsupervisor.launch.envfile import MOST_BYTES, EnvFileError, parse_env, parse_env_file

HERE = Path(".env")


@pytest.mark.parametrize(
    ("content", "variables"),
    [
        (b"A=1\nB=two words  \n", {"A": "1", "B": "two words"}),
        (b"export A=1\nexport\tB=2\n", {"A": "1", "B": "2"}),
        (b"A=1\r\nB='x'\r\n", {"A": "1", "B": "x"}),
        (b"URL=postgres://u:p@h/db?a=b&c==d\n", {"URL": "postgres://u:p@h/db?a=b&c==d"}),
        (b"\xef\xbb\xbfA=1", {"A": "1"}),
        (b"\n\n# comment\n  # another\nA=1 # behind\nB=a#b\n", {"A": "1", "B": "a#b"}),
        (b"A=\nB=''\nC=\"\"\nD= # only a comment\n", {"A": "", "B": "", "C": "", "D": ""}),
        (b"A='it \"is\" $HOME \\n # x' # c\n", {"A": 'it "is" $HOME \\n # x'}),
        (b'A="a\\nb\\t\\"c\\" \\\\ \\$D \\x"\n', {"A": 'a\nb\t"c" \\ $D \\x'}),
        (b'KEY="-----BEGIN\nabc\n-----END"\nB=1\n', {"KEY": "-----BEGIN\nabc\n-----END", "B": "1"}),
        (b"A=$HOME/`date`/*\n", {"A": "$HOME/`date`/*"}),
        (b"A = spaced\n  B =x\n", {"A": "spaced", "B": "x"}),
        (b"A=1\nA=2\n", {"A": "2"}),
        ("A=grüße ✓\n".encode(), {"A": "grüße ✓"}),
        (b"export=1\n", {"export": "1"}),
        (b"", {}),
    ],
)
def test_what_people_write_is_read(content, variables):
    """Quotes, export, CRLF, BOM, = in values, comments and line breaks."""
    assert parse_env(content, HERE) == variables


@pytest.mark.parametrize(
    ("content", "line", "column", "words"),
    [
        (b"A=1\njust words\n", 2, 1, "expected NAME=value"),
        (b"A=1\n\n 1A=2\n", 3, 2, "found no variable name"),
        (b"=x\n", 1, 1, "found no variable name"),
        (b"A='open\nB=1\n", 1, 3, "without a closing one"),
        (b'A="open', 1, 3, "without a closing one"),
        (b"B=1\nA='x' y\n", 2, 7, "behind the closing quote"),
        (b"A=1\nB=\xff\n", 2, 1, "expected UTF-8"),
        (b"A=a\0b\n", 1, 3, "NUL"),
    ],
)
def test_errors_have_place_and_way_out(content, line, column, words):
    """File, line and column, what was expected, what to do; never the value."""
    with pytest.raises(EnvFileError) as caught:
        parse_env(content, HERE)
    err = caught.value
    assert (
        (err.line, err.column) == (line, column) and words in err.message and err.message.startswith(f".env:{line}:{column}: ") and err.hint
    )


def test_values_do_not_leak_into_errors():
    """A line that lost its name may be a token."""
    with pytest.raises(EnvFileError) as caught:
        parse_env(b"s3cret-token\n", HERE)
    assert "s3cret" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    """Missing, a folder, a FIFO, too large: errors of ours."""
    os.mkfifo(tmp_path / "fifo")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    for name in ("gone", ".", "fifo", "huge"):
        with pytest.raises(EnvFileError) as caught:
            parse_env_file(tmp_path / name)
        assert caught.value.code == "env-file" and caught.value.line == 0 and str(tmp_path) in caught.value.message
    (tmp_path / "good").write_text("A=1\n")
    assert parse_env_file(tmp_path / "good") == {"A": "1"}


@given(st.binary(max_size=60) | st.text(alphabet="A=\"'\\\n# $x\r\t", max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(content):
    """No other outcome than variables or an error of ours."""
    try:
        variables = parse_env(content, HERE)
    except EnvFileError as err:
        assert err.line >= 1 and err.column >= 1
    else:
        assert all("\0" not in name + value and name for name, value in variables.items())
