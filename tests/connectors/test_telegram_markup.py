"""Markdown for Telegram: what is shown, where its spans lie, and that nothing can break it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processsupervisor.connectors.telegram.markup import render, strip_html, units


def spans(source: str) -> list[tuple[str, str]]:
    """Return the kinds of spans and the words they cover."""
    text, found = render(source)
    raw = text.encode("utf-16-le")
    return [(span.kind, raw[span.offset * 2 : (span.offset + span.length) * 2].decode("utf-16-le")) for span in found]


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        ("plain", "plain", []),
        ("**bold** *it* _al_ ~~gone~~", "bold it al gone", [("bold", "bold"), ("italic", "it"), ("italic", "al"), ("strikethrough", "gone")]),
        ("**a *b* c**", "a b c", [("bold", "a b c"), ("italic", "b")]),
        ("🙂 **ä**", "🙂 ä", [("bold", "ä")]),
        ("`a*b*`", "a*b*", [("code", "a*b*")]),
        ("```python\nx = 1\n```", "x = 1", [("pre", "x = 1")]),
        ("[site](https://x.org/a_b)", "site", [("text_link", "site")]),
        ("# Head\n- one\n- two", "Head\n• one\n• two", [("bold", "Head")]),
        ("2 * 3 * 4", "2 * 3 * 4", []),
        ("snake_case_name", "snake_case_name", []),
        (r"\*not\* bold", "*not* bold", []),
        ("**open", "**open", []),
        ("*a **b*", "a **b", [("italic", "a **b")]),
        ("****", "****", []),
        ("[no](link", "[no](link", []),
    ],
)
def test_what_markdown_shows(source: str, text: str, found: list[tuple[str, str]]) -> None:
    """The marks are gone where they form a pair, and stand there where they do not."""
    assert render(source)[0] == text
    assert spans(source) == found


@given(st.text(alphabet="ab *_`~[]()\\#\n-🙂", max_size=60))
def test_spans_lie_within_the_text_and_nest(source: str) -> None:
    """Whatever is written: no span is empty, leaves the text, or crosses another's border."""
    text, found = render(source)
    assert units(text) <= units(source) + source.count("-") and (text.strip() or not source.strip() or text != source)
    for span in found:
        assert span.length > 0 and 0 <= span.offset and span.offset + span.length <= units(text)
    for index, outer in enumerate(found):
        for inner in found[index + 1 :]:
            end = outer.offset + outer.length
            assert inner.offset >= end or inner.offset + inner.length <= end


def test_html_without_its_tags() -> None:
    """What only looks like a tag stays."""
    assert strip_html("<b>4 &lt; 5</b> and 3 < 4 <i>x") == "4 < 5 and 3 < 4 x"
    assert strip_html("<b></b>") == "<b></b>"
