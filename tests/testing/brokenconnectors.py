"""Console, web and Telegram broken on purpose, each class in one way, said in its docstring."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from processsupervisor.connectors.base import ErrorKind, NetworkError
from processsupervisor.connectors.console import ConsoleConnector
from processsupervisor.connectors.telegram.connector import TelegramConnector
from processsupervisor.connectors.web import WebConnector
from processsupervisor.connectors.websession import WebSession
from processsupervisor.storage.records import NO_EXTRAS


class BadPort:
    """Stands before a port; `accept` changes what goes through."""

    def __init__(self, port):
        self._port = port

    def __getattr__(self, name):
        return getattr(self._port, name)


class HastyPort(BadPort):
    """Says that a message is committed when it is not."""

    def accept(self, incoming):
        self._port.accept(incoming)
        future = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future


class RenamingPort(BadPort):
    """Gives each message a new id."""

    count = 0

    def accept(self, incoming):
        self.count += 1
        return self._port.accept(replace(incoming, id=f"own{self.count}"))


class HashingPort(BadPort):
    """Takes what a message says for its id."""

    def accept(self, incoming):
        return self._port.accept(replace(incoming, id=f"h{hash(incoming.text)}"))


class EagerPort(BadPort):
    """Proves a network with each message."""

    def accept(self, incoming):
        self._port.prove(incoming.place.network)
        return self._port.accept(incoming)


class ShoutingPort(BadPort):
    """Takes everything for addressed to the bot."""

    def accept(self, incoming):
        return self._port.accept(replace(incoming, envelope=replace(incoming.envelope, is_addressed=True)))


class CursorlessPort(BadPort):
    """Forgets how far the network was read."""

    def accept(self, incoming):
        return self._port.accept(replace(incoming, cursor=None))


class BlindPort(BadPort):
    """Does not hear that the bot is to end."""

    def end(self, error):
        pass


class Forgetful:
    """Shows a row as often as it comes."""

    def is_news(self, out):
        return True


class Dropping:
    """Shows texts and nothing else."""

    def publish(self, out):
        super().publish(replace(out, extras=NO_EXTRAS))


class Rash:
    """Shows pieces as messages."""

    def publish(self, out):
        super().publish(replace(out, final=True))


class Gluing:
    """Shows of a whole what its last piece had not, whatever that was."""

    length = 0

    def publish(self, out):
        if out.final:
            out, self.length = replace(out, text=out.text[self.length :]), 0
        else:
            self.length = len(out.text)
        super().publish(out)


class Whole:
    """Shows no piece."""

    def publish(self, out):
        if out.final:
            super().publish(out)


class Swapping:
    """Holds every second row back until the next one."""

    held = None

    def publish(self, out):
        if out.final and self.held is None and out.id.startswith("r8"):
            self.held = out
            return
        super().publish(out)
        if self.held is not None:
            held, self.held = self.held, None
            super().publish(held)


class Short:
    """Shows the first hundred characters."""

    def publish(self, out):
        super().publish(replace(out, text=out.text[:100]))


class Undead:
    """Goes on behind its close."""

    async def close(self):
        pass


class Boastful:
    """Claims what it cannot."""

    def __init__(self, *given):
        super().__init__(*given)
        self.capabilities = replace(self.capabilities, typing=not self.capabilities.typing)


class GreedyConsole(ConsoleConnector):
    """Reads on before the line is committed."""

    async def _say(self, line):
        self.task = asyncio.ensure_future(super()._say(line))


class MuteConsole(ConsoleConnector):
    """Does not say what it refuses."""

    def _write(self, text):
        if not text.startswith("(not accepted"):
            super()._write(text)


class BrittleConsole(ConsoleConnector):
    """Fails when nobody reads."""

    def _write(self, text):
        self._target.write(text)


class TypingConsole(ConsoleConnector):
    """Says in a line that it is typing."""

    async def typing(self, place):
        self._write("typing\n")


class DeafSession(WebSession):
    """Does not say what it refuses."""

    def _refuse(self, message_id, err):
        pass


class SkippingSession(WebSession):
    """Begins one row too late."""

    def _subscribe(self, request):
        after = request.get("after")
        WebSession._subscribe(self, request if after is None else request | {"after": after + 1})

    _requests = WebSession._requests | {"subscribe": _subscribe}


class RepeatingSession(WebSession):
    """Begins one row too early."""

    def _subscribe(self, request):
        after = request.get("after")
        WebSession._subscribe(self, request if not after else request | {"after": after - 1})

    _requests = WebSession._requests | {"subscribe": _subscribe}


class LonelyWeb(WebConnector):
    """Serves the newest reader alone."""

    def subscribe(self, session, conversation):
        self._readers[conversation] = {session}


class MixingWeb(WebConnector):
    """Shows every conversation to everybody."""

    def publish(self, out):
        for conversation in list(self._readers):
            super().publish(replace(out, id=f"{out.id}-{conversation}", place=out.place._replace(conversation=conversation)))


class StubbornTelegram(TelegramConnector):
    """Tries a failed send again by itself."""

    async def send(self, out):
        try:
            return await super().send(out)
        except NetworkError:
            return await super().send(out)


class DoublingTelegram(TelegramConnector):
    """Sends everything twice, to be sure."""

    async def send(self, out):
        await super().send(out)
        return await super().send(out)


class SureTelegram(TelegramConnector):
    """Claims to know what it cannot."""

    async def send(self, out):
        try:
            return await super().send(out)
        except NetworkError as err:
            err.is_uncertain = False
            raise


class SimpleTelegram(TelegramConnector):
    """Takes every error for one that passes."""

    async def send(self, out):
        try:
            return await super().send(out)
        except NetworkError as err:
            raise NetworkError(ErrorKind.TRANSIENT, err.message) from err


class PoorTelegram(TelegramConnector):
    """Sends texts and nothing else, and says that it can all."""

    async def send(self, out):
        return await super().send(replace(out, extras=NO_EXTRAS))

    def publish(self, out):
        pass

    async def typing(self, place):
        pass


def behind(kind, port):
    """Return a connector class that is opened on a bad port."""

    class Opened(kind):
        async def open(self, given):
            await super().open(port(given))

    return Opened


def of(kind, *faults):
    """Return a connector class with these faults."""
    return type(f"Broken{kind.__name__}", (*faults, kind), {})


def speaking(session):
    """Return a web connector class whose connections speak so."""

    class Speaking(WebConnector):
        def _new_session(self):
            return session(self, self._port)

    return Speaking
