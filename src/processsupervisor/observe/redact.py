"""Keep secrets out of log lines: network tokens, API keys, bearer headers, passwords in URLs, values of secret-looking names.

Text in, text out; nothing here reads files. Every pattern is linear in the text: repetitions are bounded or consume what
they match, and a pattern only runs when a literal that it needs occurs. A secret is replaced by MARK, the rest is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from processsupervisor.observe.expressions import is_source

MARK = "[redacted]"
_SHORTEST_LITERAL = 4

_NAMES = (
    r"token(?!s)|secret|passw(?:or)?d|passphrase|api[_-]?key|access[_-]?key|private[_-]?key|encryption[_-]?key"
    r"|credential|authorization"
)
_VALUE = r"""(?:\[redacted\]|[bfru]{0,2}"(?:[^"\\\r\n]|\\.){1,4096}"|[bfru]{0,2}'(?:[^'\\\r\n]|\\.){1,4096}'|[^\s"',;&)}\]]+)"""
_ANNOTATION = (  # of a name that is given a value too
    r"(?:[ \t]{0,4}:[ \t]{0,4}(?-i:[A-Z]|str|bytes|[a-z_]{1,40}\.)[a-z_.]{0,60}(?:\[[^\]=\r\n]{0,60}\])?"
    r"(?:[ \t]\|[ \t][a-z_.]{1,40}){0,3}(?=[ \t]{1,4}=))?"
)
_NAMED = re.compile(
    rf"(?i)((?:{_NAMES})[\w-]{{0,32}}\\?[\"']?{_ANNOTATION})([ \t]{{0,4}}(?:=>|:=|={{1,3}}|:)[ \t]{{0,4}}\\?)"
    rf"(?!(?:none|null|true|false|nil)\b)((?:(?:bearer|basic|bot|token)[ \t]{{1,4}})?)({_VALUE})"
)


def _hide_named(text: str) -> str:
    """Replace the values of secret-looking names; a quoted one stays quoted, so that JSON stays JSON. Source text stays readable."""
    kept: list[str] = []
    done = at = 0
    while (match := _NAMED.search(text, at)) is not None:
        value = match[4]
        if not match[3] and value[0] not in "\"'[" and (size := is_source(text, match.start(), match.end(1), match.start(4))):
            at = match.start(4) + size  # what it holds may hide a secret of its own
            continue
        string = value.lstrip("bfruBFRU")[:1] if value[-1] in "\"'" else ""
        quote = string if string in ("\"", "'") else ""
        kept += (text[done : match.start(4)], quote, MARK, quote)
        done = at = match.end()
    return "".join((*kept, text[done:])) if kept else text


# (literals one of which must occur in the lower-case text, pattern, replacement or a function that replaces)
_RULES: tuple[tuple[tuple[str, ...], re.Pattern[str], str | Callable[[str], str]], ...] = (
    (
        ("://",),
        re.compile(r"(://)(?:[^\s/:@]{0,256}:[^\s/]{1,256}|[^\s/:@]{16,256})@"),
        rf"\1{MARK}@",
    ),
    (("hooks.slack.com/",), re.compile(r"(?i)(hooks\.slack\.com/[a-z]{1,20}/)[\w/-]{8,200}"), rf"\1{MARK}"),
    (("/webhooks/",), re.compile(r"(?i)(/webhooks/\d{10,25}/)[\w-]{20,200}"), rf"\1{MARK}"),
    (
        ("token", "secret", "passw", "passphrase", "key", "credential", "authorization"),
        _NAMED,
        _hide_named,
    ),
    (("bearer",), re.compile(r"(?i)\b(bearer[ \t]{1,4})(?!\[)[\w.~+/=-]{8,}"), rf"\1{MARK}"),
    (("cookie",), re.compile(r"(?i)\b((?:set-)?cookie[ \t]{0,4}:[ \t]{0,4})[^\r\n]+"), rf"\1{MARK}"),
    ((":",), re.compile(r"(?<!\d)\d{6,12}:[A-Za-z0-9_-]{30,64}(?![A-Za-z0-9_-])"), MARK),  # Telegram
    (("xox", "xapp-"), re.compile(r"(?i)(?<![a-z0-9])(?:xox[a-z]|xapp)-[a-z0-9-]{8,}"), MARK),  # Slack
    (
        ("sk-", "gsk_", "ghp_", "gho_", "ghs_", "ghu_", "ghr_", "github_pat_", "glpat-", "hf_"),
        re.compile(r"(?i)(?<![a-z0-9])(?:sk-|gsk_|gh[oprsu]_|github_pat_|glpat-|hf_)[a-z0-9_-]{16,}"),
        MARK,
    ),
    (("akia", "asia"), re.compile(r"(?<![A-Z0-9])A(?:KI|SI)A[A-Z0-9]{16}(?![A-Z0-9])"), MARK),
    (("aiza",), re.compile(r"(?<![A-Za-z0-9_-])AIza[A-Za-z0-9_-]{35}"), MARK),
    (("eyj",), re.compile(r"(?<![\w-])eyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]*)?"), MARK),  # JSON web tokens
    (
        (".",),
        re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{23,28}\.[A-Za-z0-9_-]{6,7}\.[A-Za-z0-9_-]{27,40}(?![A-Za-z0-9_-])"),
        MARK,
    ),  # Discord
)


def redact(text: str, literals: Iterable[str] = ()) -> str:
    """Return `text` with every secret replaced; `literals` are exact values known to be secret (shorter than 4: ignored).

    The text may hold several lines; no rule crosses a line end, so redacting lines one by one gives the same.
    """
    for literal in literals:
        if len(literal) >= _SHORTEST_LITERAL and literal in text:
            text = text.replace(literal, MARK)
    lowered = text.lower()
    for needed, pattern, replacement in _RULES:
        for literal in needed:
            if literal in lowered:
                text = pattern.sub(replacement, text) if isinstance(replacement, str) else replacement(text)
                break
    return text
