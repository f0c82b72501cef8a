"""Laws of processsupervisor.chat.documents: it quotes what stands there, cites where, and says when it does not know."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from processsupervisor.chat.documents import MAX_QUOTE_CHARS, Documents, content_words, passage, responder

HANDBOOK = """\
# Handbook

Welcome to the workshop.

## Opening hours

The workshop opens at nine and closes at five.

On public holidays it stays closed.

## Borrowing tools

Tools can be borrowed for a week. Write your name on the board:

```sh
board add NAME TOOL
```

## Safety

Wear goggles at the lathe.
"""


@dataclass
class Said:
    """A message as far as a responder looks at it."""

    text: str


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """A folder with one handbook."""
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "handbook.md").write_text(HANDBOOK)
    return folder


def test_an_answer_quotes_and_cites(docs: Path) -> None:
    """Every quoted line stands in the section that is cited."""
    answer = Documents([docs]).answer("When does the workshop open?")

    assert answer.known
    assert answer.citations == ("docs/handbook.md#opening-hours",)
    quoted = [line.removeprefix("> ") for line in answer.text.splitlines() if line.startswith("> ")]
    assert quoted == ["The workshop opens at nine and closes at five."]
    assert answer.text.endswith("From `docs/handbook.md#opening-hours`")


@pytest.mark.parametrize("question", ["Who painted the Mona Lisa?", "How do I borrow a car in Paris?", "", "???", "what is it", "the"])
def test_what_the_documents_do_not_say_is_declined(docs: Path, question: str) -> None:
    """An unknown answer cites nothing and says so, also for a question without a content word."""
    answer = Documents([docs]).answer(question)

    assert (answer.known, answer.citations) == (False, ())
    assert "do not know" in answer.text


def test_a_new_word_is_found_at_the_next_question(docs: Path) -> None:
    """A word written into a file counts at once, also in a folder that was empty, and is forgotten with its file."""
    documents = Documents([docs])
    assert not documents.answer("What is a zorblax?").known

    (docs / "new.md").write_text("# News\n\nA zorblax has come.\n")
    assert documents.answer("What is a zorblax?").citations == ("docs/new.md#news",)

    (docs / "new.md").unlink()
    assert not documents.answer("What is a zorblax?").known


def test_one_document_is_enough(tmp_path: Path) -> None:
    """The smallest collection answers too, where every word is in every section and BM25 weighs nothing."""
    (tmp_path / "only.md").write_text("Milk is in the fridge.")

    answer = Documents([tmp_path / "only.md"]).answer("Where is the milk?")

    assert (answer.known, answer.citations) == (True, ("only.md",))


def test_no_documents_know_nothing(tmp_path: Path) -> None:
    """A missing root is no error: it may come later."""
    assert not Documents([tmp_path / "later"]).answer("anything there?").known


async def test_the_responder_answers_beside_the_loop(docs: Path) -> None:
    """Files are read in a thread; many questions at once are answered each by itself."""
    answer = responder([docs])

    replies = await asyncio.gather(*(answer(Said(text)) for text in ["lathe goggles?", "borrow tools?", "Mona Lisa?"] * 5))

    assert ["#safety" in replies[0], "#borrowing-tools" in replies[1], "do not know" in replies[2]] == [True] * 3
    assert replies == replies[:3] * 5


def test_threads_share_documents(docs: Path) -> None:
    """The object may be asked from several threads."""
    documents = Documents([docs])

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(documents.answer, ["When does the workshop open?"] * 40))

    assert {answer.citations for answer in answers} == {("docs/handbook.md#opening-hours",)}


def test_line_ends_inside_prose_are_not_quoted() -> None:
    """A wrapped paragraph is one line, what has lines of its own keeps them."""
    assert passage("the end of\nthis sentence\n\n- other\n- list", {"sentence": 1.0}) == "the end of this sentence"
    assert passage("the end of\nthis sentence\n\n- other\n- list", {"list": 1.0}) == "- other\n- list"


def test_a_quote_takes_along_what_it_needs() -> None:
    """A text that ends in a colon brings the block behind it, a code block the text before it."""
    text = HANDBOOK.partition("## Borrowing tools\n")[2].partition("## Safety")[0]

    for word in ("borrowed", "add"):
        quote = passage(text, {word: 1.0})
        assert quote.startswith("Tools can be borrowed")
        assert quote.endswith("```")


def test_a_quote_is_short() -> None:
    """A long table is quoted from the row asked for, under its head."""
    rows = [f"| row{number} | {'x' * 60} |" for number in range(100)]

    quote = passage("\n".join(["| a | b |", "|---|---|", *rows]), {"row77": 1.0})

    assert len(quote) <= MAX_QUOTE_CHARS + 80
    assert quote.splitlines()[:3] == ["| a | b |", "|---|---|", rows[77]]


def test_a_long_paragraph_is_quoted_from_the_sentence_asked_for() -> None:
    """What is cut off never holds the answer."""
    sentences = [f"Sentence {number} says nothing of interest to anybody." for number in range(40)]
    sentences[30] = "The zorblax sleeps."

    quote = passage(" ".join(sentences), {"zorblax": 1.0})

    assert quote.startswith("The zorblax sleeps.")
    assert len(quote) <= MAX_QUOTE_CHARS + 80


def test_content_words_are_bounded() -> None:
    """A flood of words costs no flood of queries, and no word counts twice."""
    assert content_words("Where are the logs? The LOGS!") == ["logs"]
    assert len(content_words(" ".join(f"word{number}" for number in range(1000)))) == 32
