"""The commands on the fleet as a whole (`fleet.*`): declarations, and the handlers of those that psvd carries out."""

from __future__ import annotations

from processsupervisor.commands.command import Arg, Command
from processsupervisor.commands.ports import Emit, FleetPort


async def status(port: FleetPort, emit: Emit) -> object:
    """Return the fleet's own processes, a count of bots per state, and notes."""
    return await port.status()


async def down(port: FleetPort, emit: Emit, *, timeout_s: float | None) -> object:
    """Stop every bot and the fleet; `wanted` stays as it is."""
    return await port.down(timeout_s, emit)


async def watch(port: FleetPort, emit: Emit) -> object:
    """Stream a snapshot and then every transition until the fleet is down."""
    await port.watch(emit)
    return None


async def events(
    port: FleetPort, emit: Emit, *, names: list[str], type: str | None, follow: bool, limit: int | None, after: str | None
) -> object:
    """Stream kept events, and with `follow` what comes."""
    chosen = port.select(names, type) if names or type is not None else None
    if limit is None and after is None:
        limit = 50
    await port.events(chosen, emit, after=after, limit=limit, is_followed=follow)
    return None


async def rollout(port: FleetPort, emit: Emit, *, names: list[str], type: str | None, batch: int | None) -> object:
    """Restart running bots through fresh zygotes, in batches gated on ready."""
    return await port.rollout(port.select(names, type), batch, emit)


async def hand_over(port: FleetPort, emit: Emit, *, names: list[str]) -> object:
    """Let a new psvd read the applied settings, if the bots `names` rest."""
    return port.hand_over(names)


async def wait(port: FleetPort, emit: Emit, *, timeout_s: float) -> object:
    """Wait until every wanted bot is ready or has failed."""
    return await port.wait(timeout_s)


COMMANDS = (
    Command("fleet.init", "Make a small fleet with one bot", (
        Arg("folder", "text", None, "Where (default: here)", positional=True),
        Arg("template", "text", "echo", "echo: a bot that says what you say; telegram-echo: the same on Telegram; "
            "web-faq: it answers from Markdown files, on a page; script: an ordinary main.py",
            choices=("echo", "telegram-echo", "web-faq", "script")),
    ), "admin", place="client", verbs=("init",)),
    Command("fleet.adopt", "Carry what runs elsewhere (main.py, supervisord, pm2, systemd, Procfile, compose) over into fleet.toml", (
        Arg("paths", "names", (), "Files, or folders that hold one"),
        Arg("dry_run", "flag", False, "Print what would be written", option=("--dry-run",)),
        Arg("allow_js", "flag", False, "Let node run an ecosystem file that is a program, to read it", option=("--allow-js",)),
        Arg("check", "flag", False, "Find the fleet's programs that run elsewhere, and how to stop them there", option=("--check",)),
        Arg("wrap", "flag", False, "Rename one main.py to bot.py, and have a new main.py run it under psv", option=("--wrap",)),
        Arg("program", "text", None, "With --wrap: what the program is called then (default: bot.py)", option=("--as",)),
        Arg("unwrap", "flag", False, "Take --wrap back: main.py is the program again", option=("--unwrap",)),
    ), "admin", place="client", verbs=("adopt",), json=True),
    Command("fleet.up", "Start the fleet and every bot that is wanted", (
        Arg("detach", "flag", False, "Return when the fleet answers; it goes on in the background", option=("-d", "--detach")),
        Arg("wait", "flag", False, "With --detach: return when all bots are ready", option=("--wait",)),
        Arg("timeout_s", "duration", 60.0, "With --detach: how long to wait", most=86400.0),
    ), "admin", place="client", stream=True, verbs=("up",)),
    Command("fleet.run", "Run one Python file in the foreground, supervised; or the fleet beside it", (
        Arg("file", "text", None, "The file (default: main.py)", positional=True),
        Arg("words", "names", (), "Arguments of the program, behind --"),
        Arg("mode", "text", "single", "single: this file alone; multi: the fleet.toml beside it; auto: multi where there is one",
            choices=("auto", "single", "multi")),
        Arg("fallback", "flag", False, "With --mode auto: when fleet.toml cannot be used, run the file alone, and say so",
            option=("--fallback",)),
    ), "admin", place="client", stream=True, verbs=("run",)),
    Command("fleet.dev", "Work on a bot, or on the fleet of a folder: it runs in the foreground, and what you save is restarted", (
        Arg("path", "text", None, "A Python file, or a folder with a fleet.toml (default: here)", positional=True),
    ), "admin", place="client", stream=True, verbs=("dev",)),
    Command("fleet.down", "Stop all bots and the fleet; what is wanted stays, for the next up. Given again, it hastens the first", (
        Arg("timeout_s", "duration", None, "How long bots may take before they are killed (default: [fleet] down_timeout)", most=86400.0),
    ), "admin", down, stream=True, verbs=("down",)),
    Command("fleet.upgrade", "Run the installed psv in place of the one that runs, without touching a bot", (
        Arg("bots", "flag", False, "Then restart the bots, a few at a time, each gated on ready", option=("--bots",)),
        Arg("timeout_s", "duration", 120.0, "How long to wait for psv's own processes", most=86400.0),
    ), "admin", place="client", verbs=("upgrade",)),
    Command("fleet.status", "Show the fleet: its own processes, bots per state, notes", (), "view", status, verbs=("status",), json=True),
    Command("fleet.check", "Check fleet.toml and name every mistake with its place", (), "view", place="client",
            verbs=("check", "config check"), json=True),
    Command("fleet.top", "Watch the bots on one screen, with their logs, and act on them", (
        Arg("names", "names", (), "Names or globs of bots (default: all)"),
        Arg("type", "text", None, "Only bots of this type"),
        Arg("every_s", "duration", 2.0, "How often the figures are renewed", least=0.5, most=3600.0),
    ), "operate", place="client", stream=True, verbs=("top",)),
    Command("fleet.doctor", "Name what this machine lacks for the fleet and what happens instead", (
        Arg("online", "flag", False, "Try every network token and model key of the bots at its server too"),
        Arg("base_url", "text", None, "With --online: ask elsewhere, as in telegram=http://127.0.0.1:8081,openai=http://127.0.0.1:8000/v1"),
        Arg("timeout_s", "duration", 10.0, "With --online: how long a server may take for an answer", most=600.0),
    ), "view", place="client", verbs=("doctor",), json=True),
    Command("fleet.list", "List the fleets of this user that run", (), "view", place="client", verbs=("fleets",), json=True),
    Command("fleet.watch", "Stream every state change", (), "view", watch, stream=True),
    Command("fleet.events", "List what happened in the fleet, and follow what happens", (
        Arg("names", "names", (), "Names or globs of bots (default: everything, psv itself included)"),
        Arg("type", "text", None, "Only bots of this type"),
        Arg("follow", "flag", False, "Go on with what happens from now, over every restart of psvd", option=("-f", "--follow")),
        Arg("limit", "integer", None, "The newest N (default: 50), not beside --after", option=("-n", "--limit"), least=0, most=20_000),
        Arg("after", "text", None, "Only what came after the event with this seq"),
    ), "view", events, stream=True, verbs=("events",), json=True),
    Command("fleet.rollout", "Restart running bots through fresh zygotes, in batches; stop at the first that does not become ready", (
        Arg("names", "names", (), "Names or globs of bots (default: all)"),
        Arg("type", "text", None, "Only bots of this type"),
        Arg("batch", "integer", None, "Bots a batch after the first (default: a tenth of them)", least=1, most=10_000),
    ), "admin", rollout, stream=True),
    Command("fleet.hand-over", "Take over the settings in data/fleet.json: psvd ends, and the next one reads them and adopts every bot", (
        Arg("names", "names", (), "Only if these bots do not run"),
    ), "admin", hand_over),
    Command("fleet.wait", "Wait until all wanted bots are ready or have failed", (
        Arg("timeout_s", "duration", 60.0, "How long", most=86400.0),
    ), "view", wait),
)
