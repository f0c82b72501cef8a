"""What handlers may answer, and what the person on the other side is shown of it."""

from __future__ import annotations

import pytest

from processsupervisor import Bot, Button, Edit, File, Message, Reply, Router
from processsupervisor.bot.collecting import MAX_REPLIES, MAX_REPLY_CHARS
from processsupervisor.bot.handlers import OLD_BUTTON
from processsupervisor.chat.settings import FAILED
from processsupervisor.kernel.errors import UsageError
from processsupervisor.storage.records import Markup
from processsupervisor.testing import Lab


def bot_that(answer) -> Bot:
    """Return a bot whose only handler answers what the function returns."""
    bot = Bot()

    @bot.on_message
    async def handler(message):
        return answer()

    return bot


def test_several_answers_are_several_messages():
    """A list in its order; of a generator the texts between two replies are one message each."""
    bot = bot_that(lambda: ["one", Reply("two"), "three"])

    @bot.command("gen")
    async def gen(message):
        yield "a"
        yield "b"
        yield Reply("whole")
        yield "c"

    with Lab(bot) as lab:
        lab.say("hi")
        assert lab.you.shown[1:] == ["one", "two", "three"]
        lab.say("/gen")
        assert lab.you.shown[4:] == ["ab", "whole", "c"]
        lab.restart()
        assert len(lab.you.shown) == 7, "each was shown once"


def test_a_reply_has_markup_buttons_files_and_may_quote(tmp_path):
    """They reach the network as they were given; the file is deleted from where it came, and is sent all the same."""
    path = tmp_path / "chart.png"
    path.write_bytes(b"\x89PNG picture")

    def answer():
        buttons = [[Button("Yes", "vote:yes"), Button("No", "vote:no")], [Button("More", url="https://example.org")]]
        return Reply("*look*", markup="markdown", buttons=buttons, files=[File(path), File(b"1;2", name="data.csv")], quote=True)

    with Lab(bot_that(answer)) as lab:
        lab.say("hi")
        shown = lab.sees("*look*").value
    assert shown.buttons == [["Yes", "No"], ["More"]] and shown.extras.markup is Markup.MARKDOWN and shown.extras.quotes
    assert [(file.name, file.mime, file.content) for file in shown.files] == [
        ("chart.png", "image/png", b"\x89PNG picture"), ("data.csv", "text/csv", b"1;2")
    ]  # fmt: skip
    assert [file.kind for file in shown.extras.files] == ["photo", "document"]


def test_a_pressed_button_is_answered_by_an_edit_and_acknowledged():
    """The message changes, its buttons too; a press without an answer is acknowledged all the same."""
    bot, router = Bot(), Router()
    bot.include(router)

    @bot.on_message
    async def ask(message):
        return Reply("Well?", buttons=[[Button("Yes", "vote:yes:1"), Button("Quiet", "quiet")]])

    @router.button("vote")
    async def vote(message: Message, choice: str):
        assert message.about
        return Edit(f"You chose {choice}", buttons=[[Button("Again", "vote:again")]])

    @router.button("quiet")
    async def quiet(message): ...

    with Lab(bot) as lab:
        lab.say("hi")
        asked = lab.sees("Well?").value
        lab.press("Quiet")
        assert len(lab.network.acknowledged) == 1
        lab.press("Yes")
        edited = lab.sees("You chose yes:1").value
        assert edited is asked and edited.is_edited and edited.buttons == [["Again"]]
        lab.press("Again")
        lab.sees("You chose again")
        assert len(lab.network.acknowledged) == 3 and len(lab.you.chat.messages) == 2


def test_a_press_of_a_button_that_nobody_knows_is_acknowledged():
    """The wheel on the person's screen ends, and the person hears why nothing happens."""
    bot = bot_that(lambda: Reply("Well?", buttons=[[Button("Old", "gone:1")]]))
    with Lab(bot) as lab:
        lab.say("hi")
        lab.sees("Well?")
        lab.press("Old")
        lab.sees(OLD_BUTTON)
        assert len(lab.network.acknowledged) == 1


def test_edits_files_and_rooms_have_handlers_of_their_own():
    """An edit without one is heard by nobody."""
    bot = Bot()

    @bot.on_message
    async def handler(message):
        return f"text {message.text}"

    with Lab(bot) as lab:
        lab.say("hi")
        lab.sees("text hi")
        lab.you.edits("ho")
        lab.you.sees_nothing()

    @bot.on_edit
    async def edited(message):
        return f"edited to {message.text}"

    @bot.on_file
    async def file(message):
        return ", ".join(f"{one.kind} {one.name} {one.size_bytes}" for one in message.attachments)

    @bot.on_join
    async def joined(message):
        return "hello everybody"

    with Lab(bot) as lab:
        lab.say("hi")
        lab.you.edits("ho")
        lab.sees("edited to ho")
        lab.you.sends(b"abc", "note.txt", text="look")
        lab.sees("document note.txt 3")
        group = lab.group("friends")
        group.adds_bot()
        group.sees("hello everybody")


def endless():
    return ["again"] * (MAX_REPLIES + 1)


@pytest.mark.parametrize(
    "answer",
    [lambda: 7, lambda: b"bytes", lambda: ["a", 7], lambda: {"a": 1}, object, lambda: Edit("x"), endless, lambda: Reply(7)],  # type: ignore[arg-type]
)
def test_what_is_no_answer_is_a_dead_letter_at_once(answer):
    """Trying again cannot help; nothing of it is shown but the apology."""
    with Lab(bot_that(answer)) as lab:
        lab.say("hi")
        assert lab.you.shown[1:] == [FAILED]
        [letter] = lab.letters
        assert letter.reason == "bad-reply" and letter.attempts == 1


async def test_what_a_generator_yields_is_looked_at_too():
    """Bytes among the pieces, and an Edit where no button was pressed."""
    bot = Bot()

    @bot.on_message
    async def handler(message):
        yield "text"
        yield b"bytes" if message.text == "bytes" else Edit("x")

    async with Lab(bot) as lab:
        for word in ("bytes", "edit"):
            await lab.say(word)
        assert [letter.reason for letter in lab.letters] == ["bad-reply"] * 2


def test_a_reply_of_ten_megabytes_is_cut():
    """As one text and in pieces; the bot goes on."""
    bot = bot_that(lambda: "x" * 10_000_000)

    @bot.command("pieces")
    async def pieces(message):
        for _ in range(100):
            yield "y" * 100_000

    with Lab(bot) as lab:
        for text in ("hi", "/pieces"):
            lab.say(text)
        shown = "".join(lab.you.shown[1:])
        assert shown.count("x") == shown.count("y") == MAX_REPLY_CHARS - 1 and shown.count("…") == 2


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Button(""), "needs a label"),
        (lambda: Button("Yes"), "needs data or a url"),
        (lambda: Button("Yes", "a", url="https://example.org"), "not both"),
        (lambda: Button("Yes", "ü" * 33), "more than 64 bytes"),
        (lambda: Reply("x", buttons=[Button("Yes", "yes")]), "rows of buttons"),
        (lambda: Reply("  "), "a text or files"),
        (lambda: Reply("x", files=["report.pdf"]), "list of File"),
        (lambda: File(b"x"), "needs a name"),
        (lambda: File(7), "not of int"),
        (lambda: File(b"x", name="/"), "no name"),
    ],
)
def test_what_cannot_be_shown_is_refused_where_it_is_made(make, said):
    """With a way out."""
    with pytest.raises(UsageError, match=said):
        make()


def test_a_message_that_answers_none_has_all_that_a_reply_has():
    """From a handler, committed with its reply, and from outside of one."""
    bot = Bot()
    files = Reply("look", buttons=[[Button("Yes", "yes")]], files=[File(b"x", name="a.txt")])

    @bot.on_message
    async def handler(message: Message):
        await bot.send("memory", "ada", files)
        return "sent"

    with Lab(bot) as lab:
        ada = lab.person("ada")
        lab.say("hi")
        assert lab.letters[0].reason == "error", "without her consent"
        ada.says("/start")
        lab.say("hi")
        lab.sees("sent")
        assert ada.sees("look").value.files[0].content == b"x" and ada.last.buttons == [["Yes"]]
        lab.run(bot.send("memory", "ada", files))
        assert ada.sees("look").value.files[0].content == b"x" and len(ada.shown) == 4


def test_names_of_files_are_names():
    """A path in a name is none on the other side."""
    assert File(b"x", name="../../etc/passwd").name == "passwd" and File("/tmp/a.pdf").mime == "application/pdf"


def test_a_file_that_is_not_there_or_too_large_fails_its_message():
    """The contact gets the apology; nothing is left behind."""
    with Lab(bot_that(lambda: Reply(files=[File("/nowhere/at all.pdf")])), chat={"retries": 0}) as lab:
        lab.say("hi")
        assert lab.you.shown[1:] == [FAILED]
    with Lab(bot_that(lambda: Reply("look", files=[File(b"x" * 2000, name="a.bin")])), chat={"retries": 0, "max_file": "1KB"}) as lab:
        lab.say("hi")
        assert lab.you.shown[1:] == [FAILED] and lab.letters[0].reason == "error"


@pytest.mark.parametrize(("answer", "found"), [(b"x", "bytes"), (["a", b"x"], "list with bytes"), (3, "int")])
def test_the_log_says_what_was_answered_and_where(answer, found, caplog):
    """Place, found and expected, and no part of the value."""
    bot = bot_that(lambda: answer)
    with Lab(bot) as lab:
        lab.say("hi")
        (letter,) = lab.letters
    line = bot.registry.named("message").function.__code__.co_firstlineno
    assert f"returned {found}, expected None, str, Reply" in caplog.text and f"test_reply.py:{line}" in caplog.text
    assert f"returned {found}, expected" in letter.detail and "b'x'" not in caplog.text


def test_what_is_yielded_and_no_reply_is_told_with_the_generator(caplog):
    bot = Bot()

    @bot.on_message
    async def pieces(message):
        yield "a"
        yield b"x"

    with Lab(bot) as lab:
        lab.say("hi")
        lab.sees(FAILED)
    assert f"test_reply.py:{pieces.__code__.co_firstlineno} yielded bytes, expected str, Reply or Edit" in caplog.text


@pytest.mark.parametrize("piece", ["", "x" * 10_000])
def test_a_generator_that_never_ends_and_waits_for_nothing_is_given_up(piece):
    """No deadline could end it: only what takes its pieces can."""
    bot = Bot()

    @bot.on_message
    async def endless(message):
        while message.text == "endless":
            yield piece
        yield "short"

    with Lab(bot) as lab:
        lab.say("endless")
        lab.sees(FAILED)
        assert "yielded more than" in lab.letters[0].detail
        lab.say("hi")
        lab.sees("short")


def test_who_presses_a_button_that_does_not_fit_is_not_told_to_write_a_command(caplog):
    """The button is of an older version, or wrong: that is the author's to see."""
    bot = bot_that(lambda: Reply("Vote:", buttons=[[Button("Yes", "vote:yes")]]))

    @bot.button("vote")
    async def vote(message, number: int):
        return str(number)

    with Lab(bot) as lab:
        lab.say("hi")
        lab.press("Yes")
        lab.sees(OLD_BUTTON)
    assert f'does not fit the parameters of @bot.button("vote"), defined at {__file__}' in caplog.text
