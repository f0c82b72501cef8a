"""The kinds of values that fleet.toml knows, each with the words that name it in messages and in the reference.

A kind accepts what people write and what it made of it before (scopes are merged after a first reading and read again).
Errors say what was expected; the found value is added by `shape`, which knows what must not be shown.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator

from processsupervisor.config import forms
from processsupervisor.config.forms import Form
from processsupervisor.config.problem import KeyPath, nearest, table_name
from processsupervisor.kernel.units import parse_duration, parse_size

# Names that stop and kill know on Linux; a fixed list, so that check says the same on every platform.
SIGNALS = frozenset(
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ "
    "VTALRM PROF WINCH IO PWR SYS".split()
)
_POINTLESS = frozenset({"STOP", "TSTP", "TTIN", "TTOU", "CONT", "CHLD"})
_DEEPEST = 16


@dataclass(frozen=True, slots=True)
class Label:
    """How the reference names a kind of value, and the form in which an editor knows it (None: that of its type)."""

    text: str
    form: Form | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class Also:
    """What may stand in place of the table that an annotation names."""

    form: Form = field(hash=False)


class Wrong(ValueError):
    """A value is not `expected`; pydantic carries it to `shape`."""

    def __init__(self, expected: str, hint: str = "") -> None:
        super().__init__(expected)
        self.expected = expected
        self.hint = hint


def kind(label: str, read: Callable[[Any], object], form: Form | None = None) -> tuple[BeforeValidator, Label]:
    return BeforeValidator(read), Label(label, form)


def text_of(value: Any) -> str:
    if not isinstance(value, str):
        raise Wrong('a text in quotes, as in "abc"')
    if "\0" in value:
        raise Wrong("a text without NUL characters")
    return value


def _filled(value: Any) -> str:
    text = text_of(value)
    if not text.strip():
        raise Wrong("a text that is not empty")
    return text


def duration_of(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise Wrong('a duration such as "30s", "10m" or "1h30m"')
    try:
        return parse_duration(value)
    except (ValueError, OverflowError) as err:
        negative = str(value).lstrip().startswith("-") if isinstance(value, str) else value < 0
        raise Wrong(
            "a duration from 0 to ten years" if negative else 'a duration such as "30s", "10m" or "1h30m", at most ten years'
        ) from err


def _some_time(value: Any) -> float:
    seconds = duration_of(value)
    if seconds <= 0:
        raise Wrong("a duration longer than 0")
    return seconds


def _hang_time(value: Any) -> float:
    seconds = duration_of(value)
    if 0 < seconds < 2:
        raise Wrong("a duration of 2 seconds or more, or 0 for never", "a bot beats once a second at the most")
    return seconds


def _slow_time(value: Any) -> float:
    seconds = duration_of(value)
    if seconds < 1:
        raise Wrong("a duration of 1 second or more", "psvd looks at each bot once a second")
    return seconds


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise Wrong('a size such as "256MB"')
    try:
        return parse_size(value)
    except (ValueError, OverflowError) as err:
        raise Wrong('a size such as "256MB", from 0 to 1 EiB') from err


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Wrong("a number")
    try:
        number = float(value)
    except OverflowError as err:
        raise Wrong("a smaller number") from err
    if not math.isfinite(number):
        raise Wrong("a number that is finite")
    return number


def _signal(value: Any) -> str:
    name = text_of(value).upper().removeprefix("SIG")
    if name not in SIGNALS:
        close = nearest(name, SIGNALS)
        raise Wrong(
            "the name of a signal", f'did you mean "{close}"?' if close else 'common ones: "TERM", "INT", "QUIT", "HUP", "USR1", "KILL"'
        )
    if name in _POINTLESS:
        raise Wrong("a signal that can end a program", 'common ones: "TERM", "INT", "QUIT", "HUP", "USR1", "KILL"')
    return name


def _umask(value: Any) -> int:
    expected = 'a file mode mask such as "022" or 0o022, from 0 to 0o777'
    if isinstance(value, str):
        if not re.fullmatch(r"(0o)?[0-7]{1,4}", value):
            raise Wrong(expected)
        value = int(value.removeprefix("0o"), 8)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0o777:
        raise Wrong(expected)
    return value


def _module(value: Any) -> str:
    text = text_of(value)
    if not all(part.isidentifier() for part in text.split(".")):
        raise Wrong('the name of a module, as in "aiogram" or "aiogram.types"')
    return text


def _run(value: Any) -> str:
    text = text_of(value)
    module, colon, attribute = text.partition(":")
    if module.endswith(".py") and colon:
        raise Wrong('"module:attribute"', "write the module without .py, as imported")
    if text.endswith(".py") or "/" in text:
        raise Wrong('"module:attribute" of a bot made with processsupervisor.Bot', 'for any other Python file write script = "main.py"')
    parts = [*module.split("."), *attribute.split(".")]
    if not colon or not all(part.isidentifier() for part in parts):
        raise Wrong('"module:attribute"', 'bots.py with helper = Bot(...) is run = "bots:helper"')
    return text


def _variable(value: Any, of: str = "an environment variable") -> str:
    name = text_of(value)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise Wrong(f"the name of {of}: letters, digits and _")
    return name


def _template_variable(value: Any) -> str:
    if value in ("n", "name", "type"):
        raise Wrong("another name of a variable", "{n}, {name} and {type} have a meaning already")
    return _variable(value, "a variable")


def _variable_value(value: Any) -> str:
    if isinstance(value, (bool, float, list, dict)) or not isinstance(value, (str, int)):
        raise Wrong("a text in quotes (or a whole number)", 'write it as the program shall read it, as in DEBUG = "1"')
    try:
        return text_of(str(value))
    except ValueError as err:  # more digits than int-to-text conversion allows
        raise Wrong("a text in quotes") from err


def _paths(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _command(value: Any) -> list[Any]:
    if isinstance(value, str):
        raise Wrong("a list of texts", 'write command = ["program", "first argument", "second argument"]; no shell reads it')
    if not isinstance(value, list) or not value:
        raise Wrong('a list of texts, as in ["node", "bot.js"]')
    if isinstance(value[0], str) and not value[0].strip():
        raise Wrong("a program as the first text of the list")
    return value


def _probe_command(value: Any) -> list[Any]:
    if isinstance(value, str):
        raise Wrong("a list of texts", 'write exec = ["./check.sh", "first argument"]; no shell reads it')
    return _command(value)


def _hook(value: Any) -> object:
    if isinstance(value, list):
        return {"command": value}
    if isinstance(value, str):
        hint = 'write ["./notify.sh", "first argument"], or { command = [...], timeout = "20s" }; no shell reads it'
        raise Wrong("a list of texts, or a table with a command", hint)
    return value


def _dependencies(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Wrong('a list of bots, as in ["db"] or [{ bot = "db", until = "healthy" }]')
    return [{"bot": entry} if isinstance(entry, str) else entry for entry in value]


def _budget(value: Any) -> Any:
    if value is False or value == "off":
        return {"count": 0}
    if not isinstance(value, (dict, BaseModel)):
        raise Wrong('a table such as { count = 1000, within = "24h" }, or "off"')
    return value


def _regex(value: Any) -> str:
    text = _filled(value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(text)
    except (re.error, RecursionError, OverflowError) as err:
        raise Wrong(f"a regular expression ({err})", "in TOML, 'single quotes' keep backslashes as they are") from err
    return text


def _url(value: Any) -> str:
    text = text_of(value)
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_good = False
    if not is_good or any(c.isspace() for c in text):
        raise Wrong('an address such as "http://127.0.0.1:8080/healthz"')
    return text


def _listen(value: Any) -> str:
    expected = 'an address and port such as "127.0.0.1:8450" or "[::1]:8450"'
    host, colon, port = text_of(value).rpartition(":")
    if not colon or not re.fullmatch(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+", host):
        raise Wrong(expected)
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise Wrong(expected, "a port is a number from 1 to 65535, 0 takes any free one")
    return f"{host}:{int(port)}"


def _fleet_name(value: Any) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", text_of(value)):
        raise Wrong("1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit")
    return str(value)


def _plain(value: object, at: KeyPath) -> object:
    match value:
        case int() if not -(1 << 63) <= value < 1 << 63:
            raise Wrong("whole numbers of at most 64 bits", f"look at {table_name(at)}")
        case float() if not math.isfinite(value):
            raise Wrong("numbers that are finite", f"look at {table_name(at)}, nan and inf cannot be passed on")
        case str() | bool() | int() | float():
            return value
        case list() | dict() if len(at) >= _DEEPEST:
            raise Wrong(f"lists and tables at most {_DEEPEST} deep")
        case list():
            return [_plain(item, (*at, index)) for index, item in enumerate(value)]
        case dict():
            return {str(key): _plain(item, (*at, str(key))) for key, item in value.items()}
    return str(getattr(value, "isoformat", value.__str__)())


def _options(value: Any) -> dict[str, object]:
    if not isinstance(value, dict):
        raise Wrong("a table")
    return {str(key): _plain(item, (str(key),)) for key, item in value.items()}


def _networks(value: Any) -> dict[str, object]:
    if not isinstance(value, dict) or not all(isinstance(table, dict) for table in value.values()):
        raise Wrong("a table for each network")
    return _options(value)


Text = Annotated[str, *kind("text", text_of, forms.TEXT)]
Filled = Annotated[str, *kind("text", _filled, forms.FILLED)]
PathText = Annotated[str, *kind("path", _filled, forms.FILLED)]
Paths = Annotated[list[PathText], *kind("path or list of paths", _paths, forms.one_or_many(forms.FILLED))]
Duration = Annotated[float, *kind("duration", duration_of, forms.duration())]
HangTime = Annotated[float, *kind("duration >= 2s, or 0", _hang_time, forms.duration(2.0))]
SlowTime = Annotated[float, *kind("duration >= 1s", _slow_time, forms.duration(1.0, is_zero_allowed=False))]
SomeTime = Annotated[float, *kind("duration > 0", _some_time, forms.duration(is_zero_allowed=False))]
Size = Annotated[int, *kind("size", _size, forms.SIZE)]
Number = Annotated[float, *kind("number", _number, forms.NUMBER)]
Count = Annotated[int, Label("whole number", forms.WHOLE)]
Flag = Annotated[bool, Label("true or false", forms.FLAG)]
SignalName = Annotated[str, *kind("signal name", _signal, forms.signal_name(SIGNALS - _POINTLESS))]
Umask = Annotated[int, *kind("octal mask", _umask, forms.MASK)]
ModuleName = Annotated[str, *kind("module name", _module, forms.MODULE)]
RunName = Annotated[str, *kind('"module:attribute"', _run, forms.RUN)]
VariableName = Annotated[str, *kind("variable name", _variable, forms.VARIABLE)]
TemplateVariable = Annotated[str, *kind("variable name", _template_variable, forms.VARIABLE)]
VariableValue = Annotated[str, *kind("text", _variable_value, forms.VALUE)]
CommandLine = Annotated[list[Text], *kind("list of texts", _command, forms.COMMAND)]
ProbeCommand = Annotated[list[Text], *kind("list of texts", _probe_command, forms.COMMAND)]
A_NAME = Also(forms.FILLED)
DEPENDENCIES = kind("list of names or tables", _dependencies)
BUDGET = (*kind('table or "off"', _budget), Also({"enum": ["off", False]}))
Regex = Annotated[str, *kind("regular expression (Python re)", _regex, forms.FILLED)]
Url = Annotated[str, *kind("URL", _url, forms.URL)]
Listen = Annotated[str, *kind('"host:port"', _listen, forms.HOST_PORT)]
FleetName = Annotated[str, *kind("name", _fleet_name, forms.FLEET_NAME)]
HOOK = (*kind("command or table", _hook), Also(forms.COMMAND))
Networks = Annotated[dict[str, object], *kind("table of tables", _networks, forms.ANYTHING)]
Options = Annotated[dict[str, object], *kind("table of anything", _options, forms.ANYTHING)]
