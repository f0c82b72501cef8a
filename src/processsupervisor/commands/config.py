"""The commands on the configuration (`config.*`): declarations. What the command line carries out itself has no handler here."""

from __future__ import annotations

from processsupervisor.commands.command import Arg, Command

_REASON = Arg("reason", "text", None, "Why, for whoever reads psv config versions")
_NOW = Arg("now", "flag", False, "Wait for ready only: the first bots need not stay healthy before the others follow", option=("--now",))
_BASE = Arg("base", "integer", None, "Only if version N still runs", most=1e9)
_VALUES = Arg("values", "flag", False, "Show the values of env, options and the like too, as far as they do not look like a token",
              option=("--values",))
_TYPE = Arg("type", "text", None, "Of this [types.X], in place of a bot")
_GLOBAL = Arg("all_bots", "flag", False, "Of [global], in place of a bot", option=("--global",))

COMMANDS = (
    Command("config.schema", "Print the JSON Schema of fleet.toml, by which an editor completes and checks it", (), "view",
            place="client", verbs=("config schema",)),
    Command("config.plan", "Show what applying the files would do: to which bots, in which steps, how long; nothing is changed", (
        _NOW,
    ), "view", place="client", verbs=("config plan",), json=True),
    Command("config.diff", "Show key by key how the files differ from the version that runs; or one version from another", (
        Arg("old", "integer", None, "A version (default: that which runs)", positional=True, least=1, most=1e9),
        Arg("new", "integer", None, "Another version (default: that which runs; without the first the files)", positional=True,
            least=1, most=1e9),
        _VALUES,
    ), "view", place="client", verbs=("config diff",), json=True),
    Command("config.reload", "Apply the files as they are: only bots that changed are touched, and a change that fails is taken back", (
        _NOW,
        Arg("again", "flag", False, "Also if this content was rejected before", option=("--again",)),
        _REASON,
        _BASE,
    ), "admin", place="client", stream=True, verbs=("config apply", "config reload", "reload"), json=True),
    Command("config.history", "List the versions of the configuration, the newest last", (
        Arg("limit", "integer", 20, "The newest N", option=("-n", "--limit"), least=1, most=10_000),
    ), "view", place="client", verbs=("config versions",), json=True),
    Command("config.show", "Show a version of the configuration", (
        Arg("number", "integer", None, "The version (default: that which runs)", positional=True, least=1, most=1e9),
        Arg("source", "flag", False, "Its files, as they were written", option=("--source",)),
        _VALUES,
    ), "view", place="client", verbs=("config show",), json=True),
    Command("config.return", "Run an earlier version again; the files stay as they are, and what they say counts as rejected", (
        Arg("number", "integer", None, "The version", required=True, positional=True, least=1, most=1e9),
        _NOW,
        _REASON,
        _BASE,
    ), "admin", place="client", stream=True, verbs=("config rollback",), json=True),
    Command("config.set", "Set a value while the fleet runs, stronger than every file, until it is taken back", (
        Arg("target", "text", None, "The bot; none with --type or --global", required=True, positional=True),
        Arg("key", "text", None, "The key as in fleet.toml, such as log_level or options.greeting", required=True, positional=True),
        Arg("value", "text", None, "The value as in fleet.toml; a text needs no quotes", positional=True),
        _TYPE,
        _GLOBAL,
        Arg("hold_s", "duration", None, "Take it back after so long", option=("--for",), least=1.0),
        Arg("save", "flag", False, "Write it into the file too, comments and order kept", option=("--save",)),
        _NOW,
        _REASON,
    ), "admin", place="client", stream=True, verbs=("config set",), json=True),
    Command("config.unset", "Take back a value that was set while the fleet ran", (
        Arg("target", "text", None, "The bot; none with --type or --global", required=True, positional=True),
        Arg("key", "text", None, "The key", positional=True),
        _TYPE,
        _GLOBAL,
        _NOW,
        _REASON,
    ), "admin", place="client", stream=True, verbs=("config unset",), json=True),
    Command("config.explain", "Tell where a value of a bot comes from, and what the scopes below said", (
        Arg("bot", "text", None, "The bot", required=True, positional=True),
        Arg("key", "text", None, "The key as in fleet.toml, such as log_level or restart.max", required=True, positional=True),
        _VALUES,
    ), "view", place="client", verbs=("config explain",), json=True),
)
