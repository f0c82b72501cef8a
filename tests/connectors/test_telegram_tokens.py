"""A token as it stands in a file of secrets, from there to Telegram: what an editor leaves around it, and what it must not be."""

from __future__ import annotations

import pytest
from tests.connectors.telegramrig import TOKEN

from processsupervisor.connectors.telegram import make
from processsupervisor.kernel.errors import PsvError
from processsupervisor.launch.values import resolve_text
from processsupervisor.testing.botapi.server import BotApi

_PLACE = ("networks", "telegram", "token")


def read(folder, content: bytes) -> str:
    """Return what a bot is given for a file with this content."""
    path = folder / "token.txt"
    path.write_bytes(content)
    path.chmod(0o600)
    return resolve_text({"name": "anna", "folder": str(folder), "env_files": []}, _PLACE, "file:token.txt")


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
async def test_the_line_end_of_a_file_is_no_part_of_the_token(api: BotApi, tmp_path, end: str) -> None:
    """Written by echo or by an editor, Telegram gets the token alone."""
    connector = make({"token": read(tmp_path, f"{TOKEN}{end}".encode()), "base_url": api.url}, "anna", tmp_path)
    assert (await connector.identify()).id == "123456"
    await connector.close()
    assert api.tokens == [TOKEN]


@pytest.mark.parametrize(("content", "words"), [
    (f'"{TOKEN}"\n', "token has quotes in it"), (f"'{TOKEN}'", "token has quotes in it"), (f"{TOKEN}\n\n", "a line break around it"),
    (f"{TOKEN[:12]}\n{TOKEN[12:]}\n", "a line break"), (f"BOT_TOKEN={TOKEN}\n", "more around it"), ("", "token is empty")])
def test_what_else_stands_there_is_told_before_telegram_is_asked(tmp_path, content: str, words: str) -> None:
    """With the place and the way out, and without a character of it."""
    with pytest.raises(PsvError) as caught:
        make({"token": read(tmp_path, content.encode())}, "anna", tmp_path)
    assert words in caught.value.message and caught.value.message.startswith("bots.anna.networks.telegram.token")
    assert "BotFather" in caught.value.hint and TOKEN[8:] not in f"{caught.value}{caught.value.hint}"
