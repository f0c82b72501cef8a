"""config.places: line and column of every way to write a key or table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processsupervisor.config.places import Places

TEXT = '''# a comment with [brackets] and = signs
top = 1
[fleet]
name = "a # no comment ] }"
  indented = """
[not.a.table]
x = 1
"""
[bots."odd name"] # comment
a.b = { c = 1, d = { e = "}" } }
list = [
  "x", # one
  { y = 1 },
]
'literal' = 'C:\\'
[[bots.x.lock]]
env = "A"
[[bots.x.lock]]
file = "b"
'''


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("top",), (2, 1)),
        (("fleet",), (3, 1)),
        (("fleet", "name"), (4, 1)),
        (("fleet", "indented"), (5, 3)),
        (("bots", "odd name"), (9, 1)),
        (("bots", "odd name", "a"), (10, 1)),
        (("bots", "odd name", "a", "b", "c"), (10, 9)),
        (("bots", "odd name", "a", "b", "d", "e"), (10, 22)),
        (("bots", "odd name", "list", 0), (12, 3)),
        (("bots", "odd name", "list", 1, "y"), (13, 5)),
        (("bots", "odd name", "literal"), (15, 1)),
        (("bots", "x", "lock", 0, "env"), (17, 1)),
        (("bots", "x", "lock", 1), (18, 1)),
        (("bots", "x", "lock", 1, "file"), (19, 1)),
    ],
)
def test_every_way_to_write_a_key_is_found(path, place):
    """Headers, dotted, quoted and inline keys, lists and arrays of tables have their places."""
    assert Places(TEXT).find(path) == place


def test_what_is_not_written_is_placed_at_the_table_around_it():
    """A missing key points to its table, an unknown table to the beginning."""
    places = Places(TEXT)
    assert places.find(("fleet", "missing", "deeper")) == (3, 1)
    assert places.find(("nowhere",)) == (1, 1)
    assert not places.knows(("not", "a", "table")) and places.repeats == []


def test_repeats_hold_both_places():
    """A key given twice is noted with both places; tables of an array are not repeats."""
    repeats = Places("a = 1\n[[t]]\nb = 1\n[[t]]\nb = 2\n[u]\nc = 1\n c = 2\n").repeats
    assert [(r.path, r.first, r.again) for r in repeats] == [(("u", "c"), (7, 1), (8, 2))]


@given(st.text(alphabet="ab.=[]{}\"'\\\n#, 1\t", max_size=120))
def test_any_text_is_scanned_to_its_end(text):
    """The scanner neither fails nor loops, whatever it is given."""
    places = Places(text)
    assert places.end() >= (1, 1)
    assert places.find(("a", "b")) >= (1, 1)
