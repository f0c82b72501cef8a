"""systemd service units, several together: each becomes a bot, and what stands between them becomes depends_on.

Read with their drop-ins in all folders of their manager; of a template name@.service every instance that is enabled, or the one that
was named. Units of other kinds, masked ones, Type=forking and Type=oneshot are left out with a word.
"""

from __future__ import annotations

import re
from pathlib import Path

from processsupervisor.adopt.ini import Entry, Section, add_sections, read_systemd_ini
from processsupervisor.adopt.owner import UMASK, own_umask, user_name
from processsupervisor.adopt.program import CannotRead, Found, LeftOut, Place, Source
from processsupervisor.adopt.shells import unwrap_shell
from processsupervisor.adopt.supervisord import signal_name
from processsupervisor.adopt.table import absolute, is_secret
from processsupervisor.adopt.text import read_text
from processsupervisor.adopt.unitfiles import UNIT, dropins, instances, is_enabled, is_masked, is_of_user
from processsupervisor.adopt.unitvalues import (
    Specifiers,
    exec_words,
    home_of,
    list_of,
    prefixes_of,
    read_environment_file,
    seconds_of,
    size_of,
    words_of,
)
from processsupervisor.kernel.errors import PsvError
from processsupervisor.launch.envfile import parse_env_file

_TYPES = ("simple", "exec", "notify", "notify-reload", "idle")
_RESTART = {"no": "never", "always": "always", "on-failure": "on-failure", "on-abnormal": "on-failure", "on-abort": "on-failure",
            "on-watchdog": "on-failure", "on-success": "always"}  # fmt: skip
_SILENT = frozenset({
    "Description", "Documentation", "SyslogIdentifier", "SyslogFacility", "StandardInput", "KillMode", "SendSIGKILL", "WantedBy", "Alias",
    "After", "Requires", "Wants", "BindsTo", "DefaultDependencies", "Type", "RemainAfterExit", "NotifyAccess", "RequiredBy",
    "ExecStart", "Environment", "EnvironmentFile", "PassEnvironment", "User", "WorkingDirectory", "Restart", "RestartSec", "KillSignal",
    "TimeoutStopSec", "UMask", "LimitNOFILE", "MemoryMax", "MemoryLimit", "RestartMaxDelaySec", "TimeoutSec",
})  # fmt: skip
_LEFT = {
    "ExecStartPre": 'hooks = { before_start = ["..."] } runs a command before each start',
    "ExecStartPost": 'hooks = { after_start = ["..."] } runs a command after each start',
    "ExecStop": 'psv sends the stop signal; hooks = { before_stop = ["..."] } runs a command before it',
    "ExecStopPost": 'hooks = { after_exit = ["..."] } runs a command after each end',
    "ExecReload": "psv reloads by a restart, or by psv bot signal NAME HUP",
    "WatchdogSec": "psv watches the event loop itself: hang_after; other checks: health",
    "TimeoutStartSec": "start_timeout of the bot (default 60s)",
    "Group": "psv takes the groups of the user",
    "StartLimitIntervalSec": "psv has windows of its own: restart.window",
    "StartLimitBurst": "psv has windows of its own: restart.window",
    "LimitNPROC": "limits = { nproc = ... }",
    "TasksMax": "limits = { pids = ... } (default 1024)",
}
_LEFT |= dict.fromkeys(
    ("RestartPreventExitStatus", "RestartForceExitStatus", "SuccessExitStatus"),
    "psv takes 0 as an end in order, never retries 77, 78 and 79, and restarts after any other code",
)
_LEFT["PartOf"] = "restart_with restarts bots together"
_LEFT["DynamicUser"] = "make a user for it, and write user: psv would run it as the user who runs psv"
_NO_SUCH = "psv has no such setting; a unit that runs psv up may have it for all bots"
_STOP_S = 90.0
"""DefaultTimeoutStopSec of systemd."""


def read_units(paths: list[Path]) -> Source:
    """Read units; raises CannotRead for a template without an instance, a unit without ExecStart, a value that is none."""
    source = Source("systemd", paths[0])
    names: dict[str, str] = {}
    units: list[tuple[Found, list[Section], Specifiers]] = []
    for path, instance in [pair for given in paths for pair in instances(given)]:
        match = UNIT.fullmatch(path.name)
        if match is None:
            what = path.suffix[1:] or path.name
            source.left_out.append(LeftOut(Place(path), path.name, f"a {what} unit: psv runs services; for a timer write schedule"))
            continue
        if is_masked(path):
            source.left_out.append(LeftOut(Place(path), path.name, "masked: systemd never starts it, and psv neither"))
            continue
        prefix = match["prefix"]
        unit = f"{prefix}@{instance}.service" if instance else path.name
        reader = _Unit(source, path, prefix, instance)
        found = reader.read()
        if found is not None:
            names[unit] = found[0].name
            units.append((*found, reader.specifiers))
    source.programs = [found for found, _, _ in units]
    for one, sections, specifiers in units:
        _order(source, one, sections, names, specifiers)
    if not source.programs and not source.left_out:
        raise CannotRead(f"{paths[0]}: no service is in it", hint="name a .service file")
    return source


def _order(source: Source, found: Found, sections: list[Section], names: dict[str, str], specifiers: Specifiers) -> None:
    """Make depends_on of what the unit names: After first, which alone says the order; the others where they close no circle."""
    programs = {one.name: one for one in source.programs}
    for entry in sorted(_all(sections, "Unit", ("After", "Requires", "Wants", "BindsTo")), key=lambda entry: entry.key != "After"):
        for unit in specifiers.expand(entry.value, entry.place).split():
            other = names.get(unit)
            if other is not None and other != found.name:
                if other not in found.depends_on and not _leads_to(programs, other, found.name):
                    found.depends_on.append(other)
            elif other is None and not unit.endswith((".target", ".slice", ".mount")):
                why = "is not of this fleet: put it into the unit that runs psv up (psv service install)"
                source.left_out.append(LeftOut(entry.place, f"{entry.key}={unit}", why))


def _leads_to(programs: dict[str, Found], start: str, goal: str) -> bool:
    """Tell whether `start` waits for `goal`, itself or by others."""
    waiting, seen = [start], set[str]()
    while waiting:
        name = waiting.pop()
        if name == goal:
            return True
        if name not in seen:
            seen.add(name)
            waiting += programs[name].depends_on
    return False


def _all(sections: list[Section], name: str, keys: tuple[str, ...]) -> list[Entry]:
    return [entry for section in sections if section.name == name for entry in section.entries if entry.key in keys]


class _Unit:
    def __init__(self, source: Source, path: Path, prefix: str, instance: str) -> None:
        self._source = source
        self._path = path
        self._instance = instance
        self._name = f"{prefix}-{instance}" if instance else prefix
        self._unit = f"{prefix}@{instance}.service" if instance else path.name
        self.specifiers = Specifiers(prefix, instance, is_of_user=is_of_user(path), is_systems="/systemd/system" in str(path.parent))

    def read(self) -> tuple[Found, list[Section]] | None:
        sections = read_systemd_ini(read_text(self._path), self._path)
        for extra in dropins(self._path, self._instance):
            if not is_masked(extra):
                add_sections(sections, read_systemd_ini(read_text(extra), extra))
        service = next((section for section in sections if section.name == "Service"), None)
        if service is None:
            raise CannotRead(f"{self._path}: there is no [Service] in it", hint="name a .service file")
        kind = service.text("Type", "simple")
        place = service.get("Type") or Entry("", "", Place(self._path))
        if kind not in _TYPES:
            why = {
                "forking": "puts itself into the background: run it in the foreground (most programs have an option) and adopt it then",
                "oneshot": 'ends by itself: make it a task, as in schedule = { cron = "0 4 * * *" }',
                "dbus": "psv has no D-Bus: run it as Type=simple",
            }.get(kind, "systemd knows no such type")
            self._source.left_out.append(LeftOut(place.place, f"{self._name}: Type={kind}", why))
            return None
        folder = Path.home() if is_of_user(self._path) else Path("/")
        found = Found(self._name, Place(self._path), cwd=folder, restart="never", stop_timeout_s=_STOP_S, files_win=True)
        if kind.startswith("notify"):
            found.ready = {"notify": True}
        self._environment(found, service)
        self._command(found, service)
        self._settings(found, service)
        self._limits(found, service)
        self._left(sections)
        self._enabled(found, sections)
        return found, sections

    def _enabled(self, found: Found, sections: list[Section]) -> None:
        """A unit that could be enabled and is not stays off here, too."""
        if _all(sections, "Install", ("WantedBy", "RequiredBy")) and is_enabled(self._path, self._unit) is False:
            found.autostart = False
            why = "systemd does not start it at boot, and psv up does not either: autostart = false"
            self._source.left_out.append(LeftOut(Place(self._path), f"{self._unit} is not enabled", why))

    def _tell(self, entry: Entry, why: str) -> None:
        self._source.left_out.append(LeftOut(entry.place, f"{entry.key}={entry.value}", why))

    def _value(self, entry: Entry) -> str:
        return self.specifiers.expand(entry.value, entry.place)

    def _environment(self, found: Found, service: Section) -> None:
        for entry in list_of(service, "Environment"):
            for word in words_of(entry.value, entry.place):
                key, equals, value = self.specifiers.expand(word, entry.place).partition("=")
                if not equals:
                    raise CannotRead(f"{entry.place}: found a word without = in Environment", hint='expected NAME=value, or "NAME=a value"')
                found.env[key] = value
        for entry in list_of(service, "EnvironmentFile"):
            text = self._value(entry)
            pattern = Path(text.removeprefix("-"))
            paths = sorted(pattern.parent.glob(pattern.name)) if re.search(r"[*?\[]", pattern.name) else [pattern]
            there = [path for path in paths if path.is_file() or not text.startswith("-")]
            if not there:
                self._source.left_out.append(LeftOut(entry.place, f"EnvironmentFile={text}", "optional, and not there"))
            found.env_files += there
        self._file_over_table(found, service)
        for entry in list_of(service, "PassEnvironment"):
            found.inherit += entry.value.split()

    def _file_over_table(self, found: Found, service: Section) -> None:
        """A file wins over Environment= in systemd, and `env` over env_file in psv: what both have is left to the file."""
        for path in found.env_files:
            try:
                theirs, ours = read_environment_file(path), parse_env_file(path)
            except (OSError, ValueError, PsvError):
                continue  # psv check says what is wrong with it
            place = next(entry.place for entry in service.entries if entry.key == "EnvironmentFile")
            for name in sorted(found.env.keys() & theirs.keys()):
                del found.env[name]
                why = f"{path} has it too, which wins there: left to the file"
                self._source.left_out.append(LeftOut(place, f"{name} of Environment", why))
            other = sorted(name for name in theirs if theirs[name] != ours.get(name))
            if other:
                why = "systemd reads another value there than psv (a # in it, a backslash): put the value into single quotes"
                self._source.left_out.append(LeftOut(Place(path), ", ".join(other), why))

    def _command(self, found: Found, service: Section) -> None:
        lines = list_of(service, "ExecStart")
        if not lines:
            raise CannotRead(f"{service.place}: {self._name} has no ExecStart", hint="systemd refuses it too")
        if len(lines) > 1:
            raise CannotRead(f"{lines[1].place}: {self._name} has a second ExecStart", hint="only Type=oneshot may; nothing was written")
        entry = lines[0]
        found.place = entry.place
        self._prefixes(found, entry)
        plain = {name: value for name, value in found.env.items() if not is_secret(name, value)}
        words, unknown = exec_words(entry.value, plain, entry.place, self.specifiers)
        if unknown:
            found.shell = "exec " + " ".join(words)
            why = f"{', '.join(unknown)} is a secret or not of Environment=: run by sh -c, which expands it"
            self._source.left_out.append(LeftOut(entry.place, f"the command of {found.name}", why))
            return
        found.argv = words
        unwrap_shell(self._source, found, entry.place)

    def _prefixes(self, found: Found, entry: Entry) -> None:
        prefixes = prefixes_of(entry.value)
        if "-" in prefixes:
            self._source.left_out.append(
                LeftOut(entry.place, "ExecStart=-", "to systemd any end of it is one in order; to psv only code 0")
            )
        if {"+", "!"} & set(prefixes):
            why = "started with all rights there, whatever User= says; psv starts it as that user"
            self._source.left_out.append(LeftOut(entry.place, f"ExecStart={prefixes}", why))

    def _settings(self, found: Found, service: Section) -> None:
        if (entry := service.get("User")) and entry.value:
            found.user = user_name(self._value(entry))
        if (entry := service.get("WorkingDirectory")) and entry.value:
            text = self._value(entry).removeprefix("-")
            found.cwd = home_of(found.user, entry.place) if text == "~" else absolute(Path("/"), text)
        if (entry := service.get("Restart")) and entry.value:
            if entry.value not in _RESTART:
                raise CannotRead(
                    f"{entry.place}: found Restart={entry.value}, expected one of {', '.join(_RESTART)}", hint="correct the line"
                )
            found.restart = _RESTART[entry.value]
            if entry.value not in ("no", "always", "on-failure"):
                told = LeftOut(entry.place, f"Restart={entry.value}", f'psv: restart = {{ policy = "{found.restart}" }}')
                self._source.left_out.append(told)
        if (entry := service.get("RestartSec")) and entry.value:
            found.restart_delay_s = seconds_of(entry)
        if entry := service.get("RestartMaxDelaySec"):
            found.restart_max_s = seconds_of(entry)
        if (entry := service.get("KillSignal")) and entry.value:
            found.stop_signal = signal_name(entry.value, entry.place)
        if (entry := service.get("TimeoutStopSec") or service.get("TimeoutSec")) and entry.value:
            found.stop_timeout_s = seconds_of(entry)
            if found.stop_timeout_s is None:
                found.stop_timeout_s = _STOP_S
                self._tell(entry, f"psv always kills in the end: stop.timeout, here {_STOP_S:.0f}s")

    def _limits(self, found: Found, service: Section) -> None:
        entry = service.get("UMask")
        if entry is not None and not re.fullmatch("[0-7]{1,4}", entry.value):
            raise CannotRead(f"{entry.place}: found UMask={entry.value}, expected octal digits", hint="correct the line")
        mask = int(entry.value, 8) & 0o777 if entry is not None else UMASK
        found.umask = mask if entry is not None or mask != own_umask() else None
        if (entry := service.get("LimitNOFILE")) and entry.value:
            soft = entry.value.partition(":")[0]
            found.nofile = int(soft) if soft.isdigit() else None
            if found.nofile is None:
                self._tell(entry, "limits.nofile takes a number")
        if (entry := service.get("MemoryMax") or service.get("MemoryLimit")) and entry.value:
            found.memory_bytes = size_of(entry)
            if found.memory_bytes is None and entry.value != "infinity":
                self._tell(entry, "limits.memory takes a size")

    def _left(self, sections: list[Section]) -> None:
        for section in sections:
            if section.name not in ("Unit", "Service", "Install") and not section.name.startswith("X-"):
                self._source.left_out.append(LeftOut(section.place, f"[{section.name}]", "systemd knows no such section in a service"))
                continue
            for entry in section.entries:
                if entry.key in ("StandardOutput", "StandardError"):
                    if ":" in entry.value:
                        told = LeftOut(entry.place, f"{entry.key}={entry.value}", "psv keeps its output in .psv/logs: psv logs NAME")
                        self._source.left_out.append(told)
                elif entry.key == "KillMode" and entry.value not in ("control-group", "mixed"):
                    self._source.left_out.append(LeftOut(entry.place, f"KillMode={entry.value}", "psv ends the whole process tree"))
                elif entry.key not in _SILENT and not entry.key.startswith("X-"):
                    self._source.left_out.append(LeftOut(entry.place, entry.key, _LEFT.get(entry.key, _NO_SUCH)))
