"""Laws of what is read out of a Python program: its token however it is configured, and readiness that does come."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.adopt.samples import LOOP, TELEGRAM_TOKEN

from processsupervisor.adopt.reading import read_paths
from processsupervisor.adopt.writing import Plan, make_plan, write_plan

INFO = "import logging\nlogging.basicConfig(level=logging.INFO)\n"


def adopt(folder: Path, text: str, name: str = "x.py") -> tuple[dict[str, Any], Plan]:
    """Adopt one program and return its table with the plan."""
    (folder / name).write_text(text)
    plan = make_plan(folder, "demo", read_paths([str(folder / name)], allow_js=False))
    write_plan(plan)
    return dict(tomllib.loads((folder / "fleet.toml").read_text())["bots"][name.removesuffix(".py")]), plan


@pytest.mark.parametrize(
    ("text", "ready"),
    [
        ("from aiogram import Bot\nawait_ = dp.start_polling(bot)\n" + INFO, "Run polling for bot"),
        ("from aiogram import Bot\ndp.run_polling(bot)\n" + INFO, "Run polling for bot"),
        ("from aiogram import Bot\ndp.start_polling()\n" + INFO, "Start polling"),
        ("from aiogram import Bot, executor\nexecutor.start_polling(dp)\n" + INFO, "Start polling"),
        ("from telegram.ext import Application\napp.run_polling()\n" + INFO, "Application started"),
        ("from telegram.ext import Updater\nupdater.start_polling()\n" + INFO, None),
        ("from aiogram import Bot\nfrom aiohttp import web\nweb.run_app(app, port=8080)\n" + INFO, 8080),
        ("from aiogram import Bot\nfrom aiohttp import web\nif HOOK:\n    web.run_app(app, port=80)\nelse:\n    dp.start_polling(bot)\n" + INFO, None),
        ("from aiogram import Bot\ndp.start_polling(bot)\n" + INFO + "logging.getLogger('aiogram').setLevel(logging.WARNING)\n", None),
        ("from aiogram import Bot\ndp.start_polling(bot)\n" + INFO + "logging.getLogger('httpx').setLevel(logging.WARNING)\n", "Run polling for bot"),
        ("from flask import Flask\napp.run(port=8123)\n", 8123),
    ],
)
def test_readiness_is_only_what_will_come(tmp_path: Path, text: str, ready: str | int | None) -> None:
    """A line or port that may never come would end a healthy bot at its start_timeout, over and over."""
    bot, _ = adopt(tmp_path, text)
    expected = None if ready is None else {"log": ready} if isinstance(ready, str) else {"tcp": ready}
    assert bot.get("ready") == expected


@pytest.mark.parametrize(
    ("text", "env", "lock"),
    [
        ("from decouple import config\nimport telebot\nbot = telebot.TeleBot(config('BOT_TOKEN'))\n", "BOT_TOKEN=a\n", "BOT_TOKEN"),
        ("from environs import Env\nimport aiogram\nenv = Env()\nenv.read_env()\nbot = aiogram.Bot(env.str('BOT_TOKEN'))\n", "BOT_TOKEN=a\n", "BOT_TOKEN"),
        (
            "import aiogram\nfrom pydantic_settings import BaseSettings, SettingsConfigDict\nclass S(BaseSettings):\n    bot_token: str\n"
            "    model_config = SettingsConfigDict(env_file='.env', env_prefix='MY_')\nbot = aiogram.Bot(token=S().bot_token.get_secret_value())\n",
            "my_bot_token=a\n", "my_bot_token",
        ),
    ],
)
def test_token_behind_a_settings_library(tmp_path: Path, text: str, env: str, lock: str) -> None:
    """decouple, environs and pydantic-settings read the .env themselves; psv reads it too, else the lock would have no value."""
    (tmp_path / "s.conf").write_text("[program:x]\ncommand=python x.py\ndirectory=%(here)s\n")
    (tmp_path / "x.py").write_text(text)
    (tmp_path / ".env").write_text(env)
    write_plan(make_plan(tmp_path, "demo", read_paths([str(tmp_path / "s.conf")], allow_js=False)))
    bot = tomllib.loads((tmp_path / "fleet.toml").read_text())["bots"]["x"]
    assert bot["lock"] == [{"env": lock}] and bot["env_file"] == ".env"


def test_token_that_nothing_gives_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock without a value keeps the bot from starting: said before, not at the start."""
    monkeypatch.delenv("SOME_TOKEN", raising=False)
    bot, plan = adopt(tmp_path, "import os, aiogram\nbot = aiogram.Bot(os.environ['SOME_TOKEN'])\n")
    assert bot["lock"] == [{"env": "SOME_TOKEN"}] and "SOME_TOKEN" in bot["inherit"]
    assert any("the token SOME_TOKEN of x" in left.what and "export it before psv up" in left.why for left in plan.left_out)


def test_env_that_builds_values_stays_the_programs(tmp_path: Path) -> None:
    """python-dotenv fills in ${NAME}, psv does not: read by psv, the program would get the text with the dollar."""
    (tmp_path / ".env").write_text("HOST=db\nURL=http://${HOST}/x\n")
    bot, plan = adopt(tmp_path, "from dotenv import load_dotenv\nload_dotenv()\n")
    assert "env_file" not in bot
    assert any(left.place.path.name == ".env" and "${NAME}" in left.why for left in plan.left_out)


@pytest.mark.parametrize("head", [b"\xef\xbb\xbf", b"# -*- coding: latin-1 -*-\n# gr\xfc\xdfe\n"])
def test_source_in_any_encoding_that_python_takes(tmp_path: Path, head: bytes) -> None:
    """A byte order mark, or an encoding that the file names."""
    (tmp_path / "x.py").write_bytes(head + LOOP.encode())
    assert [found.name for source in read_paths([str(tmp_path / "x.py")], allow_js=False) for found in source.programs] == ["x"]


@pytest.mark.parametrize(
    ("line", "is_told"),
    [
        ("MATRIX_TOKEN = 'syt_Ym90_abcdefghij1234567890_0abc12'", True),
        ("client.login(password='abcdefghij0123456789')", True),
        (f"bot = Bot('{TELEGRAM_TOKEN}')", True),
        (f"TOKEN = '{TELEGRAM_TOKEN}'", True),
        ("TOKEN_URL = 'https://example.org/oauth2/token1'", False),
        ("TOKEN_HINT = 'ask for your token in chat 1'", False),
        ("SECRET = 'short1'", False),
    ],
)
def test_tokens_in_the_source_by_name_and_shape(tmp_path: Path, line: str, is_told: bool) -> None:
    """Named with its line once, and never printed."""
    _, plan = adopt(tmp_path, f"import os\n{line}\n")
    told = [left for left in plan.left_out if "token written into the source" in left.what]
    assert [left.place.line for left in told] == ([2] if is_told else [])
    assert "syt_" not in str(told) and TELEGRAM_TOKEN not in str(told)


def test_variables_that_libraries_read(tmp_path: Path) -> None:
    """openai takes its key out of the environment, and no line of the program says so."""
    bot, _ = adopt(tmp_path, "import openai\n")
    assert {"OPENAI_API_KEY", "OPENAI_BASE_URL", "PATH"} <= set(bot["inherit"])


def test_folder_that_nobody_named_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its database may lie in the folder above, where it is started today."""
    _, plan = adopt(tmp_path, LOOP)
    assert any(left.what == "the working folder" for left in plan.left_out)
    monkeypatch.chdir(tmp_path)
    assert read_paths(["x.py"], allow_js=False)[0].left_out == []


def test_port_of_a_procfile(tmp_path: Path) -> None:
    """foreman gives 5000, 5100, … by the order of the lines: to a program that reads PORT, or whose line names it."""
    (tmp_path / "a.py").write_text("import os\nport = os.environ['PORT']\n")
    (tmp_path / "Procfile").write_text("release: true\nweb: python a.py\nraw: exec serve $PORT\nplain: sleep 60\n")
    write_plan(make_plan(tmp_path, "demo", read_paths([str(tmp_path / "Procfile")], allow_js=False)))
    bots = tomllib.loads((tmp_path / "fleet.toml").read_text())["bots"]
    assert [bots[name].get("env") for name in ("web", "raw", "plain")] == [{"PORT": "5100"}, {"PORT": "5200"}, None]
