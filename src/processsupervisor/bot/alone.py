"""`bot.run()`: the bot alone on a console, without a fleet, on every platform.

Its state lies in `.psv-console/FILE/bot.db` beside the file; one console at a time may have it. End of input waits until
every message is answered; Ctrl-C ends at once, and the next run takes up what was left.
"""

from __future__ import annotations

import asyncio
import getpass
import logging
import sys
import traceback
from pathlib import Path
from typing import Any, cast

from processsupervisor.bot.definition import Definition
from processsupervisor.bot.service import Service
from processsupervisor.connectors.console import ConsoleConnector
from processsupervisor.kernel.errors import PsvError
from processsupervisor.storage.database import BotDatabase

_STOP_S = 5.0
STATE_FOLDER = ".psv-console"


def state_path(main_file: str | None) -> Path:
    """Return where the console state of a file lies; of no file (an interactive session): in the present folder."""
    file = Path(main_file).absolute() if main_file else Path.cwd() / "bot.py"
    return file.parent / STATE_FOLDER / file.stem / "bot.db"


def run_alone(bot: Definition) -> None:
    """Run until end of input or Ctrl-C. Ends the process with 1 and one line when the state cannot be used."""
    main_file = getattr(sys.modules.get("__main__"), "__file__", None)
    path = state_path(main_file)
    bot.name = path.parent.name
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_serve(bot, path))
    except PsvError as err:
        sys.exit(f"{bot.name}: {err}")
    except KeyboardInterrupt:
        sys.exit(130)


async def _serve(bot: Definition, path: Path) -> None:
    database = BotDatabase(path, exclusive=True)
    console = ConsoleConnector(sender=_user())
    if cast(Any, sys.stdin).isatty():
        print(f"{bot.name} listens. Ctrl-D or Ctrl-C ends.", flush=True)
    try:
        await database.next_due_at()  # opens the file now: a second console, or a folder that cannot be written, ends here
        service = Service(bot, database, [console], retry_after_s=())  # an author wants to see an error once, now
        service.pump.answering.show_error = traceback.print_exception
        await service.start()
        service.begin()
        try:
            await console.ended.wait()
            await service.pump.wait_quiet()
        finally:
            await service.stop(_STOP_S)
    finally:
        await database.close()


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "console"
