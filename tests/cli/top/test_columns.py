"""Laws of the table as text: it fits whatever the width and the names are."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from processsupervisor.cli.top.columns import LEAST_COLUMNS, cells_of, columns_for, cut, head_of
from processsupervisor.cli.top.model import Bot, Row

ROW: Row = {"name": "anna", "state": "RECOVERING", "health": "unhealthy", "restarts": 123456, "reason": "code", "exit_code": 3, "next_start_in_s": 12.0}
NAMES = ("a", "n" * 63, "名前の長いボット" * 4, "бот-який-має-довге-імʼя")


@pytest.mark.parametrize("width", [LEAST_COLUMNS, 60, 80, 81, 100, 120, 149, 150, 250])
@pytest.mark.parametrize("name", NAMES)
def test_a_line_fits_its_width(width: int, name: str) -> None:
    """Neither the head nor a line is wider than the screen, and all are of one width, names of wide characters too."""
    columns = columns_for(width, [name, "b"])
    widths = {cell_len(" ".join(cells_of(Bot(ROW | {"name": each}), columns))) for each in (name, "b")}
    assert widths == {cell_len(head_of(columns)) - 2}
    assert cell_len(head_of(columns)) <= width
    assert [column.head for column in columns][:2] == ["NAME", "STATE"]


def test_what_matters_least_goes_first() -> None:
    """At 80 columns name, state, health, memory, CPU and messages are there; at 120 all are, with the reason."""
    heads = {width: [column.head for column in columns_for(width, ["bot"])] for width in (80, 120)}
    assert {"NAME", "STATE", "HEALTH", "MEMORY", "CPU%", "MSG/MIN", "RESTARTS"} <= set(heads[80])
    assert heads[120] == ["NAME", "STATE", "HEALTH", "MEMORY", "CPU%", "CPU", "RESTARTS", "MSG/MIN", "WHY"]


def test_cells_say_what_is_known() -> None:
    """A bot that waits says why and until when; what is not known is a dash, and nothing that a terminal would obey gets through."""
    bot = Bot(ROW | {"name": "x\x1b[31m", "connected": None})
    shown = {column.head: text.strip() for column, text in zip(columns_for(160, ["x"]), cells_of(bot, columns_for(160, ["x"])), strict=True)}
    assert shown["WHY"].startswith("code 3, next start in 12")
    assert shown["CPU%"] == shown["MSG/MIN"] == shown["MEMORY"] == "-"
    assert shown["NAME"].startswith("x\\x1b")
    assert cells_of(Bot(ROW | {"health": "healthy", "connected": False}), columns_for(160, ["x"]))[2].strip() == "offline"


def test_what_is_cut_says_so() -> None:
    """A text that is too long ends with an ellipsis, within its width also in wide characters."""
    assert cut("abcdef", 4) == "abc…"
    assert cell_len(cut("日本語日本語", 6)) <= 6
    assert cut("abc", 3) == "abc"
