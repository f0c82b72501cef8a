"""systemd service units, several together: each becomes a bot, and what stands between them becomes depends_on.

Read with their drop-ins (NAME.service.d/*.conf); of a template name@.service every instance that is enabled beside it, or the one
that was named. Units of other kinds, Type=forking and Type=oneshot are left out with a word.
"""

from __future__ import annotations

import re
from pathlib import Path

from processsupervisor.adopt.ini import Entry, Section, read_systemd_ini
from processsupervisor.adopt.program import CannotRead, Found, LeftOut, Place, Source
from processsupervisor.adopt.shells import unwrap_shell
from processsupervisor.adopt.supervisord import signal_name
from processsupervisor.adopt.table import absolute
from processsupervisor.adopt.text import read_text
from processsupervisor.adopt.unitvalues import Specifiers, exec_words, list_of, seconds_of, size_of, words_of

_TYPES = ("simple", "exec", "notify", "notify-reload", "idle")
_RESTART = {"no": "never", "always": "always", "on-failure": "on-failure", "on-abnormal": "on-failure", "on-abort": "on-failure",
            "on-watchdog": "on-failure", "on-success": "always"}  # fmt: skip
_SILENT = frozenset({
    "Description", "Documentation", "SyslogIdentifier", "SyslogFacility", "StandardInput", "KillMode", "SendSIGKILL", "WantedBy", "Alias",
    "After", "Requires", "Wants", "BindsTo", "PartOf", "DefaultDependencies", "Type", "RemainAfterExit", "NotifyAccess", "RequiredBy",
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
_NO_SUCH = "psv has no such setting; a unit that runs psv up may have it for all bots"
_UNIT = re.compile(r"(?P<prefix>[^@]+)(?:@(?P<instance>.*))?\.service")


def read_units(paths: list[Path]) -> Source:
    """Read units; raises CannotRead for a template without an instance, a unit without ExecStart, a value that is none."""
    source = Source("systemd", paths[0])
    names: dict[str, str] = {}
    units: list[tuple[Found, list[Section]]] = []
    for path, instance in [pair for given in paths for pair in _instances(given)]:
        match = _UNIT.fullmatch(path.name)
        if match is None:
            what = path.suffix[1:] or path.name
            source.left_out.append(LeftOut(Place(path), path.name, f"a {what} unit: psv runs services; for a timer write schedule"))
            continue
        prefix = match["prefix"]
        unit = f"{prefix}@{instance}.service" if instance else path.name
        found = _Unit(source, path, prefix, instance).read()
        if found is not None:
            names[unit] = found[0].name
            units.append(found)
    for one, sections in units:
        _order(source, one, sections, names)
    source.programs = [found for found, _ in units]
    if not source.programs and not source.left_out:
        raise CannotRead(f"{paths[0]}: no service is in it", hint="name a .service file")
    return source


def _instances(path: Path) -> list[tuple[Path, str]]:
    """Return the file and the instance of each unit that a path stands for."""
    match = _UNIT.fullmatch(path.name)
    if match is None or match["instance"] is None:
        return [(path, "")]
    template = path.with_name(f"{match['prefix']}@.service")
    if match["instance"]:
        return [(path if path.is_file() and not path.is_symlink() else template, match["instance"])]
    links = [*path.parent.glob(f"{match['prefix']}@?*.service"), *path.parent.glob(f"*.wants/{match['prefix']}@?*.service")]
    found = sorted({inner["instance"] for link in links if (inner := _UNIT.fullmatch(link.name))})
    if not found:
        hint = f"name one: psv adopt {match['prefix']}@NAME.service"
        raise CannotRead(f"{path}: a template, and no instance of it is enabled beside it", hint=hint)
    return [(path, instance) for instance in found]


def _order(source: Source, found: Found, sections: list[Section], names: dict[str, str]) -> None:
    for entry in _all(sections, "Unit", ("After", "Requires", "Wants", "BindsTo")):
        for unit in entry.value.split():
            if unit in names and names[unit] != found.name:
                if names[unit] not in found.depends_on:
                    found.depends_on.append(names[unit])
            elif not unit.endswith((".target", ".slice", ".mount")):
                why = "is not of this fleet: put it into the unit that runs psv up (psv service install)"
                source.left_out.append(LeftOut(entry.place, f"{entry.key}={unit}", why))


def _all(sections: list[Section], name: str, keys: tuple[str, ...]) -> list[Entry]:
    return [entry for section in sections if section.name == name for entry in section.entries if entry.key in keys]


class _Unit:
    def __init__(self, source: Source, path: Path, prefix: str, instance: str) -> None:
        self._source = source
        self._path = path
        self._name = f"{prefix}-{instance}" if instance else prefix
        self._specifiers = Specifiers(prefix, instance)
        self._dropins = [f"{prefix}@.service.d", f"{prefix}@{instance}.service.d"] if instance else [f"{path.name}.d"]

    def read(self) -> tuple[Found, list[Section]] | None:
        sections = read_systemd_ini(read_text(self._path), self._path)
        for folder in self._dropins:
            for extra in sorted(self._path.with_name(folder).glob("*.conf")):
                _merge(sections, read_systemd_ini(read_text(extra), extra))
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
        found = Found(self._name, Place(self._path), cwd=Path("/"), restart="never")
        if kind.startswith("notify"):
            found.ready = {"notify": True}
        self._environment(found, service)
        self._command(found, service)
        self._settings(found, service)
        self._left(sections)
        return found, sections

    def _value(self, entry: Entry) -> str:
        return self._specifiers.expand(entry.value, entry.place)

    def _environment(self, found: Found, service: Section) -> None:
        for entry in list_of(service, "Environment"):
            for word in words_of(self._value(entry), entry.place):
                key, equals, value = word.partition("=")
                if not equals:
                    raise CannotRead(f"{entry.place}: found a word without = in Environment", hint='expected NAME=value, or "NAME=a value"')
                found.env[key] = value
        for entry in list_of(service, "EnvironmentFile"):
            text = self._value(entry)
            path = Path(text.removeprefix("-"))
            if text.startswith("-") and not path.is_file():
                self._source.left_out.append(LeftOut(entry.place, f"EnvironmentFile={text}", "optional, and not there"))
            else:
                found.env_files.append(path)
        for entry in list_of(service, "PassEnvironment"):
            found.inherit += entry.value.split()

    def _command(self, found: Found, service: Section) -> None:
        lines = list_of(service, "ExecStart")
        if not lines:
            raise CannotRead(f"{service.place}: {self._name} has no ExecStart", hint="systemd refuses it too")
        if len(lines) > 1:
            raise CannotRead(f"{lines[1].place}: {self._name} has a second ExecStart", hint="only Type=oneshot may; nothing was written")
        entry = lines[0]
        found.place = entry.place
        words, unknown = exec_words(self._value(entry), found.env, entry.place)
        if unknown:
            found.shell = "exec " + " ".join(words)
            why = f"{', '.join(unknown)} comes from elsewhere than Environment=: run by sh -c, which expands it"
            self._source.left_out.append(LeftOut(entry.place, f"the command of {found.name}", why))
            return
        found.argv = words
        unwrap_shell(self._source, found, entry.place)

    def _settings(self, found: Found, service: Section) -> None:
        if entry := service.get("WorkingDirectory"):
            found.cwd = absolute(Path("/"), self._value(entry).removeprefix("-"))
        if (entry := service.get("User")) and entry.value:
            found.user = self._value(entry)
        if entry := service.get("Restart"):
            if entry.value not in _RESTART:
                raise CannotRead(
                    f"{entry.place}: found Restart={entry.value}, expected one of {', '.join(_RESTART)}", hint="correct the line"
                )
            found.restart = _RESTART[entry.value]
            if entry.value not in ("no", "always", "on-failure"):
                told = LeftOut(entry.place, f"Restart={entry.value}", f'psv: restart = {{ policy = "{found.restart}" }}')
                self._source.left_out.append(told)
        if entry := service.get("RestartSec"):
            found.restart_delay_s = seconds_of(entry)
        if entry := service.get("RestartMaxDelaySec"):
            found.restart_max_s = seconds_of(entry)
        if entry := service.get("KillSignal"):
            found.stop_signal = signal_name(entry.value, entry.place)
        if entry := service.get("TimeoutStopSec") or service.get("TimeoutSec"):
            found.stop_timeout_s = seconds_of(entry)
            if found.stop_timeout_s is None:
                self._source.left_out.append(
                    LeftOut(entry.place, f"{entry.key}={entry.value}", "psv always kills in the end: stop.timeout")
                )
        if entry := service.get("UMask"):
            found.umask = int(entry.value, 8) & 0o777 if re.fullmatch("[0-7]{1,4}", entry.value) else None
        if entry := service.get("LimitNOFILE"):
            soft = entry.value.partition(":")[0]
            found.nofile = int(soft) if soft.isdigit() else None
        if entry := service.get("MemoryMax") or service.get("MemoryLimit"):
            found.memory_bytes = size_of(entry)

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


def _merge(sections: list[Section], more: list[Section]) -> None:
    for section in more:
        same = next((known for known in sections if known.name == section.name), None)
        if same is None:
            sections.append(section)
        else:
            same.entries += section.entries
