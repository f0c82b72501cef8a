"""Buttons, edits and files on networks that readers pull from: the console says them in words, web.sock hands them on as they are."""

from __future__ import annotations

import contextlib
import io

import pytest
from tests.connectors.webrig import Peer

from processsupervisor import Bot, Button, Edit, File, Message, Reply
from processsupervisor.bot.service import Service
from processsupervisor.connectors.console import ConsoleConnector
from processsupervisor.connectors.web import WebConnector
from processsupervisor.storage.database import BotDatabase
from processsupervisor.testing.lawengine import until


def make_bot() -> Bot:
    bot = Bot()
    bot.options = {"about": "A program."}

    @bot.command("vote")
    async def vote(message: Message) -> Reply:
        return Reply("Pizza?", buttons=[[Button("Yes", "vote:yes"), Button("No", "vote:no")], [Button("Menu", url="https://example.org")]])

    @bot.button("vote")
    async def voted(message: Message, choice: str) -> Edit:
        return Edit(f"Pizza: {choice}", buttons=[[Button("Again", "vote:again")]])

    @bot.button("quiet")
    async def quiet(message: Message) -> None: ...

    @bot.command("report")
    async def report(message: Message) -> Reply:
        return Reply("Here it is.", files=[File(b"all well", name="report.txt")])

    @bot.on_message
    async def echo(message: Message) -> str:
        return f"heard {message.text}"

    return bot


@contextlib.asynccontextmanager
async def serving(connector, folder):
    """Serve the bot to a connector, on the data in a folder."""
    service = Service(make_bot(), BotDatabase(folder / "bot.db"), [connector])
    await service.start()
    try:
        yield service
    finally:
        await service.stop(5.0)


async def typed(tmp_path, lines: str) -> str:
    """Return what a console shows whose input is piped."""
    screen = io.StringIO()
    console = ConsoleConnector(io.StringIO(lines), screen, folder=tmp_path)
    async with serving(console, tmp_path) as service:
        await until(console.ended.is_set, "the end of input")
        await service.pump.wait_quiet()
    return screen.getvalue()


async def test_a_console_numbers_buttons_takes_numbers_and_words_and_says_what_changed(tmp_path):
    """Lines that were piped ahead press what their turn finds there; an edit is a new text."""
    assert await typed(tmp_path, "/vote\n2\nagain\nYes\n") == (
        "A program.\nPizza?\n[1] Yes  [2] No\n[Menu] https://example.org\nPizza: no\n[1] Again\nPizza: again\n[1] Again\nheard Yes\n"
    )


async def test_a_console_knows_the_buttons_of_a_life_before(tmp_path):
    """They stand in its database."""
    await typed(tmp_path, "/vote\n")
    assert await typed(tmp_path, "yes\n") == "Pizza: yes\n[1] Again\n"


async def test_a_console_tells_where_a_file_is(tmp_path):
    """By its name, and the path that it was kept under."""
    *_, line = (await typed(tmp_path, "/report\n")).splitlines()
    name, path = line.split(" ", 1)
    assert name == "[report.txt]" and path.startswith(str(tmp_path))
    with open(path, "rb") as file:
        assert file.read() == b"all well"


@pytest.fixture
async def peer(tmp_path):
    path = tmp_path / "web.sock"
    async with serving(WebConnector(path), tmp_path):
        made = await Peer(path).connect()
        made.send(op="subscribe", conversation="default", after=None)
        yield made
        await made.close()


async def answer(peer: Peer, message_id: str, text: str, **more) -> dict:
    peer.send(op="post", id=message_id, text=text, conversation="default", **more)
    return await peer.wait(lambda line: line.get("reply_to") == message_id and line["final"])


async def test_events_carry_buttons_and_a_press_names_its_message(peer):
    """What was edited since, and what is not the latest, can still be pressed by its data; what is typed goes by the latest."""
    shown = await answer(peer, "m1", "/vote")
    assert shown["text"] == "Pizza?" and "edits" not in shown
    assert shown["buttons"] == [
        [{"label": "Yes", "data": "vote:yes"}, {"label": "No", "data": "vote:no"}], [{"label": "Menu", "url": "https://example.org"}]
    ]  # fmt: skip
    edit = await answer(peer, "m2", "no")
    assert (edit["text"], edit["edits"], edit["buttons"]) == ("Pizza: no", shown["id"], [[{"label": "Again", "data": "vote:again"}]])
    assert (await answer(peer, "m3", "hello")).keys() == {"op", "seq", "id", "reply_to", "text", "final"}
    edit = await answer(peer, "m4", "Yes", press={"message": shown["id"], "data": "vote:yes"})
    assert (edit["text"], edit["edits"]) == ("Pizza: yes", shown["id"])


async def test_the_history_has_what_was_said_and_what_was_shown(peer):
    """A page that is opened anew shows the labels that were pressed, not their data, and the buttons again."""
    shown = await answer(peer, "m1", "/vote")
    await answer(peer, "m2", "Yes", press={"message": shown["id"], "data": "vote:yes"})
    await answer(peer, "m3", "/report")
    peer.send(op="history", conversation="default", limit=10)
    rows = (await peer.op("history"))["messages"]
    assert [row["text"] for row in rows if row["from"] == "contact"] == ["/vote", "Yes", "/report"]
    statement, first, edit, report = [row for row in rows if row["from"] == "bot"]
    assert "buttons" not in statement and first["buttons"] == shown["buttons"] and edit["edits"] == shown["id"]
    assert [(file["name"], file["mime"]) for file in report["files"]] == [("report.txt", "text/plain")]


async def test_who_waits_hears_that_there_is_no_reply(peer):
    """A press is answered by nothing more often than not."""
    peer.send(op="post", id="m1", text="Quiet", conversation="default", press={"message": "r1", "data": "quiet"})
    await peer.op("unanswered", id="m1")
    await answer(peer, "m2", "hello")
    assert [line["id"] for line in peer.lines if line["op"] == "unanswered"] == ["m1"]


@pytest.mark.parametrize("press", [{}, {"message": "r1"}, {"message": 1, "data": "x"}, [], "r1"])
async def test_a_press_that_is_none_is_refused(peer, press):
    """Nothing is handled."""
    peer.send(op="post", id="m1", text="Yes", conversation="default", press=press)
    assert (await peer.op("refused", id="m1"))["code"] == "protocol"
