"""Markdown of replies: formatting comes through, nothing that runs or loads does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processsupervisor.web.markdown import MAX_RENDERED_CHARACTERS, render

ALLOWED = {"p", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "a", "br", "hr",
           *(f"h{level}" for level in range(1, 7))}  # fmt: skip
ATTRIBUTES = {"href", "rel", "target", "title", "class", "start", "style"}


def tags(html: str) -> list[str]:
    return re.findall(r"<[^>]*>", html)


def check_inert(html: str) -> None:
    for tag in tags(html):
        name = re.match(r"</?([a-z0-9]+)", tag)
        assert name, tag
        assert name[1] in ALLOWED, tag
        for attribute, value in re.findall(r'\s([a-zA-Z:-]+)="([^"]*)"', tag):
            assert attribute in ATTRIBUTES, tag
            if attribute == "href":
                assert re.match(r"(https?|mailto):", value, re.IGNORECASE), tag


def test_formatting() -> None:
    """Emphasis, code, quotes, lists, tables and links are rendered; links open elsewhere without a way back."""
    html = render("**b** `c`\n\n> q\n\n- l\n\n| a |\n|---|\n| 1 |\n\n[t](https://example.org/x)")
    for part in ("<strong>b</strong>", "<code>c</code>", "<blockquote>", "<li>l</li>", "<td>1</td>"):
        assert part in html
    assert '<a href="https://example.org/x" rel="noopener noreferrer nofollow" target="_blank">t</a>' in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "![x](https://evil.example/p.png)",
        "![x](javascript:alert(1))",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](java\tscript:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](%6aavascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "[x](vbscript:x)",
        "[x](//evil.example/x)",
        "[x](/chat/guide/messages)",
        "[x](file:///etc/passwd)",
        '[x](https://example.org/"onmouseover="alert(1))',
        '[x](https://example.org "t\\" onmouseover=\\"alert(1)")',
        "<javascript:alert(1)>",
        "<https://ok.example>",
        "[x][y]\n\n[y]: javascript:alert(1)",
        '```"><script>alert(1)</script>\nx\n```',
        "a&lt;script&gt;b",
        "| <script> |\n|---|\n| <b onclick=x> |",
    ],
)
def test_hostile_text_is_inert(text: str) -> None:
    """No tag but plain formatting, no attribute that acts, no address but http, https and mailto."""
    html = render(text)
    check_inert(html)
    assert "<script" not in html
    assert "<img" not in html


@given(st.text(alphabet="<>\"'&[]()!`*_|:-/ \nabjsx=#", max_size=120))
def test_any_text_is_inert(text: str) -> None:
    """The same holds for whatever somebody types."""
    check_inert(render(text))


def test_very_long_text_is_left_to_the_page() -> None:
    """Text beyond the limit is not rendered at all, so that nobody waits for it."""
    assert render("x" * (MAX_RENDERED_CHARACTERS + 1)) is None
