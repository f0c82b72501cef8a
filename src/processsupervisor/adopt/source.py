"""What a Python program says of itself in its source: variables it reads, tokens written into it, logins, sessions, ports.

The tree of each file of the program is walked once; names are joined over the files (`from config import TOKEN`). Nothing is
imported or run, and no value of a token is kept.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from processsupervisor.config.imports import MOST_BYTES, scan_script
from processsupervisor.observe.redact import MARK, redact

_SHORTEST_TOKEN = 20
_READERS = frozenset({"getenv", "get", "pop", "str", "int", "bool", "list", "config", "env"})
_DOTENV = frozenset({"load_dotenv", "read_env", "dotenv_values"})
_SECRET_NAME = re.compile(r"(?i)token|secret|password|passwd|api_?key|access_?key|api_?hash")
_RANDOM = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9_.:+/=-]{20,}")
_TOKEN_TAKERS = frozenset({
    "Bot", "AsyncTeleBot", "TeleBot", "token", "run", "start", "login", "Client", "TelegramClient", "App", "AsyncApp", "WebClient",
    "AsyncWebClient", "GatewayBot", "Updater", "Application", "SlackBot", "AsyncClient", "bot_start",
})  # fmt: skip
_OTHER_LOGGERS = frozenset({"httpx", "httpcore", "urllib3", "aiohttp", "asyncio", "apscheduler", "openai", "sqlalchemy"})
"""What the networks' own libraries do not log through; telegram's own examples quiet httpx."""
_SESSIONS = {"TelegramClient": "telethon", "Client": "pyrogram"}


@dataclass(slots=True)
class Reading:
    """What was found; places are (file, line)."""

    libraries: set[str] = field(default_factory=set)
    variables: dict[str, bool] = field(default_factory=dict)
    """Environment variables it reads: True when it cannot do without."""
    token_variables: list[str] = field(default_factory=list)
    tokens: list[tuple[Path, int]] = field(default_factory=list)
    sessions: list[tuple[str, str]] = field(default_factory=list)
    """(library, name as written)."""
    ports: list[int] = field(default_factory=list)
    logs_info: bool = False
    quiets: bool = False
    """It sets levels of loggers that a network library may log through: what it logs may not come out."""
    calls: set[str] = field(default_factory=set)
    polls_bot: bool = False
    """`start_polling(bot)`, as aiogram 3 has it; aiogram 2 gives no bot."""
    loads_dotenv: bool = False
    """A library reads the .env for it."""
    error: str = ""
    error_line: int = 0


def read_program(script: Path, cwd: Path) -> Reading:
    """Read a script with the modules beside it; a script that cannot be parsed gives `error`."""
    reading = Reading()
    try:
        _parse(script)
    except SyntaxError as err:
        reading.error, reading.error_line = _syntax_words(err), err.lineno or 0
        return reading
    except (OSError, ValueError, RecursionError) as err:
        reading.error = f"cannot be read: {getattr(err, 'strerror', None) or type(err).__name__}"
        return reading
    scan = scan_script(script, cwd)
    reading.libraries = {name.partition(".")[0] for name in scan.libraries}
    walk = _Walk(reading)
    for path in scan.local_files:
        try:
            walk.read(path, _parse(path))
        except (SyntaxError, OSError, ValueError, RecursionError):
            continue  # the scan has read it a moment ago; the script itself was parsed above
    walk.finish()
    return reading


def _logger_of(node: ast.Call) -> str:
    """Return the first part of the logger's name in `logging.getLogger("NAME").setLevel(...)`; empty when it is not there to be read."""
    logger = node.func.value if isinstance(node.func, ast.Attribute) else None
    if isinstance(logger, ast.Call) and _last(logger.func) == "getLogger" and logger.args and isinstance(logger.args[0], ast.Constant):
        return str(logger.args[0].value).partition(".")[0]
    return ""


def _parse(path: Path) -> ast.Module:
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError("too large")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(content, filename=str(path))


def _syntax_words(err: SyntaxError) -> str:
    line = (err.text or "").strip()
    is_old = "parentheses in call to" in err.msg or line.startswith(("print ", "exec ")) or "multiple exception types" in err.msg
    is_old = is_old or (line.startswith(("except ", "raise ")) and "," in line) or "leading zeros" in err.msg
    return "Python 2 source" if is_old else f"syntax error: {err.msg}"


class _Walk:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._names: dict[str, str] = {}
        """Assigned name -> the environment variable that it holds."""
        self._taken: list[ast.expr] = []

    def read(self, path: Path, tree: ast.Module) -> None:
        for node in ast.walk(tree):
            match node:
                case ast.Call():
                    self._call(node)
                case ast.ImportFrom(module="aiogram", names=names) if any(alias.name == "executor" for alias in names):
                    self._reading.calls.add("executor")
                case ast.Subscript(value=value, slice=ast.Constant(value=str(name))) if _last(value) == "environ":
                    self._variable(name, needed=isinstance(node.ctx, ast.Load))
                case ast.ImportFrom(module="decouple"):
                    self._reading.loads_dotenv = True
                case ast.ClassDef(bases=bases) if any(_last(base) == "BaseSettings" for base in bases):
                    self._settings(node)
                case ast.Assign(targets=[target], value=value):
                    self._assigned(path, target, value)
                case ast.AnnAssign(target=target, value=ast.expr() as value):
                    self._assigned(path, target, value)
                case ast.keyword(arg=str(name), value=value):
                    self._named_token(path, name, value)
                case ast.Constant(value=str(text)) if len(text) >= _SHORTEST_TOKEN and not any(map(str.isspace, text)):
                    if MARK in redact(text) and "://" not in text and "=" not in text:
                        self._token(path, node)

    def _token(self, path: Path, node: ast.expr) -> None:
        if (path, node.lineno) not in self._reading.tokens:
            self._reading.tokens.append((path, node.lineno))

    def _assigned(self, path: Path, target: ast.expr, value: ast.expr) -> None:
        if variable := _variable_of(value):
            self._names[_last(target)] = variable
        else:
            self._named_token(path, _last(target), value)

    def _named_token(self, path: Path, name: str, value: ast.expr) -> None:
        """Note a text of random letters and digits under a name such as TOKEN, whatever network it is of."""
        text = value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""
        if _SECRET_NAME.search(name) and _RANDOM.fullmatch(text) and "://" not in text:
            self._token(path, value)

    def _settings(self, node: ast.ClassDef) -> None:
        """Read a class of pydantic-settings: each field is a variable, by its name in capitals behind env_prefix."""
        fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
        given = {word.arg: word.value for inner in ast.walk(node) if isinstance(inner, ast.Call) for word in inner.keywords if word.arg}
        given |= {_last(item.targets[0]): item.value for item in ast.walk(node) if isinstance(item, ast.Assign)}
        prefix = given.get("env_prefix")
        start = prefix.value if isinstance(prefix, ast.Constant) and isinstance(prefix.value, str) else ""
        self._reading.loads_dotenv = self._reading.loads_dotenv or "env_file" in given
        for item in fields:
            name = _last(item.target)
            if name != "model_config":
                self._names[name] = f"{start}{name}".upper()
                self._variable(self._names[name], needed=item.value is None)

    def finish(self) -> None:
        """Find which variables the takers of tokens were given."""
        for value in self._taken:
            if isinstance(value, ast.Call) and _last(value.func) == "get_secret_value" and isinstance(value.func, ast.Attribute):
                value = value.func.value  # what pydantic wraps
            variable = _variable_of(value) or self._names.get(_last(value))
            if variable and variable not in self._reading.token_variables and _sounds_secret(variable):
                self._reading.token_variables.append(variable)

    def _variable(self, name: str, *, needed: bool) -> None:
        self._reading.variables[name] = self._reading.variables.get(name, False) or needed

    def _call(self, node: ast.Call) -> None:
        name = _last(node.func)
        if variable := _variable_of(node):
            self._variable(variable, needed=False)
        if name in _DOTENV:
            self._reading.loads_dotenv = True
        if name in ("disable", "dictConfig", "fileConfig") or (name == "setLevel" and _logger_of(node) not in _OTHER_LOGGERS):
            self._reading.quiets = True
        if name == "start_polling" and node.args:
            self._reading.polls_bot = True
        given = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
        if name == "basicConfig" and _last(given.get("level")) in ("INFO", "DEBUG") and not {"filename", "handlers"} & set(given):
            self._reading.logs_info = True
        if name in _TOKEN_TAKERS:
            self._taken += [*node.args, *(value for key, value in given.items() if "token" in key)]
        self._reading.calls.add(name)
        session = _last(node.args[0]) if node.args and isinstance(node.args[0], ast.Constant) else ""
        if name in _SESSIONS and session and not {"session_string", "in_memory", "workdir"} & set(given):
            self._reading.sessions.append((_SESSIONS[name], session))
        if name in ("run", "run_app", "run_polling", "run_webhook") and (port := _port(node, name, given)):
            self._reading.ports.append(port)


def _port(node: ast.Call, name: str, given: dict[str, ast.expr]) -> int:
    """Return the port in `app.run(port=…)`, `uvicorn.run(app, port=…)`, `web.run_app(app, port=…)`; 0 when it is not written there."""
    host, port, debug = given.get("host"), given.get("port"), given.get("debug")
    if name.startswith("run_") and name != "run_app":
        return 0
    if isinstance(host, ast.Constant) and host.value not in ("127.0.0.1", "0.0.0.0", "localhost", None):
        return 0
    if isinstance(debug, ast.Constant) and debug.value:
        return 0
    return port.value if isinstance(port, ast.Constant) and isinstance(port.value, int) and 1 <= port.value <= 65535 else 0


def _variable_of(node: ast.expr) -> str:
    """Return the environment variable that an expression reads: os.environ["X"], os.getenv("X"), environ.get("X"), or with `or`."""
    match node:
        case ast.Subscript(value=value, slice=ast.Constant(value=str(name))) if _last(value) == "environ":
            return name
        case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]) if _last(func) in _READERS and _is_environment(func):
            return name
        case ast.BoolOp(values=[first, *_]):
            return _variable_of(first)
    return ""


def _is_environment(func: ast.expr) -> bool:
    match func:
        case ast.Attribute(value=value, attr="getenv"):
            return _last(value) == "os"
        case ast.Attribute(value=value):
            return _last(value) in ("environ", "env")
        case ast.Name(id=name):
            return name in ("getenv", "config", "env")
    return False


def _last(node: ast.expr | None) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr=name):
            return name
        case ast.Constant(value=str(name)):
            return name
        case ast.Constant(value=10 | 20):
            return "INFO"
    return ""


def _sounds_secret(variable: str) -> bool:
    return any(word in variable.upper() for word in ("TOKEN", "KEY", "SECRET", "AUTH", "PASS")) and "TOKENIZER" not in variable.upper()
