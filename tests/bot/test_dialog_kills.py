"""Dialogs of a real bot process that is killed with SIGKILL in the middle of them."""

from __future__ import annotations

import random
import time

import pytest

SURVEY = """
    from processsupervisor import Bot, ask
    bot = Bot()

    @bot.command("go")
    async def go(message):
        said = []
        for number in range(4):
            said.append(await ask(f"question {number}", timeout="1h"))
            await message.store.append("said", said[-1])
        return f"{' '.join(said)} {await message.store.get('said') == said}"
    """
CONVERSATIONS = [f"c{number}" for number in range(12)]


@pytest.mark.slow
def test_answers_that_meet_a_kill_are_heard_once(start_bot):
    """Twelve people answer while the bot is killed four times: each sees every question once, in order, and its answers at the end."""
    bot = start_bot(SURVEY)
    for number, text in enumerate(["/go", "a0", "a1", "a2", "a3"]):
        client = bot.client()
        for conversation in CONVERSATIONS:
            answer = client.post(f"m{number}", text, conversation)
            assert answer["op"] == "accepted"
        client.close()
        if number < 4:
            time.sleep(random.uniform(0.0, 0.05))
            bot.kill()
            bot.start()
    client = bot.client()
    for conversation in CONVERSATIONS:
        client.subscribe(conversation, after=0)
        seen = [client.read_until(lambda line: line["op"] == "event" and line["final"])["text"] for _ in range(6)]
        assert seen[1:] == ["question 0", "question 1", "question 2", "question 3", "a0 a1 a2 a3 True"]
    client.close()
