"""Text with marks as Telegram reads it: `parse_mode` HTML, MarkdownV2 and Markdown, into plain text and entities, or an error.

Strict where Telegram is strict (a tag that is not closed, a mark that is not ended, a reserved character that is not escaped), because that
is what a bot has to survive; nested quotations and custom emoji are not here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import unescape

from processsupervisor.testing.botapi.values import Json, bad_request, utf16_units

_TAGS = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline", "ins": "underline", "s": "strikethrough",
    "strike": "strikethrough", "del": "strikethrough", "code": "code", "pre": "pre", "a": "text_link", "tg-spoiler": "spoiler",
    "span": "spoiler", "blockquote": "blockquote",
}  # fmt: skip
_V2_MARKS = {"||": "spoiler", "__": "underline", "*": "bold", "_": "italic", "~": "strikethrough"}
_V1_MARKS = {"*": "bold", "_": "italic"}
_ESCAPED = re.compile(r"\\([\\`])")
_RESERVED = set("_*[]()~`>#+-=|{}.!")


@dataclass(slots=True)
class _Built:
    """The text so far and the marks that are open, outermost first."""

    text: str = ""
    entities: list[Json] = field(default_factory=list)
    open: list[tuple[str, str, int, str]] = field(default_factory=list)
    """(mark, kind, where it began, address)."""

    def begin(self, mark: str, kind: str, address: str = "") -> None:
        self.open.append((mark, kind, utf16_units(self.text), address))

    def end(self) -> None:
        _mark, kind, start, address = self.open.pop()
        length = utf16_units(self.text) - start
        if length:
            self.entities.append({"type": kind, "offset": start, "length": length} | ({"url": address} if address else {}))

    def finished(self) -> tuple[str, list[Json]]:
        return self.text, sorted(self.entities, key=lambda entity: (int(str(entity["offset"])), -int(str(entity["length"]))))


def read_markup(text: str, mode: str) -> tuple[str, list[Json]]:
    """Return the plain text and its entities. Raises Rejected ("can't parse entities: …")."""
    match mode.lower():
        case "":
            return text, []
        case "html":
            return _read_html(text)
        case "markdownv2":
            return _read_marks(text, _V2_MARKS, is_strict=True)
        case "markdown":
            return _read_marks(text, _V1_MARKS, is_strict=False)
        case _:
            raise bad_request("unsupported parse_mode")


def _read_html(text: str) -> tuple[str, list[Json]]:
    built = _Built()
    at = 0
    while at < len(text):
        if text[at] != "<":
            end = text.find("<", at)
            end = len(text) if end < 0 else end
            built.text += unescape(text[at:end])
            at = end
            continue
        end = text.find(">", at)
        if end < 0:
            raise _broken(f"Unclosed start tag at byte offset {_offset(text, at)}")
        name, _, rest = text[at + 1 : end].strip().partition(" ")
        if name.startswith("/"):
            if not built.open or name[1:].lower() != built.open[-1][0]:
                raise _broken(f"Unmatched end tag at byte offset {_offset(text, at)}")
            built.end()
        elif name.lower() in _TAGS:
            address = unescape(rest.partition("=")[2].strip().strip("\"'")) if name.lower() == "a" else ""
            built.begin(name.lower(), _TAGS[name.lower()], address)
        else:
            raise _broken(f'Unsupported start tag "{name}" at byte offset {_offset(text, at)}')
        at = end + 1
    if built.open:
        raise _broken(f"Can't find end tag corresponding to start tag \"{built.open[-1][0]}\"")
    return built.finished()


def _read_marks(text: str, marks: dict[str, str], *, is_strict: bool) -> tuple[str, list[Json]]:
    built = _Built()
    at = 0
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text) and ord(text[at + 1]) < 127 and (is_strict or text[at + 1] in "_*`["):
            built.text += text[at + 1]
            at += 2
        elif text[at] == "`":
            at = _read_code(built, text, at, is_strict=is_strict)
        elif text[at] == "[" and (link := _link(text, at)) is not None:
            label, address, at = link
            start = utf16_units(built.text)
            built.text += label
            built.entities.append({"type": "text_link", "offset": start, "length": utf16_units(label), "url": address})
        else:
            mark = next((m for m in marks if text.startswith(m, at)), "")
            if not mark and is_strict and text[at] in _RESERVED:
                raise _broken(f"Character '{text[at]}' is reserved and must be escaped with the preceding '\\'")
            if not mark:
                built.text += text[at]
            elif built.open and built.open[-1][0] == mark:
                built.end()
            elif built.open and not is_strict:
                built.text += text[at]
            else:
                built.begin(mark, marks[mark])
            at += len(mark) or 1
    if built.open:
        raise _broken(f"Can't find end of the entity starting at byte offset {built.open[-1][2]}")
    return built.finished()


def _read_code(built: _Built, text: str, at: int, *, is_strict: bool) -> int:
    fence = "```" if text.startswith("```", at) else "`"
    end = text.find(fence, at + len(fence))
    while is_strict and end > 0 and text[end - 1] == "\\":
        end = text.find(fence, end + 1)
    if end < 0:
        raise _broken(f"Can't find end of the entity starting at byte offset {_offset(text, at)}")
    content = text[at + len(fence) : end]
    if fence == "```" and "\n" in content and content.partition("\n")[0].isalnum():
        content = content.partition("\n")[2]
    built.begin(fence, "pre" if fence == "```" else "code")
    built.text += _ESCAPED.sub(r"\1", content) if is_strict else content
    built.end()
    return end + len(fence)


def _link(text: str, at: int) -> tuple[str, str, int] | None:
    """Return (label, address, where it ends) of `[label](address)`; None when it is none."""
    middle = text.find("](", at)
    end = text.find(")", middle)
    if middle < 0 or end < 0:
        return None
    return text[at + 1 : middle].replace("\\", ""), text[middle + 2 : end], end + 1


def _offset(text: str, at: int) -> int:
    return len(text[:at].encode())


def _broken(reason: str) -> Exception:
    return bad_request(f"can't parse entities: {reason}")
