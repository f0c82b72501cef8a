"""A responder that answers out of Markdown documents: it quotes the best passage, cites `file#heading`, or says that it does not know.

Finding is docindex.py's; what is here decides whether the best section answers the question at all, and which lines of it to quote.
Nothing is generated: every quoted line stands in the file that is cited. Files are looked at again at every question.
"""

from __future__ import annotations

import asyncio
import math
import re
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from processsupervisor.chat.docindex import DocumentIndex, Found
from processsupervisor.chat.stopwords import STOPWORDS

MAX_WORDS = 32
"""More content words than this in a question are not looked at."""
MAX_QUOTE_CHARS = 700
CANDIDATES = 12
KNOWN_COVERAGE = 0.55
"""An answer holds at least this share of the question's content words, each weighted by how rare it is in the documents."""
KNOWN_SCORE = 0.5
"""... and reaches this score: coverage, halved at most for a rank below the best one's and a heading about something else."""

_WORD = re.compile(r"\w+(?:[-_.]\w+)*")
_SENTENCE_END = re.compile(r"(?<=[.!?]) ")
_UNKNOWN = "I do not know: my documents do not say."


@dataclass(frozen=True, slots=True)
class Answer:
    """What the documents say. `score` is 0 to 1; an unknown answer cites nothing."""

    text: str
    citations: tuple[str, ...]
    score: float
    known: bool


class Texted(Protocol):
    """What a responder needs of a message."""

    @property
    def text(self) -> str: ...


class Documents:
    """Answers from all Markdown files below `roots` (folders or single files), which may change at any time. Thread-safe."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = list(roots)
        self._index: DocumentIndex | None = None
        self._lock = threading.Lock()

    def answer(self, question: str) -> Answer:
        """Answer from the files as they are now; takes milliseconds, more when many are new. Raises StorageError."""
        with self._lock:
            if self._index is None:
                self._index = DocumentIndex(self._roots)
            sections = self._index.refresh()
            weights = self._weights(self._index, question, sections)
            return self._choose(self._index, weights)

    @staticmethod
    def _weights(index: DocumentIndex, question: str, sections: int) -> dict[str, tuple[float, set[int]]]:
        weights: dict[str, tuple[float, set[int]]] = {}
        for word in content_words(question):
            rows = index.rows_with(word)
            weights[word] = (math.log(1 + (sections - len(rows) + 0.5) / (len(rows) + 0.5)), rows)
        return weights

    @staticmethod
    def _choose(index: DocumentIndex, weights: dict[str, tuple[float, set[int]]]) -> Answer:
        total = sum(weight for weight, _ in weights.values())
        best: tuple[float, float, Found] | None = None
        if total > 0:
            found = index.best(list(weights), CANDIDATES)
            top = max((section.rank for section in found), default=0.0)
            for section in found:
                coverage = sum(weight for weight, rows in weights.values() if section.rowid in rows) / total
                closeness = 0.7 * (section.rank / top if top > 0 else 1.0) + 0.3 * _asked_part(section.heading, list(weights))
                score = coverage * (0.5 + 0.5 * closeness)
                if best is None or score > best[0]:
                    best = (score, coverage, section)
        if best is None:
            return Answer(_UNKNOWN, (), 0.0, False)
        score, coverage, section = best
        if coverage < KNOWN_COVERAGE or score < KNOWN_SCORE:
            return Answer(_UNKNOWN, (), score, False)
        words = {word: weight for word, (weight, _) in weights.items()}
        quote = passage(section.text, words) or section.heading
        lines = "\n".join(f"> {line}".rstrip() for line in quote.splitlines())
        return Answer(f"{lines}\n\nFrom `{section.citation}`", (section.citation,), score, True)


def responder(roots: Sequence[Path]) -> Callable[[Texted], Coroutine[None, None, str]]:
    """Return a message handler that answers from `roots`: `bot.on_message(responder([Path("docs")]))`."""
    documents = Documents(roots)

    async def answer(message: Texted) -> str:
        # In a thread, so that the bot's loop goes on while files are read.
        return (await asyncio.to_thread(documents.answer, message.text)).text

    return answer


def content_words(question: str) -> list[str]:
    """Return the words of `question` that carry meaning, lower-cased, each once, at most MAX_WORDS."""
    words = dict.fromkeys(word.lower() for word in _WORD.findall(question))
    return [word for word in words if word not in STOPWORDS][:MAX_WORDS]


def _asked_part(heading: str, words: Sequence[str]) -> float:
    """Return how much of a heading the question asked for: a section that is about nothing else is the better answer."""
    in_heading = content_words(heading)
    asked = [word for word in in_heading if any(_stem(word) in other or _stem(other) in word for other in words)]
    return len(asked) / len(in_heading) if in_heading else 0.0


def passage(text: str, weights: dict[str, float]) -> str:
    """Return the block of `text` that holds most of the weighted words, with its neighbour where it needs one to be understood.

    A block that ends in a colon takes the next one along, a code block the one before it.
    At most some MAX_QUOTE_CHARS, from the line or sentence that holds most on.
    """
    blocks = _blocks(text)
    if not blocks:
        return ""
    scores = [_weight_of(block, weights) for block in blocks]
    at = scores.index(max(scores))
    first, last = at, at
    if _is_code(blocks[at]) and at > 0:
        first = at - 1
    if blocks[at].endswith(":") and at + 1 < len(blocks):
        last = at + 1
    return _cut("\n\n".join(blocks[first : last + 1]), weights)


def _blocks(text: str) -> list[str]:
    blocks: list[list[str]] = [[]]
    fence = ""
    for line in text.splitlines():
        if fence:
            blocks[-1].append(line)
            if line.strip().startswith(fence):
                fence = ""
        elif not line.strip():
            blocks.append([])
        else:
            blocks[-1].append(line)
            if line.lstrip().startswith(("```", "~~~")):
                fence = line.lstrip()[:3]
    return [(" " if _is_prose(lines) else "\n").join(lines) for lines in blocks if lines]


def _is_prose(lines: Sequence[str]) -> bool:
    """Tell whether the line ends of a block mean nothing: whoever shows it wraps it to its own width."""
    return not any(line.startswith((" ", "\t", "|", "-", "*", "+", ">", "`", "~")) or line[:1].isdigit() for line in lines)


def _is_code(block: str) -> bool:
    return block.lstrip().startswith(("```", "~~~"))


def _weight_of(block: str, weights: dict[str, float]) -> float:
    lowered = block.lower()
    return sum(weight for word, weight in weights.items() if _stem(word) in lowered)


def _stem(word: str) -> str:
    """Return a prefix that most forms of `word` share; only to choose lines, the index has the real stemmer."""
    return word if len(word) < 5 or not word.isalpha() else word[: max(4, len(word) - 3)]


def _cut(quote: str, weights: dict[str, float]) -> str:
    if len(quote) <= MAX_QUOTE_CHARS:
        return quote
    joint = "\n" if "\n" in quote else " "
    lines = quote.splitlines() if joint == "\n" else _SENTENCE_END.split(quote)
    scores = [_weight_of(line, weights) for line in lines]
    at = scores.index(max(scores))
    if quote.startswith("|") and at > 1:
        lines = [*lines[:2], *lines[at:]]  # a table's head belongs to each of its rows
        at = 0
    kept: list[str] = []
    for line in lines[at:]:
        if kept and sum(map(len, kept)) + len(line) > MAX_QUOTE_CHARS:
            break
        kept.append(line[:MAX_QUOTE_CHARS])
    return joint.join(kept)
