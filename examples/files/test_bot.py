"""The bot for files: pytest examples/files"""

import json

import pytest

from bot import bot as files
from processsupervisor.chat.points import Point
from processsupervisor.testing import Lab


@pytest.fixture
def lab():
    with Lab(files) as made:
        yield made


def test_a_table_comes_back_as_json(lab):
    lab.you.sends("name,city\nAda,London\nGrete,Zürich\n".encode(), "people.csv", mime="text/csv")
    (file,) = lab.sees("2 rows").value.files
    assert file.name == "people.json"
    assert json.loads(file.content) == [{"name": "Ada", "city": "London"}, {"name": "Grete", "city": "Zürich"}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe\x00", "no text"),
        (b"name\n", "no lines"),
        (b"a,b\n1\n", "numbers of columns"),
        (b'a,b\n"1,2\n', "no CSV"),
        (b"a\n" + b"x" * 6_000_000, "larger than 5MB"),
    ],
)
def test_what_is_no_table_is_told(lab, content, said):
    lab.you.sends(content, "people.csv", mime="text/csv")
    lab.sees(said)


def test_a_file_is_sent_once_whatever_dies(lab):
    lab.die_at(Point.AFTER_COMPLETE)
    lab.you.sends(b"n\n1\n", "n.csv")
    lab.restart()
    lab.clock.advance("1s")
    assert [look.text for look in lab.sent].count("1 rows") == 1


def test_a_word_is_explained(lab):
    lab.say("hello")
    lab.sees("Send me a table")
