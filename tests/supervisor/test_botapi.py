"""An unmodified Telegram bot behind the proxy, in a real fleet: what is killed loses no message, and the bot never has its token."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet, eventually

from processsupervisor.kernel.files import read_json
from processsupervisor.testing.botapi.server import BotApi

TOKEN = "123456:AAtherealtokenthatnobodysees"
EXAMPLE = Path(__file__).parents[2] / "examples" / "unchanged" / "aiogram-bot" / "main.py"


@pytest.mark.slow
def test_what_dies_loses_no_message_and_the_bot_never_has_its_token(fleet: LiveFleet) -> None:
    """Messages that come while the bot, the web process, or both are dead are answered; the real token is not in the bot's memory,

    although it stands in fleet.toml as it is.
    """
    with BotApi() as api:
        crowd = api.bot(TOKEN)
        shutil.copy(EXAMPLE, fleet.folder / "main.py")
        fleet.configure(
            f"""
            [bots.anna]
            script = "main.py"
            restart = {{ initial = "0s", base = "0.1s" }}
            telegram_proxy = {{ token = "{TOKEN}", url_env = "TELEGRAM_API", url = "{api.url}" }}
            """,
            web=True,
        )
        fleet.up()
        crowd.says("hello")
        crowd.wait_for("You said: hello", 30)
        anna = fleet.bot("anna")["pid"]
        environment = Path(f"/proc/{anna}/environ").read_bytes()
        assert TOKEN.encode() not in environment and _memory_holds(anna, b"123456:psv_")
        assert not _memory_holds(anna, TOKEN.partition(":")[2].encode())
        for number, victims in enumerate((["anna"], ["web"], ["anna", "web"])):
            web = read_json(fleet.paths.run / "web.json")["pid"]
            for victim in victims:
                os.kill(fleet.bot("anna")["pid"] if victim == "anna" else web, signal.SIGKILL)
            for part in range(3):
                crowd.says(f"m{number}.{part}")
            for part in range(3):
                crowd.wait_for(f"You said: m{number}.{part}", 30)
        assert set(crowd.times_shown().values()) <= {1, 2}
        assert api.known(TOKEN).conflicts <= 2  # the poll of a web process that was killed may not have been missed yet
        eventually(lambda: fleet.bot("anna")["state"] == "RUNNING", "anna runs")


def _memory_holds(pid: int, needle: bytes) -> bool:
    """Tell whether the writable memory of a process holds some bytes."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for line in maps:
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if found is None:
                continue
            start, end = (int(group, 16) for group in found.groups())
            try:
                memory.seek(start)
                if needle in memory.read(end - start):
                    return True
            except OSError:
                continue
    return False
