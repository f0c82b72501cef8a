"""Polls in a group: everybody has one vote, which can be changed until who asked closes the poll.

In a fleet: psv -C examples/poll up; fleet.toml says how it gets to Telegram. Alone, on a console: python examples/poll/bot.py. Its test:
pytest examples/poll.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from processsupervisor import Bot, Button, Contact, Conversation, Edit, Message, Reply, Store

bot = Bot()

MOST_ANSWERS = 8
MOST_CHARS = 60


@dataclass
class Poll:
    """A question with its answers; `votes` maps who voted to the number of an answer."""

    author: str
    question: str
    answers: list[str]
    votes: dict[str, int] = field(default_factory=dict)
    is_open: bool = True


@bot.command("poll")
async def ask_all(message: Message, polls: Store[Poll], contact: Contact, text: str) -> Reply | str:
    """ask everybody, for example /poll Lunch? | Pizza | Soup"""
    question, *answers = [part.strip() for part in text.split("|")]
    answers = [answer for answer in answers if answer]
    if not question or not 2 <= len(answers) <= MOST_ANSWERS:
        return f"Write a question and two to {MOST_ANSWERS} answers: /poll Lunch? | Pizza | Soup"
    if any(len(answer) > MOST_CHARS for answer in answers):
        return f"An answer has at most {MOST_CHARS} characters, for it stands on a button."
    number = len(await polls.keys()) + 1
    poll = Poll(contact.id, question, answers)
    await polls.set(f"poll-{number}", poll)
    return Reply(shown(poll), buttons=buttons(number, poll))


@bot.button("vote")
async def vote(message: Message, polls: Store[Poll], contact: Contact, number: int, answer: int) -> Edit | str:
    poll = await polls.get(f"poll-{number}")
    if poll is None or not poll.is_open or not 0 <= answer < len(poll.answers):
        return "This poll is closed."
    if poll.votes.get(contact.id) == answer:
        del poll.votes[contact.id]
    else:
        poll.votes[contact.id] = answer
    await polls.set(f"poll-{number}", poll)
    return Edit(shown(poll), buttons=buttons(number, poll))


@bot.button("close")
async def close(message: Message, polls: Store[Poll], contact: Contact, number: int) -> Edit | str:
    poll = await polls.get(f"poll-{number}")
    if poll is None or not poll.is_open:
        return "This poll is closed."
    if poll.author != contact.id:
        return "Only who asked can close a poll."
    poll.is_open = False
    await polls.set(f"poll-{number}", poll)
    return Edit(shown(poll))


@bot.on_join
async def hello(message: Message, conversation: Conversation) -> str:
    return f"Hello, {conversation.title}. Ask each other: /poll Lunch? | Pizza | Soup"


def shown(poll: Poll) -> str:
    counts = [sum(vote == number for vote in poll.votes.values()) for number in range(len(poll.answers))]
    lines = [f"{count} × {answer}" for count, answer in zip(counts, poll.answers, strict=True)]
    return "\n".join([poll.question, *lines, f"{len(poll.votes)} voted." if poll.is_open else "Closed."])


def buttons(number: int, poll: Poll) -> list[list[Button]]:
    votes = [[Button(answer, f"vote:{number} {index}")] for index, answer in enumerate(poll.answers)]
    return [*votes, [Button("Close", f"close:{number}")]]


if __name__ == "__main__":
    bot.run()
