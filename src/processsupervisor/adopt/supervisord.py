"""supervisord.conf with what it includes: each process of each [program:x] becomes a bot.

Read as Supervisor 4 does: expansions %(...)s, numprocs, groups; its defaults are psv's unless they differ, then they are written
(autorestart=unexpected is `on-failure`). Event listeners and FastCGI programs are left out.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from processsupervisor.adopt.ini import Entry, Section, add_sections, read_supervisord_ini
from processsupervisor.adopt.owner import UMASK, own_umask, user_name
from processsupervisor.adopt.program import CannotRead, Found, LeftOut, Place, Source
from processsupervisor.adopt.shells import fill_in_later, mark, unwrap_shell
from processsupervisor.adopt.table import absolute, is_secret
from processsupervisor.adopt.text import read_text
from processsupervisor.config.askable import folder_of
from processsupervisor.config.problem import did_you_mean
from processsupervisor.kernel.units import parse_size

_FIRST = 999
"""supervisord's own priority of a program that names none; theirs counts up, psv's down."""
_READ = frozenset({
    "command", "process_name", "numprocs", "numprocs_start", "priority", "autostart", "startsecs", "autorestart", "exitcodes", "stopsignal",
    "stopwaitsecs", "user", "environment", "directory", "umask",
})  # fmt: skip
_LOG_LIMITS = {f"{stream}_logfile_{what}" for stream in ("stdout", "stderr") for what in ("maxbytes", "backups")}
_SILENT = _LOG_LIMITS | {"killasgroup", "redirect_stderr", "serverurl"}
_LEFT = {
    "startretries": "psv waits longer from try to try, and after 10 in 10 minutes tries once each 10 minutes: see restart",
    "stdout_logfile": "psv keeps its output in .psv/logs: psv logs NAME",
    "stderr_logfile": "psv keeps its output in .psv/logs: psv logs NAME",
    "stdout_syslog": "psv keeps its output in .psv/logs: psv logs NAME",
    "stderr_syslog": "psv keeps its output in .psv/logs: psv logs NAME",
    "stopasgroup": "psv signals the first process alone and kills what is left of its tree: let a shell exec the program",
    "stdout_capture_maxbytes": "psv has no capture mode", "stderr_capture_maxbytes": "psv has no capture mode",
    "stdout_events_enabled": "see psv events", "stderr_events_enabled": "see psv events",
}  # fmt: skip
_RESTART = {"true": "always", "1": "always", "yes": "always", "on": "always", "unexpected": "on-failure",
            "false": "never", "0": "never", "no": "never", "off": "never"}  # fmt: skip
_SECTIONS = frozenset({"supervisord", "supervisorctl", "unix_http_server", "include", "rpcinterface:supervisor"})
_STOP_S = 10.0
_MINFDS = 1024
_OFF = [word for word, policy in _RESTART.items() if policy == "never"]
_EXPANSION = re.compile(r"%(?:\(([^)]*)\)([-#0 +]*\d*(?:\.\d+)?[sdxi])|(.?))", re.DOTALL)


def read_supervisord(path: Path) -> Source:
    """Read a configuration; raises CannotRead with the place of what cannot be understood."""
    source = Source("supervisord", path)
    sections = _included(source, path)
    daemon = next((s for s in sections if s.name == "supervisord"), Section("supervisord", Place(path)))
    reader = _Reader(source, daemon, sections, folder_of(path))
    for section in sections:
        kind, _, name = section.name.partition(":")
        if kind == "program":
            reader.program(name.strip(), section)
        elif kind in ("eventlistener", "fcgi-program"):
            why = "speaks supervisord's event protocol: see hooks" if kind == "eventlistener" else "FastCGI sockets are supervisord's own"
            source.left_out.append(LeftOut(section.place, f"[{section.name}]", why))
        elif kind == "inet_http_server":
            source.left_out.append(
                LeftOut(section.place, "[inet_http_server]", "psv is commanded by psv on this machine; see [web] for a page")
            )
        elif kind == "group":
            why = "psv has no groups: name bots by a glob (psv restart 'shop-*') or give them a type"
            source.left_out.append(LeftOut(section.place, f"[{section.name}]", why))
        elif section.name not in _SECTIONS:
            source.left_out.append(LeftOut(section.place, f"[{section.name}]", "psv has nothing of the kind, and no program is in it"))
    if not source.programs:
        raise CannotRead(f"{path}: no [program:NAME] is in it or in what it includes", hint="name the file that has the programs")
    return source


def _included(source: Source, path: Path) -> list[Section]:
    sections = read_supervisord_ini(read_text(path), path)
    files = next((entry for section in sections if section.name == "include" for entry in section.entries if entry.key == "files"), None)
    for pattern in files.value.split() if files else []:
        pattern = _expand(
            pattern, {"here": str(path.parent), "host_node_name": socket.gethostname()}, files.place if files else Place(path)
        )
        full = Path(os.path.normpath(path.parent / pattern))
        matches = sorted(Path(full.anchor).glob(str(full.relative_to(full.anchor))))
        if not matches and files is not None:
            source.left_out.append(LeftOut(files.place, f"files = {pattern}", "no such file"))
        for match in matches:
            add_sections(sections, read_supervisord_ini(read_text(match), match))
    return sections


def _expand(text: str, values: Mapping[str, object], place: Place) -> str:
    """Do what supervisord does with %(name)s; an unknown name is an error there too."""

    def replaced(match: re.Match[str]) -> str:
        name, form, other = match.groups()
        if name is None:
            if other != "%":
                raise CannotRead(f"{place}: found a single %, expected %% or %(name)s", hint="supervisord refuses it too")
            return "%"
        value = str(place.path.parent) if name == "here" else values.get(name)
        if value is None and name.startswith("ENV_"):
            value = os.environ.get(name[4:])
        if value is None:
            variable = name[4:] if name.startswith("ENV_") else ""
            hint = (
                f"export {variable} before psv adopt, as supervisord has it" if variable else did_you_mean(name, map(str, values), "names")
            )
            raise CannotRead(f"{place}: %({name})s has no value", hint=hint)
        try:
            return ("%" + form) % (value if form[-1] == "s" else int(str(value)))
        except ValueError as err:
            raise CannotRead(f"{place}: %({name}){form} is no number", hint=f"write %({name})s") from err

    return _EXPANSION.sub(replaced, text)


@dataclass(slots=True)
class _Reader:
    source: Source
    daemon: Section
    sections: list[Section]
    base: Path
    """Where supervisord runs what has no directory."""
    noted: set[str] = field(default_factory=set)

    def program(self, name: str, section: Section) -> None:
        command = section.get("command")
        if command is None or not command.value:
            raise CannotRead(f"{section.place}: [program:{name}] has no command", hint="supervisord refuses it too")
        self._left(section)
        section = self._expanded(section, {"program_name": name, "group_name": name, "host_node_name": socket.gethostname()})
        count = _whole(section, "numprocs", 1)
        first = _whole(section, "numprocs_start", 0)
        process_name = section.text("process_name", "%(program_name)s")
        if count > 1 and "process_num" not in process_name:
            entry = section.get("process_name") or section.get("numprocs")
            place = entry.place if entry else section.place
            raise CannotRead(f"{place}: numprocs is {count}, but process_name has no %(process_num)s", hint="supervisord refuses it too")
        group = self._group(name)
        values: dict[str, object] = {
            "program_name": name, "group_name": group.name.partition(":")[2] if group else name, "numprocs": count,
            "host_node_name": socket.gethostname(),
        }  # fmt: skip
        taken = {found.name for found in self.source.programs}
        for number in range(first, first + count):
            values["process_num"] = number
            found = self._process(section, command, {**values}, group)
            found.name = _expand(process_name, values, section.place)
            if found.name in taken:
                found.name = f"{name}-{found.name}"
            self.source.programs.append(found)

    def _expanded(self, section: Section, values: dict[str, object]) -> Section:
        """Return a section whose values are filled in, but for those that differ from process to process."""
        later = {"command", "environment", "directory", "process_name"}
        made = Section(section.name, section.place)
        for entry in section.entries:
            is_plain = entry.key not in _READ | _LOG_LIMITS or entry.key in later
            made.entries.append(entry if is_plain else Entry(entry.key, _expand(entry.value, values, entry.place), entry.place))
        return made

    def _group(self, name: str) -> Section | None:
        for section in self.sections:
            if section.name.startswith("group:") and name in re.split(r"[,\s]+", section.text("programs")):
                return section
        return None

    def _process(self, section: Section, command: Entry, values: dict[str, object], group: Section | None) -> Found:
        found = Found("", section.place)
        directory = section.get("directory") or self.daemon.get("directory")
        if directory is not None:
            found.cwd = absolute(self.base, _expand(directory.value, values, directory.place))
        else:
            found.cwd = self.base
            why = f"supervisord runs it where it was started itself; psv runs it in {self.base}"
            self._once(f"directory {section.place}", LeftOut(section.place, "no directory=", why))
        for owner in (self.daemon, section):
            if entry := owner.get("environment"):
                self._environment(found, entry, values)
        values = {**values, **{f"ENV_{key}": value for key, value in found.env.items()}}
        self._command(found, command, values)
        self._ends(found, section)
        user = section.get("user") or self.daemon.get("user")
        found.user = user_name(user.value) if user else None
        umask = section.get("umask") or self.daemon.get("umask")
        mask = _octal(umask) if umask else UMASK
        found.umask = mask if umask or mask != own_umask() else None
        if (descriptors := _whole(self.daemon, "minfds", _MINFDS)) > _MINFDS:
            found.nofile = descriptors
        if group is not None and group.get("priority"):
            found.priority = _FIRST - _whole(group, "priority", _FIRST)
        else:
            found.priority = _FIRST - _whole(section, "priority", _FIRST)
        found.autostart = _RESTART.get(section.text("autostart", "true").lower()) != "never"
        return found

    def _command(self, found: Found, command: Entry, values: dict[str, object]) -> None:
        text, place = _expand(command.value, self._without_secrets(found, command.value, values), command.place), command.place
        try:
            found.argv = shlex.split(text)
        except ValueError as err:
            raise CannotRead(f"{place}: command: {str(err).lower()}", hint="close the quote; nothing was written") from err
        if not found.argv:
            raise CannotRead(f"{place}: command is empty", hint="supervisord refuses it too")
        found.name = str(values["program_name"])
        if not fill_in_later(self.source, found, place):
            unwrap_shell(self.source, found, place)

    @staticmethod
    def _without_secrets(found: Found, text: str, values: dict[str, object]) -> dict[str, object]:
        """Return `values` in which a mark stands for each secret variable of `text`, so that its value gets into no file."""
        marked = dict(values)
        for name in re.findall(r"%\(ENV_(\w+)\)s", text):
            value = str(values.get(f"ENV_{name}") or os.environ.get(name, ""))
            if is_secret(name, value):
                marked[f"ENV_{name}"] = mark(name)
                if name not in found.env:
                    found.inherit.append(name)
        return marked

    def _environment(self, found: Found, entry: Entry, values: dict[str, object]) -> None:
        for key, raw in _pairs(entry):
            if raw == f"%(ENV_{key})s" and key not in os.environ:
                found.inherit.append(key)
            else:
                found.env[key] = _expand(raw, values, entry.place)

    def _ends(self, found: Found, section: Section) -> None:
        restart = section.get("autorestart")
        word = restart.value.lower() if restart else "unexpected"
        if restart and word not in _RESTART:
            hint = "expected true, false or unexpected"
            raise CannotRead(f"{restart.place}: autorestart={restart.value}", hint=hint)
        found.restart = _RESTART[word]
        codes = section.get("exitcodes")
        if codes and found.restart == "on-failure" and set(re.split(r"[,\s]+", codes.value)) != {"0"}:
            why = "psv takes only 0 as an end in order: other codes are restarted (75 to 80 have meanings of their own)"
            self._once(f"{codes.place}", LeftOut(codes.place, f"exitcodes={codes.value}", why))
        if signal := section.get("stopsignal"):
            found.stop_signal = signal_name(signal.value, signal.place)
        found.stop_timeout_s = float(_whole(section, "stopwaitsecs", int(_STOP_S)))
        self._log_limits(found, section)
        if section.get("startsecs") and (seconds := _whole(section, "startsecs", 1)) != 1:
            found.ready = {"after": f"{seconds}s"}

    def _log_limits(self, found: Found, section: Section) -> None:
        """Take the limits of the log files, the larger of the two streams'."""
        sizes: list[int] = []
        keeps: list[int] = []
        for stream in ("stderr", "stdout"):
            if entry := section.get(f"{stream}_logfile_maxbytes"):
                try:
                    sizes.append(parse_size(entry.value))
                except ValueError as err:
                    raise CannotRead(f"{entry.place}: {err}", hint="correct the line") from err
                if not sizes[-1]:
                    why = "psv's log files have an end: logs.max and logs.keep (10MB, 5 of them); say more for a longer memory"
                    self._once(f"{entry.place}", LeftOut(entry.place, f"{entry.key}={entry.value}", why))
            if section.get(f"{stream}_logfile_backups"):
                keeps.append(_whole(section, f"{stream}_logfile_backups", 10) + 1)
        found.log_max_bytes = max(sizes, default=0) or None
        found.log_keep = max(keeps, default=0) or None

    def _left(self, section: Section) -> None:
        for entry in section.entries:
            if entry.key in _LEFT and entry.value.upper() not in ("NONE", "AUTO", *map(str.upper, _OFF)):
                self.source.left_out.append(LeftOut(entry.place, f"{entry.key}={entry.value}", _LEFT[entry.key]))
            elif entry.key not in _READ | _SILENT | _LEFT.keys():
                why = f"supervisord knows no such key; {did_you_mean(entry.key, [*_READ, *_SILENT, *_LEFT], 'keys')}"
                self.source.left_out.append(LeftOut(entry.place, entry.key, why))

    def _once(self, key: str, left: LeftOut) -> None:
        if key not in self.noted:
            self.noted.add(key)
            self.source.left_out.append(left)


def signal_name(text: str, place: Place) -> str:
    """Return a signal's name without SIG; raises CannotRead for what is none."""
    import signal

    name = text.strip().upper().removeprefix("SIG")
    try:
        found = signal.Signals(int(name)) if name.isdigit() else signal.Signals[f"SIG{name}"]
    except (KeyError, ValueError) as err:
        raise CannotRead(f"{place}: found the signal {text}, expected one such as TERM or INT", hint="correct the line") from err
    return found.name.removeprefix("SIG")


def _pairs(entry: Entry) -> Iterable[tuple[str, str]]:
    """Yield the variables of KEY="value",KEY2=value, split as supervisord does."""
    lexer = shlex.shlex(entry.value, posix=False)
    lexer.wordchars += "/.+-():%@!^*~"
    lexer.commenters = ""
    try:
        tokens = list(lexer)
    except ValueError as err:
        raise CannotRead(f"{entry.place}: environment: {str(err).lower()}", hint='expected KEY="value",KEY2="value"') from err
    at = 0
    while at < len(tokens):
        if at + 2 >= len(tokens) or tokens[at + 1] != "=" or (at + 3 < len(tokens) and tokens[at + 3] != ","):
            raise CannotRead(f'{entry.place}: environment is not well formed, expected KEY="value",KEY2="value"', hint="quote the values")
        value = tokens[at + 2]
        yield tokens[at], value[1:-1] if value[:1] in "\"'" and value[-1:] == value[:1] and len(value) > 1 else value
        at += 4


def _whole(section: Section, key: str, default: int) -> int:
    entry = section.get(key)
    if entry is None:
        return default
    try:
        number = int(entry.value)
        if number < 0 or (key == "numprocs" and not 1 <= number <= 1000):
            raise ValueError
    except ValueError as err:
        raise CannotRead(f"{entry.place}: found {key}={entry.value}, expected a whole number", hint="correct the line") from err
    return number


def _octal(entry: Entry) -> int:
    try:
        return int(entry.value, 8) & 0o777
    except ValueError as err:
        raise CannotRead(f"{entry.place}: found umask={entry.value}, expected octal digits", hint="correct the line") from err
