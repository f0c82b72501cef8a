"""The commands on bots (`bot.*`): their declarations and their handlers against FleetPort.

A verb on several bots runs for all at once, so that no bot waits for another, and answers one result per bot; a refusal of
one bot is its result and not the failure of the call. `bot.logs` and `bot.chat` are carried out by the client.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from processsupervisor.commands.command import Arg, Command
from processsupervisor.commands.ports import Emit, FleetPort
from processsupervisor.kernel.errors import PsvError, UsageError

SIGNALS = ("HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP", "WINCH")
"""What `bot.signal` may send; the names are those of signal(7) without SIG."""

_MOST_DUMPED = 400_000
"""Characters of all dumps of one answer together, which is one line of at most 1 MiB."""

_Verb = Callable[[str, bool, float], Awaitable[dict[str, object]]]

NAMES = Arg("names", "names", (), "Names or globs of bots")
TYPE = Arg("type", "text", None, "Only bots of this type")
WAIT = Arg("wait", "flag", True, "Wait until it is done", option=("--wait/--no-wait",))
TIMEOUT = Arg("timeout_s", "duration", 60.0, "How long to wait", most=86400.0)
NO_DEPS = Arg("no_deps", "flag", False, "Do not wait for the bots that depends_on names", option=("--no-deps",))


async def list_bots(port: FleetPort, emit: Emit, *, names: list[str], type: str | None) -> object:
    """Return the bot objects of `names`."""
    return [port.describe(name) for name in port.select(names, type)]


async def status(port: FleetPort, emit: Emit, *, names: list[str], type: str | None) -> object:
    """Return the detailed objects of `names`."""
    return [port.detail(name) for name in port.select(names, type)]


async def start(
    port: FleetPort, emit: Emit, *, names: list[str], type: str | None, wait: bool, timeout_s: float, no_deps: bool
) -> object:
    """Want the bots up and start them."""
    return await for_each(port, partial(port.start, no_deps=no_deps), _chosen(port, names, type), wait, timeout_s)


async def stop(port: FleetPort, emit: Emit, *, names: list[str], type: str | None, wait: bool, timeout_s: float) -> object:
    """Want the bots down and stop them."""
    return await for_each(port, port.stop, _chosen(port, names, type), wait, timeout_s)


async def restart(
    port: FleetPort, emit: Emit, *, names: list[str], type: str | None, wait: bool, timeout_s: float, no_deps: bool
) -> object:
    """Stop and start the bots: same settings, the code on disk."""
    return await for_each(port, partial(port.restart, no_deps=no_deps), _chosen(port, names, type), wait, timeout_s)


async def pause(port: FleetPort, emit: Emit, *, names: list[str], type: str | None, wait: bool, timeout_s: float) -> object:
    """Let the bots finish what they began and take nothing new."""
    return await for_each(port, port.pause, _chosen(port, names, type), wait, timeout_s)


async def resume(port: FleetPort, emit: Emit, *, names: list[str], type: str | None, wait: bool, timeout_s: float) -> object:
    """End a pause."""
    return await for_each(port, port.resume, _chosen(port, names, type), wait, timeout_s)


async def signal(port: FleetPort, emit: Emit, *, names: list[str], type: str | None, signal: str) -> object:
    """Send one signal to the bots' processes."""

    async def send(name: str, wait: bool, timeout_s: float) -> dict[str, object]:
        port.signal(name, signal)
        return {"name": name, "ok": True, "state": _state(port, name), "message": f"sent SIG{signal}", "code": "ok"}

    return await for_each(port, send, _chosen(port, names, type), False, 0.0)


async def dump(port: FleetPort, emit: Emit, *, names: list[str], type: str | None) -> object:
    """Ask the bots what each of their threads and tasks is doing now."""

    async def ask(name: str, wait: bool, timeout_s: float) -> dict[str, object]:
        return await port.dump(name)

    rows = await for_each(port, ask, _chosen(port, names, type), True, 0.0)
    share = _MOST_DUMPED // (2 * max(1, len(rows)))
    for row, what in ((row, what) for row in rows for what in ("stacks", "tasks")):
        text = row.get(what)
        if isinstance(text, str) and len(text) > share:
            row[what] = text[:share] + "\n... cut; ask for fewer bots at once"
    return rows


async def history(port: FleetPort, emit: Emit, *, names: list[str], type: str | None, limit: int) -> object:
    """Return the newest `limit` transitions and exits of the bots together, oldest first, then a row with the uptime of each."""
    import asyncio  # as in for_each

    chosen = port.select(names, type)
    rows: list[dict[str, object]] = []
    shares: list[dict[str, object]] = []
    for name in chosen:
        rows = sorted(rows + port.history(name, limit), key=_at)[-limit:]
        shares.append({"kind": "uptime", "bot": name, **port.uptime(name)})
        await asyncio.sleep(0)  # a month of hundreds of bots takes a while, and others must not wait for it
    return rows + shares


def _at(row: dict[str, object]) -> float:
    at = row.get("at")
    return float(at) if isinstance(at, (int, float)) else 0.0


def _chosen(port: FleetPort, names: list[str], type_name: str | None) -> list[str]:
    if not names and type_name is None:
        raise UsageError("no bot is named", hint="give names, globs such as '*', or --type")
    return port.select(names, type_name)


def _state(port: FleetPort, name: str) -> object:
    return port.describe(name).get("state")


async def for_each(port: FleetPort, verb: _Verb, names: list[str], wait: bool, timeout_s: float) -> list[dict[str, object]]:
    """Carry out `verb` on all bots at once; a refusal of one is its result."""
    import asyncio  # here, because the command line reads this module's declarations and must not pay for it

    async def one(name: str) -> dict[str, object]:
        try:
            return await verb(name, wait, timeout_s)
        except PsvError as error:
            return {"name": name, "ok": False, "state": _state(port, name), "message": str(error), "code": error.code}

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(name)) for name in names]
    return [task.result() for task in tasks]


def _verb(name: str, summary: str, handler: Callable[..., Awaitable[object]], *short: str) -> Command:
    verbs = (f"bot {name}", *short)
    args = (NAMES, TYPE, WAIT, TIMEOUT, *((NO_DEPS,) if handler in (start, restart) else ()))
    return Command(f"bot.{name}", summary, args, "operate", handler, verbs=verbs, json=True)


COMMANDS = (
    Command("bot.list", "List bots with their state", (NAMES, TYPE), "view", list_bots, verbs=("bot list", "ls"), json=True),
    Command("bot.status", "Show bots in detail: last exit, notes, what to do", (NAMES, TYPE), "view", status,
            verbs=("bot status",), json=True),
    _verb("start", "Start bots", start, "start"),
    _verb("stop", "Stop bots; they stay stopped", stop, "stop"),
    _verb("restart", "Restart bots with the code that is on disk", restart, "restart"),
    _verb("pause", "Pause native bots: they finish what they began and take nothing new", pause),
    _verb("resume", "Resume paused bots", resume),
    Command("bot.logs", "Print what bots wrote", (
        NAMES, TYPE,
        Arg("follow", "flag", False, "Go on with what is written from now", option=("-f", "--follow")),
        Arg("lines", "integer", None, "The last N lines of each (default: 100; with --since all)",
            option=("-n", "--lines"), most=10_000_000),
        Arg("since", "text", None, "Only what is newer: a duration such as 10m, or a time"),
        Arg("grep", "text", None, "Only lines that match this regular expression"),
        Arg("generation", "integer", None, "Only lines of this generation (one run of a task)", least=1, most=1 << 53),
    ), "view", place="client", stream=True, verbs=("bot logs", "logs"), json=True),
    Command("bot.errors", "List the tracebacks in the logs of bots, grouped by type and place", (
        NAMES, TYPE, Arg("since", "text", "24h", "Only what is newer: a duration such as 10m, or a time"),
    ), "view", place="client", verbs=("bot errors", "errors"), json=True),
    Command("bot.signal", "Send a signal to bots", (
        Arg("signal", "text", None, "The signal", required=True, option=("-s", "--signal"), choices=SIGNALS), NAMES, TYPE,
    ), "operate", signal, verbs=("bot signal",), json=True),
    Command("bot.dump", "Print what the threads and asyncio tasks of running bots are doing now", (NAMES, TYPE), "operate", dump,
            verbs=("bot dump",), json=True),
    Command("bot.chat", "Talk to a native bot; with TEXT, print its answer", (
        Arg("name", "text", None, "The bot", required=True, positional=True),
        Arg("text", "names", (), "What to say; without it, a conversation, or a message for each line that is piped"),
        Arg("conversation", "text", None, "Conversation to go on with (default: cli-USER)"),
        Arg("timeout_s", "duration", 30.0, "How long to wait for the answer", most=86400.0),
    ), "operate", place="client", stream=True, verbs=("bot chat", "chat")),
    Command("bot.history", "List state changes and exits of bots, and the share of time in which they were up", (
        NAMES, TYPE, Arg("limit", "integer", 50, "At most N rows", option=("-n", "--limit"), least=1, most=10_000),
    ), "view", history, verbs=("bot history",), json=True),
)
