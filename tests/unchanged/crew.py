"""The seven bots of examples/unchanged beside doubles of their networks: what each needs to run, and how each shows that it works.

Used by the tests and by the benchmark, under psv and under any other supervisor: nothing here knows who runs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.doubles.discord import Discord
from tests.doubles.irc import Irc
from tests.doubles.telegram import Telegram

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "unchanged"


@dataclass(frozen=True)
class Kind:
    """One of the seven. `ready` and `stop_signal` are what its operator writes down for it, if anything."""

    name: str
    network: str
    has_loop: bool
    """It runs asyncio in its main thread."""
    ready: str = ""
    stop_signal: str = "TERM"
    ends_with: int | str = 0
    """Its exit code after `stop_signal`, or the signal that it dies of."""


KINDS = (
    Kind("aiogram-bot", "telegram", True, ready='{ log = "Run polling for bot" }'),
    Kind("ptb-bot", "telegram", True, ready='{ log = "Application started" }'),
    Kind("discord-bot", "discord", True, ready='{ log = "connected to Gateway" }', stop_signal="INT"),
    Kind("asyncio-bot", "irc", True, ready='{ log = "^joined" }'),
    Kind("threads-bot", "telegram", False, ready='{ log = "is up with" }'),
    Kind("loop-bot", "telegram", False, ready='{ log = "is listening" }', stop_signal="INT"),
    Kind("flask-bot", "telegram", False, ready="{{ tcp = {port} }}", ends_with="SIGTERM"),
)


@dataclass
class Networks:
    """The three doubles."""

    telegram: Telegram = field(default_factory=Telegram)
    discord: Discord = field(default_factory=Discord)
    irc: Irc = field(default_factory=Irc)

    def of(self, kind: Kind) -> Telegram | Discord | Irc:
        networks: dict[str, Telegram | Discord | Irc] = {"telegram": self.telegram, "discord": self.discord, "irc": self.irc}
        return networks[kind.network]

    def environment(self, kind: Kind, number: int, unused_port: Callable[[], int]) -> dict[str, str]:
        """Return what the `number`-th copy of a kind needs in its environment, or in its .env."""
        token = self.token(kind, number)
        match kind.network:
            case "discord":
                return {"DISCORD_TOKEN": token, **self.discord.environment}
            case "irc":
                return {"IRC_HOST": "127.0.0.1", "IRC_PORT": str(self.irc.port), "IRC_NICK": f"bot{number}", "IRC_PASSWORD": token}
        found = {"BOT_TOKEN": token, "TELEGRAM_API": self.telegram.url}
        if kind.name == "flask-bot":
            found |= {"PORT": str(unused_port()), "WEBHOOK_SECRET": f"hook-{number}"}
        return found

    @staticmethod
    def token(kind: Kind, number: int) -> str:
        """Return the network token of a copy: of the shape that the network gives out, and known to no network."""
        place = 100 * (1 + [k.name for k in KINDS].index(kind.name)) + number
        match kind.network:
            case "discord":
                return f"MTIzNDU2Nzg5MDEyMzQ1N{place}.GabcdE." + "discordtokenofthetest" + "x" * 10
            case "irc":
                return f"word-of-{place}"
        return f"{place}456789:" + "AAtelegramtokenofthetest" + "x" * 11

    def answers(self, kind: Kind, number: int, text: str, timeout_s: float) -> None:
        """Have a person write `text` to a copy and wait for its answer; TimeoutError says what came instead."""
        network, token = self.of(kind), self.token(kind, number)
        network.say(token, text)
        network.wait_for(token, f"You said: {text}", timeout_s)


@contextmanager
def networks() -> Iterator[Networks]:
    """Run the doubles."""
    found = Networks()
    with ExitStack() as stack:
        for one in (found.telegram, found.discord, found.irc):
            stack.enter_context(one)
        yield found
