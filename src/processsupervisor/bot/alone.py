"""`bot.run()`: the bot alone on a console, without psv, on every platform; with its section of a fleet.toml when there is one.

Its state lies in `.psv-console/NAME/bot.db` beside the file; one process at a time may have it. End of input waits until
every message is answered; Ctrl-C ends at once, and the next run takes up what was left. A bot with networks is served there too, and
without a terminal only there.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import logging
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, cast

from processsupervisor.bot.definition import Definition
from processsupervisor.bot.plugins import make_connectors
from processsupervisor.bot.section import Section, find_section, lock_tokens
from processsupervisor.bot.service import Service
from processsupervisor.chat.settings import ChatSettings
from processsupervisor.connectors.base import NetworkError
from processsupervisor.connectors.console import ConsoleConnector
from processsupervisor.kernel.errors import PsvError
from processsupervisor.storage.database import BotDatabase

_STOP_S = 5.0
STATE_FOLDER = ".psv-console"


def state_path(main_file: str | None, name: str = "") -> Path:
    """Return where the console state of a file lies, or of a section; of no file (an interactive session): in the present folder."""
    file = Path(main_file).absolute() if main_file else Path.cwd() / "bot.py"
    return file.parent / STATE_FOLDER / (name or file.stem) / "bot.db"


def run_alone(bot: Definition, name: str | None = None) -> None:
    """Run until end of input or Ctrl-C. Ends the process with 1 and one line when settings, state or networks cannot be used."""
    main = sys.modules.get("__main__")
    main_file = getattr(main, "__file__", None)
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        section = find_section(Path(main_file).absolute(), vars(main), bot, name) if main_file else None
        path = state_path(main_file, section.name if section is not None else "")
        bot.name = path.parent.name
        if section is not None:
            bot.options = section.options
            lock_tokens(section)
        asyncio.run(_serve(bot, path, section or Section(bot.name, path.parent)))
    except PsvError as err:
        sys.exit(f"{bot.name}: {err}")
    except KeyboardInterrupt:
        sys.exit(130)


async def _serve(bot: Definition, path: Path, section: Section) -> None:
    database = BotDatabase(path, exclusive=True)
    is_terminal = cast(Any, sys.stdin).isatty()
    networks = make_connectors(section.networks, bot.name, path.parent)
    console = ConsoleConnector(sender=_user(), folder=path.parent) if is_terminal or not networks else None
    if is_terminal:
        print(f"{bot.name} listens. Ctrl-D or Ctrl-C ends.", flush=True)
    try:
        await database.next_due_at()  # opens the file now: a second console, or a folder that cannot be written, ends here
        service = Service(
            bot, database, [*networks, *([console] if console is not None else [])], settings=ChatSettings.from_spec(section.chat),
            retry_after_s=(),  # an author wants to see an error once, now
        )  # fmt: skip
        service.pump.answering.show_error = traceback.print_exception
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        service.pump.ended = lambda err: _end(ended, err)
        with contextlib.suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _end, ended)
        await service.start()
        service.begin()
        try:
            if await _wait(ended, console):
                await service.pump.wait_quiet()
        finally:
            await service.stop(_STOP_S)
    finally:
        await database.close()


def _end(ended: asyncio.Future[None], err: NetworkError | None = None) -> None:
    if ended.done():
        return
    if err is None:
        ended.set_result(None)
    else:
        ended.set_exception(err)


async def _wait(ended: asyncio.Future[None], console: ConsoleConnector | None) -> bool:
    """Wait until the input ends, or the bot is told to; returns whether it was the input. Raises NetworkError when a network ends it."""
    waiting: list[asyncio.Future[Any]] = [ended]
    if console is not None:
        waiting.append(asyncio.ensure_future(console.ended.wait()))
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if ended in done:
        ended.result()
    return ended not in done


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "console"
