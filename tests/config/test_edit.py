"""Laws of edits in the text of a fleet.toml: one bot changes, nothing else does, not even a comment."""

from __future__ import annotations

import tomllib

import pytest

from processsupervisor.config.edit import CannotEdit, add_bot, remove_bot, rename_bot
from processsupervisor.kernel.errors import NoSuchBot

TEXT = '''\
# The shop's fleet.
[fleet]
name = "shop"   # shown everywhere

# Takes orders.
[bots.orders]
run = "orders:bot"
note = """
[bots.orders]
"""

  [bots.orders.stop]
  timeout = "3s"

# All of them.
[types.t]
restart_with = ["orders"]

# Sends mail.
# Ask Ann before you change it.
[bots.mail]   # since May
script = 'mail.py'
depends_on = [
  "orders",   # it has the addresses
  { bot = "orders", until = "healthy" },
]

[[bots.mail.lock]]
env = "TOKEN"

# The page.
[web]
listen = "127.0.0.1:0"
'''


def test_an_added_bot_stands_at_the_end_and_nothing_else_changes() -> None:
    """What was there is a prefix of what is there now; the values are those that were given, whatever is in them."""
    settings = {"command": ["node", 'a "b"\\n', "ü"], "env_file": ["x.env"]}
    added = add_bot(TEXT, "new", settings)

    assert added.startswith(TEXT)
    assert tomllib.loads(added)["bots"]["new"] == settings


def test_a_bot_is_taken_out_with_its_tables_and_its_comment_only() -> None:
    """The tables of the bot and the comment above its first one go; comments above the next table stay."""
    begin, end = TEXT.index("# Takes orders."), TEXT.index("# All of them.")
    assert remove_bot(TEXT.replace('  "orders",', '  "other",'), "orders") == (TEXT[:begin] + TEXT[end:]).replace('  "orders",', '  "other",')

    begin, end = TEXT.index("# Sends mail."), TEXT.index("# The page.")
    assert remove_bot(TEXT, "mail") == TEXT[:begin] + TEXT[end:]


def test_a_heading_between_bots_is_nobodys() -> None:
    """A comment with an empty line before and behind it stays when the bot above it goes; what stands directly under a bot goes with it."""
    above, heading, below = "[bots.a]\nrun = 'a:b'\n# of a\n\n", "# ---- mail ----\n\n", "# of b\n[bots.b]\nrun = 'b:b'\n"
    assert remove_bot(above + heading + below, "a") == heading + below
    assert remove_bot(below + "\n" + above + heading, "a") == below + "\n" + heading.rstrip() + "\n\n"
    text = '[bots.a]\nnote = """\n\n# no comment """\n\n[bots.b]\nrun = "b:b"\n'
    assert remove_bot(text, "a") == '[bots.b]\nrun = "b:b"\n'


@pytest.mark.parametrize("end", ["", "\n", "\n\n\n", "  \n", "\t", "\r\n", "\r\n\r\n"])
def test_what_stands_at_the_end_stays_to_the_byte(end: str) -> None:
    """Spaces and empty lines too."""
    text = "[bots.a]" + ("\r\n" if "\r" in end else "\n") + "args = ['x']" + end
    added = add_bot(text, "b", {"command": ["true"]})
    assert added.startswith(text) and added.endswith('\n[bots.b]' + added.partition("[bots.b]")[2])
    assert ("\r\n\r\n[bots.b]" if "\r" in end else "\n\n[bots.b]") in added


def test_the_last_bot_leaves_no_empty_lines() -> None:
    """Added and taken out again, a file is the same to the byte; so is one with CRLF."""
    for text in (TEXT, TEXT.replace("\n", "\r\n"), '[fleet]\nname = "a"\n'):
        assert remove_bot(add_bot(text, "x", {"run": "a:b"}), "x") == text


def test_a_renamed_bot_is_renamed_where_others_name_it() -> None:
    """Headers, lists of names and tables of `depends_on` follow; what only looks like the name does not."""
    renamed = rename_bot(TEXT, "orders", "sales")

    expected = TEXT.replace("[bots.orders]\nrun", "[bots.sales]\nrun").replace("[bots.orders.stop]", "[bots.sales.stop]")
    expected = expected.replace('["orders"]', '["sales"]').replace('"orders",', '"sales",').replace('bot = "orders"', 'bot = "sales"')
    assert renamed == expected
    assert rename_bot(TEXT, "mail", "post") == TEXT.replace("[bots.mail", "[bots.post")


@pytest.mark.parametrize("text", ['bots.a.run = "m:b"\n', '[bots]\na = { run = "m:b" }\n', '[bots]\na.run = "m:b"\n', 'bots = { a = { run = "m:b" } }\n'])
def test_what_is_written_without_a_table_is_left_to_a_person(text: str) -> None:
    """A bot without a table of its own is neither renamed nor taken out, and the line is named."""
    for edit in (lambda: rename_bot(text, "a", "b"), lambda: remove_bot(text, "a")):
        with pytest.raises(CannotEdit, match=r"line [12] "):
            edit()


def test_an_edit_that_toml_does_not_allow_is_refused() -> None:
    """An inline `bots` takes no further table."""
    with pytest.raises(CannotEdit, match="by hand"):
        add_bot("bots = {}\n", "a", {"run": "m:b"})


def test_names_are_looked_up() -> None:
    """A name that is there cannot be given again; one that is not gets the nearest."""
    with pytest.raises(CannotEdit, match="already, in line 6 "):
        add_bot(TEXT, "orders", {"run": "a:b"})
    with pytest.raises(CannotEdit, match="already"):
        rename_bot(TEXT, "mail", "orders")
    with pytest.raises(NoSuchBot, match='did you mean "mail"'):
        remove_bot(TEXT, "mial")
