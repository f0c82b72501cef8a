"""Markdown of a bot's reply as HTML that is safe to put into the page.

Raw HTML is escaped, images are shown as their text, and only http, https and mailto become links. A bot repeats what people
and documents say, so its text is as foreign as theirs.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token
    from markdown_it.utils import OptionsDict

MAX_RENDERED_CHARACTERS = 65_536
_SCHEMES = ("http", "https", "mailto")


def render(text: str) -> str | None:
    """Return the HTML of `text`, or None when it is so long that the page shows it as it is."""
    if len(text) > MAX_RENDERED_CHARACTERS:
        return None
    html: str = _parser().render(text)
    return html


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt  # 1.2 MB, needed once a page is open

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"]).disable("image")
    parser.validateLink = _is_allowed_link  # type: ignore[method-assign]
    parser.add_render_rule("link_open", _open_link)
    return parser


def _is_allowed_link(url: str) -> bool:
    try:
        return urlsplit(url.strip()).scheme.lower() in _SCHEMES
    except ValueError:
        return False


def _open_link(renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: MutableMapping[str, object]) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer nofollow")
    tokens[index].attrSet("target", "_blank")
    return renderer.renderToken(tokens, index, options, env)
