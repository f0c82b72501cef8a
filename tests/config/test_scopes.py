"""config.scopes and config.resolve: what holds for a bot when several scopes speak."""

from __future__ import annotations

from tests.config.test_load import bot, only


def test_the_innermost_scope_wins_and_tables_merge(load):
    """env: bot over type over global; stop and restart merge key by key; lists replace."""
    loaded = load(
        """[global]
env = { A = "global", B = "global", C = "global" }
stop = { timeout = "3s", signal = "INT" }
preload = ["one", "two"]
restart = { max = "5s" }
[types.t]
script = "main.py"
env = { B = "type", C = "type" }
stop = { timeout = "4s" }
args = ["x"]
[bots.a]
type = "t"
env = { C = "bot", N = 5 }
preload = ["three"]
restart.policy = "never"
"""
    )
    spec = bot(loaded, "a")
    assert spec["env"] == {"A": "global", "B": "type", "C": "bot", "N": "5"}
    assert spec["stop"] == {"timeout_s": 4.0, "signal": "INT"}
    assert spec["preload"] == ["three"] and spec["args"] == ["x"]
    assert (spec["restart"]["policy"], spec["restart"]["max_s"], spec["restart"]["base_s"]) == ("never", 5.0, 1.0)


def test_the_program_is_one_choice(load):
    """A bot that names another program than its type drops the type's, and its arguments."""
    spec = bot(load("[types.t]\nscript='main.py'\nargs=['x']\n[bots.a]\ntype='t'\ncommand=['./run.sh']"), "a")
    assert (spec["kind"], spec["script"], spec["args"]) == ("command", None, [])


def test_ready_is_one_choice(load):
    """An inner ready replaces an outer one of another kind; in [global] it does not concern native bots."""
    loaded = load(
        "[global]\nready={tcp=80}\n[bots.a]\nscript='main.py'\nready={log='up'}\n[bots.b]\nscript='main.py'\n[bots.c]\nrun='bots:helper'"
    )
    assert loaded.problems == ()
    assert [bot(loaded, name)["ready"] for name in "abc"] == [
        {"kind": "log", "value": "up"},
        {"kind": "tcp", "value": 80},
        {"kind": "said", "value": None},
    ]


def test_ready_of_a_type_and_run_of_its_bot_do_not_go_together(load):
    """The problem stands where ready stands and is the bot's alone."""
    problem = only(load("[types.t]\nready={notify=true}\n[bots.a]\ntype='t'\nrun='bots:helper'"))
    assert (problem.code, problem.line, problem.bots) == ("ready-native", 4, ("a",))


def test_paths_are_absolute_and_beside_the_file(load, folder, monkeypatch):
    """Relative paths mean the fleet folder, ~ the home folder; arguments and plain program names stay."""
    monkeypatch.setenv("HOME", str(folder))
    (folder / ".env").write_text("A=1\n")
    (folder / "venv" / "bin").mkdir(parents=True)
    (folder / "venv" / "bin" / "python").symlink_to("/bin/sh")
    loaded = load(
        """[bots.a]
command = ["./run.sh", "./stays"]
cwd = "~"
env_file = ".env"
lock = [{ env = "TOKEN" }, { file = "x/../my.session" }]
[bots.b]
script = "~/main.py"
python = "venv"
env_file = ["~/.env", ".env"]
"""
    )
    assert loaded.problems == ()
    a, b = bot(loaded, "a"), bot(loaded, "b")
    assert a["command"] == [str(folder / "run.sh"), "./stays"] and a["cwd"] == str(folder)
    assert a["lock"] == [{"env": "TOKEN"}, {"file": str(folder / "my.session")}]
    assert b["script"] == str(folder / "main.py") and b["python"] == str(folder / "venv" / "bin" / "python")
    assert b["env_files"] == [str(folder / ".env")] * 2


def test_units_come_out_as_seconds_and_bytes(load):
    """Durations are seconds, sizes bytes, masks numbers, signals without SIG."""
    spec = bot(
        load(
            """[bots.a]
script = "main.py"
start_timeout = "1m30s"
umask = "027"
stop = { timeout = 2, signal = "sigint" }
limits = { nofile = 1024, memory = "64MB", pids = 50 }
logs = { max = "1MB", keep = 2 }
restart.window = [{ count = 3, within = "1m" }]
options = { when = 1979-05-27T07:32:00Z, deep = { list = [1, "two", 3.5, true] } }
"""
        ),
        "a",
    )
    assert (spec["start_timeout_s"], spec["umask"], spec["stop"]) == (90.0, 0o027, {"timeout_s": 2.0, "signal": "INT"})
    assert spec["limits"] == {"nofile": 1024, "nproc": None, "memory_bytes": 64 << 20, "pids": 50}
    assert spec["logs"] == {"max_bytes": 1 << 20, "keep": 2} and spec["restart"]["window"] == [{"count": 3, "within_s": 60.0}]
    assert spec["options"] == {"when": "1979-05-27T07:32:00+00:00", "deep": {"list": [1, "two", 3.5, True]}}
