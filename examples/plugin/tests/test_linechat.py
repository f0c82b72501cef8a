"""The connector keeps the law; responder and store in a Lab. Run it where the package is installed: python -m pytest"""

import contextlib
import json

from server import LineChatRig, Server

from processsupervisor import Bot
from processsupervisor.testing import Lab
from processsupervisor.testing.connectorlaw import ConnectorLaw
from processsupervisor.testing.lawrig import Ability


class TestLaw(ConnectorLaw):
    """LineChat has rooms, keys and acknowledgements; no groups, buttons, edits or files."""

    abilities = frozenset(
        {Ability.KEEPS, Ability.REPEATS, Ability.ACKNOWLEDGES, Ability.ROOMS, Ability.REOPENS, Ability.SENDS, Ability.KEYS}
    )

    @contextlib.asynccontextmanager
    async def rig(self, folder):
        server = Server()
        await server.open()
        try:
            yield LineChatRig(server)
        finally:
            await server.close()


def test_the_responder_answers_what_no_command_does():
    bot = Bot()
    bot.use_responder("eliza", mood="curious")

    @bot.command("ping")
    async def ping(message):
        return "pong"

    with Lab(bot) as lab:
        lab.say("I am tired.")
        lab.sees("why do you say: you are tired?")
        lab.say("/ping")
        lab.sees("pong")


def test_the_store_keeps_values_in_a_file():
    bot = Bot()
    prices = bot.use_store("jsonfile", file="prices.json")

    @bot.command("price")
    async def price(message, of: str, cents: int):
        await prices.set(of, cents)
        return f"{of}: {cents}"

    @bot.command("prices")
    async def known(message):
        return ", ".join([f"{key} {await prices.get(key)}" for key in await prices.keys()])

    with Lab(bot) as lab:
        lab.say("/price tea 120")
        lab.restart()
        lab.say("/price cake 300")
        lab.say("/prices")
        lab.sees("cake 300, tea 120")
        assert json.loads((lab.folder / "prices.json").read_text()) == {"tea": 120, "cake": 300}
