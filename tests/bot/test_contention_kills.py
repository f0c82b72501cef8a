"""Many conversations change one value of a real bot process that is killed with SIGKILL meanwhile."""

from __future__ import annotations

import random
import time

import pytest

COUNTER = """
    import asyncio
    from processsupervisor import Bot, ask
    bot = Bot()

    @bot.on_message
    async def count(message):
        total = await bot.store.get("total", 0) + 1
        await asyncio.sleep(0)
        await bot.store.set("total", total)
        return f"number {total}"

    @bot.command("join")
    async def join(message):
        total = await bot.store.get("total", 0) + 1
        await bot.store.set("total", total)
        said = await ask(f"number {total}?")
        return f"{said} of {await bot.store.append('said', said)}"
    """
CONVERSATIONS = [f"c{number}" for number in range(24)]


@pytest.mark.slow
@pytest.mark.parametrize("text", ["hello", "/join"])
def test_what_many_change_at_once_is_counted_once_each_over_kills(start_bot, text):
    """Every conversation has its own number, none is left out, although the bot dies twice with all of them at work."""
    bot = start_bot(COUNTER)
    client = bot.client()
    for conversation in CONVERSATIONS:
        assert client.post("m1", text, conversation)["op"] == "accepted"
    client.close()
    for _ in range(2):  # a third death over one message would be its last
        time.sleep(random.uniform(0.0, 0.02))  # the moment of the death is what varies
        bot.kill()
        bot.start()
    numbers = []
    for conversation in CONVERSATIONS:
        client = bot.client()
        client.subscribe(conversation, after=0)
        seen = [client.read_until(lambda line: line["op"] == "event" and line["final"])["text"] for _ in range(2)]
        client.close()
        numbers.append(int(seen[1].split()[1].rstrip("?")))
    assert sorted(numbers) == list(range(1, len(CONVERSATIONS) + 1))
