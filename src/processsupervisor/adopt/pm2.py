"""A pm2 ecosystem file: each app becomes a bot. JSON and YAML are read; a .js file is code, which only node can turn into data.

It is run only when the user says so (--allow-js), by node, for at most NODE_TIMEOUT_S, and with an environment of PATH alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from processsupervisor.adopt.documents import Document, read_json_text, read_yaml
from processsupervisor.adopt.line import as_program, read_line
from processsupervisor.adopt.owner import user_name
from processsupervisor.adopt.program import CannotRead, Found, LeftOut, Place, Source
from processsupervisor.adopt.text import MOST_BYTES, read_text
from processsupervisor.kernel.units import parse_size
from processsupervisor.observe.redact import redact

NODE_TIMEOUT_S = 10.0
_STOP_SIGNAL = "INT"
_INTERPRETERS = {
    ".js": "node",
    ".cjs": "node",
    ".mjs": "node",
    ".py": "python3",
    ".sh": "bash",
    ".rb": "ruby",
    ".pl": "perl",
    ".php": "php",
}
_READ = frozenset({
    "name", "script", "args", "cwd", "interpreter", "exec_interpreter", "interpreter_args", "node_args", "instances", "exec_mode", "env",
    "autorestart", "restart_delay", "stop_exit_codes", "kill_timeout", "max_memory_restart", "user", "uid", "time", "merge_logs",
    "combine_logs", "automation", "pmx", "vizion", "filter_env", "instance_var", "autostart",
})  # fmt: skip
_LEFT = {
    "watch": "psv dev restarts on a save", "ignore_watch": "psv dev restarts on a save", "watch_delay": "psv dev restarts on a save",
    "watch_options": "psv dev restarts on a save",
    "cron_restart": 'recycle = { max_age = "24h" } starts it anew by its age; a task has schedule = { cron = "..." }',
    "cron": 'recycle = { max_age = "24h" } starts it anew by its age; a task has schedule = { cron = "..." }',
    "max_restarts": "psv has windows of its own: restart.window", "min_uptime": "restart = { stable_after = ... } (default 30s)",
    "exp_backoff_restart_delay": "psv waits longer from restart to restart anyway, up to 60s: restart.max",
    "wait_ready": 'psv knows no process.send("ready"): ready = { log = "..." } for a line that the bot prints',
    "log_date_format": "psv logs knows when each line came: --since", "treekill": "psv ends the whole process tree",
    "listen_timeout": "start_timeout of the bot (default 60s)",
    "shutdown_with_message": "psv sends the stop signal: stop.signal",
    "source_map_support": "node's own: node --enable-source-maps", "gid": "psv takes the groups of the user",
    "namespace": "psv has no namespaces: name bots by a glob", "increment_var": "psv counts no ports up: give each bot its own in env",
}  # fmt: skip
_NODE_ENV = re.compile(r"\bprocess\.env(?:\.|\[['\"])([A-Za-z_]\w*)")
_LOGS = ("error_file", "out_file", "log_file", "err_file", "output", "error", "log", "pid_file", "log_type")


def read_pm2(path: Path, *, allow_js: bool) -> Source:
    """Read an ecosystem file; raises CannotRead, for a .js without `allow_js` too."""
    if path.suffix in (".yml", ".yaml"):
        document = read_yaml(path)
    elif path.suffix == ".json":
        document = read_json_text(path, read_text(path))
    else:
        document = Document(path, _run_node(path, allow_js=allow_js))
    source = Source("pm2", path)
    value = document.value
    key: tuple[str, ...] = ("apps",) if isinstance(value, dict) and "apps" in value else ()
    apps = value["apps"] if key else value
    if isinstance(apps, dict):
        apps = [apps]
    if not isinstance(apps, list) or not apps or not all(isinstance(app, dict) and "script" in app for app in apps):
        raise CannotRead(f'{path}: found no apps with a script, expected {{ "apps": [{{ "script": "..." }}] }}', hint="name a pm2 file")
    for index, app in enumerate(apps):
        _App(source, document, (*key, index), app).read()
    if isinstance(value, dict) and "deploy" in value:
        source.left_out.append(LeftOut(document.place("deploy"), "deploy", "psv does not deploy: copy the files, then psv restart"))
    return source


def _run_node(path: Path, *, allow_js: bool) -> Any:
    read_text(path)
    name = path.name
    if not allow_js:
        hint = f"look at it, then psv adopt --allow-js {name}; or write it as JSON: node -p 'JSON.stringify(require(\"./{name}\"))'"
        raise CannotRead(f"{path}: a program, which has to be run to be read; psv adopt runs nothing unasked", hint=hint)
    node = shutil.which("node")
    if node is None:
        raise CannotRead(f"{path}: node is needed to read it, and is not on PATH", hint="install node, or write the file as JSON")
    code = "Promise.resolve(require(process.argv[1])).then(v => process.stdout.write('\\n\\0' + JSON.stringify(v.default || v)))"
    try:
        done = subprocess.run(
            [node, "-e", code, str(path)],
            cwd=path.parent,
            env={"PATH": os.environ.get("PATH", os.defpath)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=NODE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as err:
        raise CannotRead(
            f"{path}: node did not end within {NODE_TIMEOUT_S:.0f} s", hint="the file starts something; write it as JSON"
        ) from err
    except OSError as err:
        raise CannotRead(f"{path}: node cannot be run: {err.strerror}", hint="write the file as JSON") from err
    if done.returncode:
        lines = done.stderr.decode(errors="replace").splitlines()
        reason = next((line for line in lines if re.match(r"\w*Error\b", line)), "it ended with an error")
        line = re.match(r"^.*?:(\d+)$", lines[0]) if lines else None
        raise CannotRead(f"{Place(path, int(line[1]) if line else 0)}: node says {redact(reason[:120])}", hint="correct the file")
    try:
        return json.loads(done.stdout.rpartition(b"\n\0")[2])
    except ValueError as err:
        raise CannotRead(f"{path}: exports nothing that is data", hint="expected module.exports = { apps: [...] }") from err


class _App:
    def __init__(self, source: Source, document: Document, key: tuple[str | int, ...], app: dict[str, Any]) -> None:
        self._source = source
        self._document = document
        self._key = key
        self._app = app

    def read(self) -> None:
        folder = self._document.path.parent
        cwd = Path(os.path.normpath(folder / self._text("cwd", ".")))
        script = self._text("script", "")
        stem = Path(script.split()[0]).stem if script.split() else "app"
        found = Found(self._text("name", stem), self._place(), cwd=cwd, stop_signal=_STOP_SIGNAL)
        self._environment(found)
        self._command(found, script)
        self._ends(found)
        self._user(found)
        self._left(found)
        if found.name in {known.name for known in self._source.programs}:
            raise CannotRead(f"{found.place}: the name {found.name} is given a second time", hint="give each app its own name")
        self._instances(found)

    def _place(self, *keys: str) -> Place:
        return self._document.place(*self._key, *keys)

    def _wrong(self, key: str, expected: str) -> CannotRead:
        return CannotRead(
            f"{self._place(key)}: found {key} of another kind, expected {expected}", hint="correct the file; nothing was written"
        )

    def _text(self, key: str, default: str) -> str:
        value = self._app.get(key, default)
        if not isinstance(value, (str, int)) or isinstance(value, bool):
            raise self._wrong(key, "a text")
        return str(value)

    def _words(self, key: str) -> list[str]:
        value = self._app.get(key)
        if value is None:
            return []
        if isinstance(value, list) and all(isinstance(word, (str, int, float)) for word in value):
            return [str(word) for word in value]
        if not isinstance(value, str):
            raise self._wrong(key, "a text or a list of texts")
        try:
            return read_line(value).argv or value.split()
        except ValueError:
            return value.split()

    def _command(self, found: Found, script: str) -> None:
        args = self._words("args")
        interpreter = self._text("interpreter", self._text("exec_interpreter", ""))
        if " " in script.strip() and not (found.cwd or Path()).joinpath(script).exists():
            line = read_line(script)
            found.argv, found.shell = line.argv, as_program(line.shell)
            found.env = {**found.env, **line.env}
            if line.shell:
                self._source.left_out.append(LeftOut(self._place("script"), f"script of {found.name}", line.told))
            return
        options = self._words("interpreter_args") or self._words("node_args")
        interpreter = interpreter or _INTERPRETERS.get(Path(script).suffix, "none")
        if interpreter == "none":
            is_file = (found.cwd or Path()).joinpath(script).is_file()
            found.argv = [f"./{script}" if is_file and "/" not in script else script, *args]
        else:
            found.argv = [interpreter, *options, script, *args]

    def _environment(self, found: Found) -> None:
        env = self._app.get("env", {})
        if not isinstance(env, dict):
            raise self._wrong("env", "a table of texts")
        for key, value in env.items():
            found.env[str(key)] = value if isinstance(value, str) else json.dumps(value)

    def _ends(self, found: Found) -> None:
        if self._app.get("autorestart") is False:
            found.restart = "never"
        elif self._app.get("stop_exit_codes") in ([0], 0, ["0"]):
            found.restart = "on-failure"
        elif "stop_exit_codes" in self._app:
            told = LeftOut(
                self._place("stop_exit_codes"), "stop_exit_codes", "psv knows 0 (on-failure), and 77 to 79 which it never retries"
            )
            self._source.left_out.append(told)
        for key, attribute in (("kill_timeout", "stop_timeout_s"), ("restart_delay", "restart_delay_s")):
            if key in self._app:
                value = self._app[key]
                if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0:
                    raise self._wrong(key, "milliseconds")
                setattr(found, attribute, value / 1000)
        if "max_memory_restart" in self._app:
            try:
                found.recycle_bytes = parse_size(self._app["max_memory_restart"])
            except ValueError as err:
                raise self._wrong("max_memory_restart", 'a size such as "300M"') from err
        if self._app.get("autostart") is False:
            found.autostart = False

    def _user(self, found: Found) -> None:
        user = self._app.get("user", self._app.get("uid"))
        if isinstance(user, (str, int)) and not isinstance(user, bool):
            found.user = user_name(str(user))

    def _instances(self, found: Found) -> None:
        given = self._app.get("instances", 1)
        count = int(given) if isinstance(given, str) and given.lstrip("-").isdigit() else given
        is_node = bool(found.argv) and Path(found.argv[0]).name.startswith(("node", "bun"))
        mode = self._app.get("exec_mode")
        if mode in ("cluster", "cluster_mode") or (mode is None and "instances" in self._app and is_node):
            if count != 1:
                why = "a cluster shares one port between its processes, which psv cannot: one bot; more copies are bots of their own"
                self._source.left_out.append(LeftOut(self._place("instances"), f"instances={given} of {found.name}", why))
            count = 1
        elif not isinstance(count, int) or isinstance(count, bool) or count < 1:
            why = "counted by the machine's processors there: one bot; write a bot for each further copy"
            self._source.left_out.append(LeftOut(self._place("instances"), f"instances={given} of {found.name}", why))
            count = 1
        variable = self._text("instance_var", "NODE_APP_INSTANCE")
        for number in range(min(count, 1000)):
            copy = Found(**{slot: getattr(found, slot) for slot in Found.__slots__})
            copy.env = {**found.env, variable: str(number)} if count > 1 else dict(found.env)
            copy.name = f"{found.name}-{number}" if count > 1 else found.name
            copy.argv, copy.locks, copy.inherit, copy.env_files = list(found.argv), [], list(found.inherit), []
            self._source.programs.append(copy)

    def _left(self, found: Found) -> None:
        self._environment_of_pm2(found)
        for key, value in self._app.items():
            if key in _LOGS:
                self._source.left_out.append(
                    LeftOut(self._place(key), f"{key}={value}", "psv keeps its output in .psv/logs: psv logs NAME")
                )
            elif key.startswith("env_"):
                why = "only env is carried over; for another environment write another fleet.toml"
                self._source.left_out.append(LeftOut(self._place(key), key, why))
            elif key in _LEFT:
                if value not in (False, None):
                    self._source.left_out.append(LeftOut(self._place(key), key, _LEFT[key]))
            elif key not in _READ:
                self._source.left_out.append(LeftOut(self._place(key), key, "no key that psv adopt knows"))

    def _environment_of_pm2(self, found: Found) -> None:
        """Take over what a node program reads of the environment that pm2 was started with: the variables that its source names."""
        script = next((word for word in found.argv if Path(word).suffix in (".js", ".cjs", ".mjs")), None)
        path = (found.cwd or Path()) / script if script else None
        if path is None or not path.is_file() or path.stat().st_size > MOST_BYTES:
            return
        text = path.read_text(encoding="utf-8", errors="replace")
        found.inherit += [name for name in dict.fromkeys(_NODE_ENV.findall(text)) if name not in found.env]
