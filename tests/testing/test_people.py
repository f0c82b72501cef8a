"""What people can do in the Lab besides talking: groups, buttons, files, edits, blocking the bot; and what the network does to sends."""

from __future__ import annotations

import re

import pytest

from processsupervisor import Bot, Button, Reply
from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.testing import Lab


@pytest.fixture
def bot():
    made = Bot()

    @made.on_message
    async def echo(message):
        return f"echo {message.text}"

    @made.command("poll")
    async def poll(message):
        return Reply("Tea?", buttons=[[Button("Yes", "vote:yes"), Button("No", "vote:no")]])

    @made.button("vote")
    async def vote(message, choice: str):
        return f"{message.sender} says {choice}"

    @made.on_file
    async def got(message):
        (file,) = message.attachments
        content = await file.read()
        return f"{file.name} has {len(content)} bytes, {message.text}"

    @made.on_edit
    async def edited(message):
        return f"you mean {message.text}"

    @made.command("slow")
    async def slow(message):
        yield "one "
        yield "two"

    return made


def test_a_group_is_told_once_and_answered_when_it_speaks_to_the_bot(lab):
    """What people say to each other is not answered; a mention, a command and an answer to the bot are."""
    team = lab.group("team")
    team.adds_bot()
    team.sees("program")
    ada, bob = team.person("ada"), team.person("bob")
    ada.says("lunch?")
    team.sees_nothing()
    ada.says("@bot lunch?")
    first = team.sees("echo").value
    bob.says("and dinner?", to=first)
    team.sees("echo and dinner?")
    bob.says("/poll")
    team.sees("Tea?")
    assert sum("program" in text for text in team.shown) == 1


def test_buttons_are_pressed_by_their_label(lab):
    """Anybody who sees them may; the press is acknowledged."""
    team = lab.group("team")
    team.adds_bot()
    team.person("ada").says("/poll")
    assert team.last.buttons == [["Yes", "No"]]
    team.person("bob").presses("No")
    team.sees("bob says no")
    assert len(lab.network.acknowledged) == 1
    with pytest.raises(AssertionError, match="there are: Yes, No"):
        team.person("bob").presses("Perhaps")


def test_a_file_comes_in(lab):
    """With its name and the text under it."""
    lab.you.sends(b"x" * 100_000, "big.bin", text="look")
    lab.sees("big.bin has 100000 bytes, look")


def test_an_edit_is_of_the_last_message(lab):
    """As the author's handler gets it."""
    lab.say("teh")
    lab.you.edits("the")
    lab.sees("you mean the")


def test_what_cannot_be_read_is_answered(lab):
    """A sticker gets a sentence of the core."""
    lab.you.sends_unreadable("sticker")
    lab.sees("cannot read")


def test_text_can_be_looked_for_by_pattern(lab):
    """Where it is not the same each time."""
    lab.say("hi 17")
    assert lab.you.sees(re.compile(r"hi \d+")).value.text == "echo hi 17"


def test_a_streamed_reply_is_one_message(lab):
    """Its pieces are drafts."""
    lab.say("hi")  # the statement of a program, which comes first, is sent
    lab.say("/slow")
    lab.sees("one two")
    assert lab.network.drafts and len(lab.you.shown) == 3


def test_a_rate_limit_is_kept_to_the_second(lab):
    """Not earlier than the network said; the order stays."""
    lab.say("hi")
    lab.sees("echo hi")
    lab.network.fail(ErrorKind.RATE, retry_after_s=30)
    lab.say("one")
    lab.say("two")
    lab.you.sees_nothing()
    lab.clock.advance(29)
    lab.you.sees_nothing()
    lab.clock.advance(2)
    assert lab.you.shown[-2:] == ["echo one", "echo two"]


def test_a_network_that_fails_is_tried_again(lab):
    """And a rate limit of one conversation holds up no other."""
    ada, bob = lab.person("ada"), lab.person("bob")
    ada.says("hi")
    bob.says("hi")
    lab.network.fail(ErrorKind.TRANSIENT, at=ada.chat.place)
    ada.says("one")
    bob.says("two")
    bob.sees("echo two")
    assert ada.shown[-1] == "echo hi"
    lab.clock.advance("1m")
    ada.sees("echo one")


def test_a_person_who_blocks_the_bot_gets_nothing_until_it_is_spoken_to(lab):
    """Nothing is sent in vain, and a new word makes up."""
    lab.say("/start")
    lab.you.leaves()
    seen = len(lab.you.shown)
    lab.clock.advance("1h")
    assert len(lab.you.shown) == seen
    lab.say("hi again")
    lab.sees("echo hi again")


@pytest.mark.parametrize("kind", [ErrorKind.AUTH, ErrorKind.CONFLICT])
def test_a_network_that_takes_the_bot_no_longer_ends_it(lab, kind):
    """What a fleet would end its process by is told; nothing is taken any more."""
    lab.say("hi")
    lab.sees("echo hi")
    lab.network.deny(NetworkError(kind, "memory: no"))
    lab.say("anybody there?")
    lab.you.sees_nothing()
    assert lab.ended_by is not None and lab.ended_by.kind is kind


def test_a_refused_token_ends_the_start(bot):
    """As in a fleet, where the bot ends with 77."""
    with Lab(bot) as lab:
        lab.network.unknown = NetworkError(ErrorKind.AUTH, "memory: the token is refused")
        with pytest.raises(NetworkError, match="refused"):
            lab.say("hi")
