"""Thirty files in the manner of real ones, all adopted into one fleet: it runs, and every program goes on until it is told to end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from functools import reduce
from pathlib import Path

import pytest
from tests.adopt.samples import ALL, TELEGRAM_TOKEN, write
from tests.cli.conftest import Psv
from tests.cli.test_up import end
from tests.supervisor.live import eventually

SITE = {
    # Doubles of libraries: what the programs of the samples call, and nothing of a network.
    "aiogram.py": "import asyncio, logging\nclass Bot:\n    def __init__(self, token): self.token = token\n"
    "class Dispatcher:\n    async def start_polling(self, bot):\n        logging.getLogger('aiogram').info('Run polling for bot @x')\n        await asyncio.sleep(3600)\n",
    "discord.py": "import time\nclass Client:\n    def __init__(self, **more): pass\n    def run(self, token): assert token == 'abc'; time.sleep(3600)\n",
    "dotenv.py": "def load_dotenv(): pass\n",
    "telethon.py": "class TelegramClient:\n    def __init__(self, name, number, text): import time; assert (number, text) == (12, 'h'); time.sleep(3600)\n",
    "telebot.py": "import time\nclass TeleBot:\n    def __init__(self, token): pass\n    def infinity_polling(self): time.sleep(3600)\n",
    "flask.py": "import socket, time\nclass Flask:\n    def __init__(self, name): pass\n    def run(self, host, port):\n"
    "        listener = socket.create_server((host, port)); time.sleep(3600)\n",
}


@pytest.fixture(scope="module")
def venv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the doubles in it."""
    folder = tmp_path_factory.mktemp("venv") / "v"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    [site] = folder.glob("lib/python*/site-packages")
    for name, text in SITE.items():
        (site / name).write_text(text)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_all_samples_run(psv: Psv, tmp_path: Path, venv: Path) -> None:
    """Five of each kind in one fleet: adopted at one stroke, ready, with their environments and folders, ended by down."""
    folder, given, expected = tmp_path / "fleet", list[str](), 0
    folder.mkdir(exist_ok=True)
    (folder / "fleet.toml").unlink(missing_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    number, secret = TELEGRAM_TOKEN.split(":")
    for index, sample in enumerate(ALL):  # a token each: of one token psv lets only one bot run
        marks = {"8123": port, number: str(int(number) + index), "{python}": f"{venv}/bin/python"}
        files = {name: reduce(lambda text, mark: text.replace(mark, marks[mark]), marks, text) for name, text in sample.files.items()}
        given += write(sample._replace(files=files), tmp_path / sample.name)
        expected += len(sample.bots)
    for script in [*tmp_path.glob("py-*/*.py"), *tmp_path.glob("py-*/*/*.py"), *tmp_path.glob("*/main.py"), *tmp_path.glob("*/*/main.py")]:
        if not (script.parent / ".venv").is_symlink():
            (script.parent / ".venv").symlink_to(venv)
    more = {"API_ID": "12", "API_HASH": "h", "REGION": "eu", "PATH": f"{venv}/bin:{os.environ['PATH']}"}
    done = psv("adopt", "--allow-js", *given, cwd=folder, env=more)
    assert done.returncode == 0, done.stderr
    assert secret not in done.stdout + done.stderr + (folder / "fleet.toml").read_text()
    try:
        assert psv("up", "--detach", cwd=folder, env=more).returncode == 0
        bots: list[dict[str, str]] = []

        def is_up() -> bool:
            bots[:] = json.loads(psv("ls", "--json", cwd=folder).stdout)
            return all(bot["state"] in ("RUNNING", "STOPPED") for bot in bots)

        try:
            eventually(is_up, "every bot is ready", 45)
        finally:
            late = [bot["name"] for bot in bots if bot["state"] not in ("RUNNING", "STOPPED")]
            if late:
                print(psv("ls", cwd=folder).stdout, psv("logs", *late, cwd=folder).stdout)
        off = {bot["name"] for bot in bots if bot["state"] == "STOPPED"}
        assert off == {"piped", "tool"}, "those that are started on demand"
        assert len(bots) == expected
        assert psv("start", *sorted(off), cwd=folder).returncode == 0
        assert psv("down", cwd=folder).returncode == 0
    finally:
        end(folder, psv)
