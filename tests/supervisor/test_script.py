"""An unmodified program forked from a zygote cannot tell the difference from `python main.py`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.supervisor.live import LiveFleet, eventually

FACTS = """
    import atexit, json, os, signal, sys, threading, time
    atexit.register(lambda: print("exit callback ran", flush=True))
    if sys.stdin.read() != "":
        print("stdin is not empty")
    facts = {
        "name": __name__, "file": __file__, "argv": sys.argv, "cwd": os.getcwd(), "path0": sys.path[0],
        "main": sys.modules["__main__"].__dict__ is globals(), "env": dict(os.environ), "term": str(signal.getsignal(signal.SIGTERM)),
        "int": signal.getsignal(signal.SIGINT) is signal.default_int_handler, "umask": os.umask(0o22), "pid": os.getpid(),
        "ppid": os.getppid(), "sid": os.getsid(0), "threads": threading.active_count(), "ours": "psv_secret" in os.environ,
        "fds": sorted(int(n) for n in os.listdir("/proc/self/fd")), "blocked": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
        "nofile": __import__("resource").getrlimit(__import__("resource").RLIMIT_NOFILE),
    }
    open(FILE, "w").write(json.dumps(facts))
    print("ready", flush=True)
    time.sleep(600)
"""


def _facts(fleet: LiveFleet, name: str) -> dict[str, object]:
    path = fleet.folder / name
    eventually(lambda: path.exists() and path.stat().st_size > 0, f"{name} is written")
    return dict(json.loads(path.read_text()))


def test_argv_folder_environment_and_signals_are_those_of_a_plain_run(fleet: LiveFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything a program can look at in its first line is in place, and nothing of ours shows."""
    monkeypatch.setenv("A_TOKEN_OF_THE_OPERATOR", "not for bots")
    fleet.write("sub/main.py", "FILE = 'facts.json'\n" + FACTS.replace("\n    ", "\n"))
    fleet.write(".env", "FROM_FILE=file\nBOTH=file\n")
    fleet.configure("""
        [types.t]
        env = { BOTH = "type", OF_TYPE = "type", TWICE = "type" }
        [bots.old]
        type = "t"
        script = "sub/main.py"
        args = ["--flag", "two words"]
        env_file = ".env"
        env = { TWICE = "bot" }
        ready = { log = "^ready$" }
    """)
    fleet.up()
    bot = fleet.until("old", state="RUNNING")
    facts = _facts(fleet, "facts.json")
    script = str(fleet.folder / "sub" / "main.py")
    assert facts["argv"] == [script, "--flag", "two words"]
    assert (facts["name"], facts["file"], facts["main"]) == ("__main__", script, True)
    assert (facts["cwd"], facts["path0"]) == (str(fleet.folder), str(fleet.folder / "sub"))
    assert (facts["term"], facts["int"], facts["blocked"], facts["threads"]) == ("0", True, [], 1)
    assert (facts["pid"], facts["sid"]) == (bot["pid"], bot["pid"])
    assert facts["ppid"] == fleet.role_pid("keeper")
    env = dict(facts["env"])  # type: ignore[call-overload]
    assert (env["FROM_FILE"], env["BOTH"], env["OF_TYPE"], env["TWICE"]) == ("file", "type", "type", "bot")
    assert (env["PSV_BOT"], env["PSV_FLEET"], env["PYTHONUNBUFFERED"]) == ("old", str(fleet.folder), "1")
    assert "A_TOKEN_OF_THE_OPERATOR" not in env
    assert not [k for k in env if k.startswith("PSV_") and k not in ("PSV_BOT", "PSV_FLEET", "PSV_EXIT_NOTE")]
    low = [fd for fd in facts["fds"] if 2 < fd < 100]  # type: ignore[attr-defined]
    assert len(low) <= 1, f"descriptors leaked into the bot: {low} (one is the listing itself)"
    assert Path(f"/proc/{bot['pid']}/cmdline").read_bytes().startswith(b"psv: bot old")


@pytest.mark.parametrize(
    ("body", "code"),
    [("", 0), ("import sys; sys.exit(7)", 7), ("import sys; sys.exit('why')", 1), ("1/0", 1), ("import os; os._exit(3)", 3), ("x = input()", 1)],
)
def test_the_end_of_a_script_is_the_end_of_a_program(fleet: LiveFleet, body: str, code: int) -> None:
    """Exit status, exit callbacks and what is printed are those of the interpreter itself."""
    fleet.write("main.py", f"import atexit\natexit.register(lambda: print('callback'))\nprint('begun')\n{body}\n")
    fleet.configure('[bots.x]\nscript = "main.py"\nrestart = { policy = "never" }\nready = { after = "60s" }\n')
    fleet.up()
    ended = eventually(lambda: (d := fleet.detail("x"))["last_exit"] and d["last_exit"]["log_tail"] and d, "the exit is recorded")
    assert ended["exit_code"] == code
    assert ended["state"] == ("TERMINATED" if code == 0 else "FAILED")
    tail = ended["last_exit"]["log_tail"]
    argv = [sys.executable, "-u", fleet.folder / "main.py"]
    plain = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert plain.returncode == code
    for line in (plain.stdout + plain.stderr).splitlines():
        assert line in tail, (line, tail)
    assert len(tail) == len((plain.stdout + plain.stderr).splitlines()), "no frame of ours is shown"


def test_an_exception_is_recorded_with_type_and_place(fleet: LiveFleet) -> None:
    """What an operator needs first is in the exit record."""
    fleet.write("main.py", "def inner():\n    raise KeyError('gone')\n\ninner()\n")
    fleet.configure('[bots.x]\nscript = "main.py"\nrestart = { policy = "never" }\n')
    fleet.up()
    ended = eventually(lambda: (d := fleet.detail("x"))["last_exit"] and d["last_exit"]["exception"] and d, "the exception is recorded")
    raised = ended["last_exit"]["exception"]
    assert raised == {"type": "KeyError", "message": "'gone'", "file": str(fleet.folder / "main.py"), "line": 2}


def test_threads_that_are_not_daemons_keep_a_script_alive(fleet: LiveFleet) -> None:
    """As in a plain run, the end of the main thread is not the end."""
    fleet.write("main.py", """
        import threading, time
        def work():
            time.sleep(0.5)
            print("thread done", flush=True)
        threading.Thread(target=work).start()
    """)
    fleet.configure('[bots.x]\nscript = "main.py"\nrestart = { policy = "never" }\nready = { after = "60s" }\n')
    fleet.up()
    fleet.until("x", state="TERMINATED")
    assert "thread done" in fleet.output("x")


def test_each_start_runs_the_code_on_disk_with_its_own_environment(fleet: LiveFleet) -> None:
    """A bot's own modules, beside the script, are never in the zygote."""
    fleet.write("helper.py", "import os\nVALUE = 'first ' + os.environ['WHO']\n")
    fleet.write("main.py", "import helper, time\nprint(helper.VALUE, flush=True)\ntime.sleep(600)\n")
    fleet.configure("""
        [types.t]
        script = "main.py"
        ready = { log = "first|second" }
        [bots.a]
        type = "t"
        env = { WHO = "alice" }
        [bots.b]
        type = "t"
        env = { WHO = "bob" }
    """)
    fleet.up()
    assert "first alice" in fleet.output("a")
    assert "first bob" in fleet.output("b")
    fleet.write("helper.py", "import os\nVALUE = 'second ' + os.environ['WHO']\n")
    assert fleet.call("bot.restart", names=["a"])[0]["ok"]
    assert "second alice" in fleet.output("a")
    assert "second" not in fleet.output("b")


def test_a_library_that_starts_a_thread_makes_the_script_a_command(fleet: LiveFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with two threads must not fork; the script runs all the same, and status says why it is no fork."""
    library = fleet.write("../library/threadlib.py", "import threading, time\nthreading.Thread(target=time.sleep, args=(9999,), daemon=True).start()\n")
    monkeypatch.setenv("PYTHONPATH", str(library.parent))
    fleet.write("main.py", "import threadlib, time\nprint('runs', flush=True)\ntime.sleep(600)\n")
    fleet.configure(f'[bots.x]\nscript = "main.py"\nready = {{ log = "runs" }}\nenv = {{ PYTHONPATH = "{library.parent}" }}\n')
    fleet.up()
    bot = fleet.until("x", state="RUNNING")
    notes = fleet.call("fleet.status")["notes"]
    assert any(n["subject"] == "x" and "threadlib" in n["message"] and "command" in n["message"] for n in notes), notes
    assert Path(f"/proc/{bot['pid']}/cmdline").read_bytes().startswith(os.fsencode(sys.executable))


def test_a_changed_library_is_loaded_anew_before_the_next_start(fleet: LiveFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The zygote that holds an outdated file is replaced; bots that run are left alone."""
    library = fleet.write("../library/mylib.py", "VERSION = 'one'\n")
    monkeypatch.setenv("PYTHONPATH", str(library.parent))
    fleet.write("main.py", "import mylib, time\nprint('version', mylib.VERSION, flush=True)\ntime.sleep(600)\n")
    fleet.configure("""
        [types.t]
        script = "main.py"
        ready = { log = "version" }
        [bots.a]
        type = "t"
        [bots.b]
        type = "t"
    """)
    fleet.up()
    untouched = fleet.bot("b")["pid"]
    fleet.write("../library/mylib.py", "VERSION = 'two, and longer'\n")
    eventually(lambda: fleet.call("bot.restart", names=["a"])[0]["ok"] and "version two" in fleet.output("a"), "the new file is loaded")
    assert fleet.bot("b")["pid"] == untouched


def test_a_variable_that_only_a_new_interpreter_reads_makes_it_a_command(fleet: LiveFleet) -> None:
    """PYTHONHASHSEED cannot be honoured by a fork, so the script is executed, and says why."""
    fleet.write("main.py", "import sys, time\nprint('hash', sys.flags.hash_randomization, flush=True)\ntime.sleep(600)\n")
    fleet.configure('[bots.x]\nscript = "main.py"\nready = { log = "hash 0" }\nenv = { PYTHONHASHSEED = "0" }\n')
    fleet.up()
    fleet.until("x", state="RUNNING")
    assert "PYTHONHASHSEED" in fleet.detail("x")["notes"][0]


def test_another_virtualenv_gets_a_zygote_of_its_own(fleet: LiveFleet) -> None:
    """A bot with its own interpreter is still forked, and sees its own libraries, not psv's."""
    venv = fleet.folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    site = next((venv / "lib").glob("python*")) / "site-packages"
    (site / "onlyhere.py").write_text("WHERE = 'its own'\n")
    fleet.write("main.py", """
        import sys, time, onlyhere
        try:
            import click
        except ImportError:
            click = None
        print("ready", onlyhere.WHERE, click, sys.prefix, flush=True)
        time.sleep(600)
    """)
    fleet.configure('[bots.x]\nscript = "main.py"\npython = "venv/bin/python"\nready = { log = "ready" }\n')
    fleet.up()
    bot = fleet.until("x", state="RUNNING")
    assert f"ready its own None {venv}" in fleet.output("x")
    assert Path(f"/proc/{bot['pid']}/cmdline").read_bytes().startswith(b"psv: bot x")


def test_sigterm_ends_a_script_that_handles_nothing(fleet: LiveFleet) -> None:
    """The default action is in place: no timeout is waited for."""
    fleet.write("main.py", "import time\nprint('up', flush=True)\ntime.sleep(600)\n")
    fleet.configure('[bots.x]\nscript = "main.py"\nready = { log = "up" }\n')
    fleet.up()
    result = fleet.call("bot.stop", names=["x"])[0]
    assert result["ok"]
    last = fleet.detail("x")["last_exit"]
    assert (last["reason"], last["signal"]) == ("admin", signal.Signals.SIGTERM.name)
