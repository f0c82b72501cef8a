"""A user's test in the Lab: two messages, a restart and an hour that passes. Prints JSON; the goal is less than 0.1 s a test.

    python benchmarks/bench_lab.py [--times 20]

The first run, which imports and makes what a test run makes once, is given apart.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

from processsupervisor import Bot, Message
from processsupervisor.testing import Lab

bot = Bot()


@bot.on_message
async def echo(message: Message) -> str:
    return f"echo {message.text}"


def once() -> float:
    """Return how many seconds one test takes."""
    began = time.perf_counter()
    with Lab(bot) as lab:
        lab.say("hi")
        lab.sees("echo hi")
        lab.restart()
        lab.clock.advance("1h")
        lab.say("bye")
        lab.sees("echo bye")
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=20)
    first, taken = once(), sorted(once() for _ in range(parser.parse_args().times))
    times = {"first_s": first, "median_s": statistics.median(taken), "worst_s": taken[-1]}
    print(json.dumps({name: round(value, 4) for name, value in times.items()} | {"goal_s": 0.1}))


if __name__ == "__main__":
    main()
