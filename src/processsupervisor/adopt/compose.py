"""A compose file: services that run a program of this project become bots that run here, on the machine itself, without a container.

That is a service with `build` (its Dockerfile says the command), or with a `command` over a folder that is mounted. A service that is
only somebody's image (a database, a proxy) is left out: it stays in compose. Paths in the container become paths of the project.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from processsupervisor.adopt.composevalues import expand_variables, list_or_table, seconds_of, words_of
from processsupervisor.adopt.dockerfile import Image, read_dockerfile
from processsupervisor.adopt.documents import Document, read_yaml
from processsupervisor.adopt.program import CannotRead, Found, LeftOut, Place, Source
from processsupervisor.adopt.shells import fill_in_later, mark, marks_in, unwrap_shell
from processsupervisor.adopt.supervisord import signal_name
from processsupervisor.adopt.table import absolute, is_secret
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.units import parse_size
from processsupervisor.launch.envfile import parse_env_file

_SILENT = frozenset(
    """build image command entrypoint environment env_file restart stop_signal stop_grace_period depends_on user working_dir mem_limit
    container_name init tty stdin_open volumes profiles labels hostname pull_policy""".split()
)
_LEFT = {
    "ports": "it listens on this machine itself: set its port in env or args",
    "expose": "it listens on this machine itself",
    "networks": "there is no network of its own: other services are at 127.0.0.1, by the ports that compose publishes",
    "network_mode": "it has the machine's network",
    "links": "other services are at 127.0.0.1, by the ports that compose publishes",
    "healthcheck": 'health = { http = "...", exec = ["..."] } of the bot',
    "logging": "psv keeps its output in .psv/logs: psv logs NAME",
    "scale": "one bot; write a bot for each further copy",
    "secrets": "read the files themselves, or write env_file",
}
_STOP_S = 10.0
_RESTART = {"no": "never", "always": "always", "unless-stopped": "always", "on-failure": "on-failure"}


def read_compose(path: Path) -> Source:
    """Read a compose file; raises CannotRead with the place of what cannot be understood."""
    document = read_yaml(path)
    source = Source("compose", path)
    services = document.value.get("services") if isinstance(document.value, dict) else None
    if not isinstance(services, dict) or not services:
        raise CannotRead(f"{path}: there are no services in it", hint="name a compose file, or a pm2 file with apps:")
    variables = _project_variables(source, path)
    _beside(source, document, path)
    for name, table in services.items():
        if not isinstance(table, dict):
            raise CannotRead(
                f"{document.place('services', name)}: service {name} is no table", hint="correct the file; nothing was written"
            )
        _Service(source, document, str(name), table, variables).read()
    if source.programs:
        listed = " ".join(found.name for found in source.programs)
        told = f"psv adopt --check does not see into containers: docker compose stop {listed} before psv up"
        source.left_out.append(LeftOut(document.place("services"), "that it runs in containers", told))
    names = {found.name for found in source.programs}
    for found in source.programs:
        for other in [other for other in found.depends_on if other not in names]:
            told = "stays in compose: start it before psv up"
            source.left_out.append(
                LeftOut(document.place("services", found.name, "depends_on"), f"depends_on {other} of {found.name}", told)
            )
        found.depends_on = [other for other in found.depends_on if other in names]
    return source


def _beside(source: Source, document: Document, path: Path) -> None:
    """Tell of what docker compose puts together with this file and psv does not."""
    for name in ("compose.override.yaml", "compose.override.yml", "docker-compose.override.yml", "docker-compose.override.yaml"):
        if path.with_name(name).is_file() and path.stem in ("compose", "docker-compose"):
            why = "docker compose lays it over this file, psv adopt does not: docker compose config > whole.yaml, and adopt that"
            source.left_out.append(LeftOut(Place(path.with_name(name)), name, why))
    for key in document.value:
        if key not in ("services", "version", "name", "networks", "volumes") and not str(key).startswith("x-"):
            why = "is not read: docker compose config > whole.yaml, and adopt that" if key == "include" else "psv has nothing of the kind"
            source.left_out.append(LeftOut(document.place(str(key)), str(key), why))


def _project_variables(source: Source, path: Path) -> dict[str, str]:
    """Return what ${NAME} stands for: the .env beside the file, under the environment of this command, as compose has it."""
    file = path.with_name(".env")
    variables: dict[str, str] = {}
    if file.is_file():
        try:
            variables = parse_env_file(file)
        except PsvError as err:
            source.left_out.append(LeftOut(Place(file), ".env", err.message))
    return {**variables, **os.environ}


class _Service:
    def __init__(self, source: Source, document: Document, name: str, table: dict[str, Any], variables: dict[str, str]) -> None:
        self._source = source
        self._document = document
        self._name = name
        self._table = table
        self._variables = variables
        self._folder = document.path.parent

    def read(self) -> None:
        if "extends" in self._table:
            raise CannotRead(
                f"{self._place('extends')}: {self._name} extends another service", hint="docker compose config > whole.yaml, and adopt that"
            )
        image, context = self._image()
        mounts = self._mounts(image, context)
        given = words_of(self._table, "command", self._place("command"))
        entrypoint = words_of(self._table, "entrypoint", self._place("entrypoint"))
        of_image = image.entrypoint, image.command if not entrypoint else []
        words = [(word, not own) for own, theirs in zip((entrypoint, given), of_image, strict=True) for word in own or theirs]
        if context is None and not (words and mounts):
            told = "only an image, no program of this project: it stays in compose"
            self._source.left_out.append(LeftOut(self._place(), f"service {self._name}", told))
            return
        if not words:
            told = "nothing says what it runs: add command to the service, or CMD to its Dockerfile"
            self._source.left_out.append(LeftOut(self._place(), f"service {self._name}", told))
            return
        workdir = str(self._table.get("working_dir", image.workdir))
        found = Found(
            self._name, self._place(), cwd=_host_path(workdir, mounts) or context or self._folder, restart="never", stop_timeout_s=_STOP_S
        )
        self._environment(found, image)
        known = {**self._variables, **found.env}
        hidden = {name: mark(name) if is_secret(name, value) else value for name, value in known.items()}
        argv = [word if is_image else expand_variables(word, hidden, self._place("command")) for word, is_image in words]
        found.argv = [str(_host_path(word, mounts) or word) if word.startswith("/") else word for word in argv]
        for name in marks_in(found.argv):
            found.env[name] = known[name]
        if not fill_in_later(self._source, found, self._place("command")):
            unwrap_shell(self._source, found, self._place("command"))
        for key, value in found.env.items():
            here = _host_path(value, mounts) if value.startswith("/") else None
            if here is not None and "/" not in mounts:
                found.env[key] = str(here)
                self._source.left_out.append(
                    LeftOut(self._place("environment", key), f"{key} of {self._name}", f"a path of the container: {here} here")
                )
        self._settings(found, image)
        self._left(found, mounts)
        self._moved(workdir, mounts)
        self._source.programs.append(found)

    def _place(self, *keys: str) -> Place:
        return self._document.place("services", self._name, *keys)

    def _image(self) -> tuple[Image, Path | None]:
        build = self._table.get("build")
        if build is None:
            return Image(), None
        settings = {"context": build} if isinstance(build, str) else build if isinstance(build, dict) else {}
        context = Path(os.path.normpath(self._folder / str(settings.get("context", "."))))
        file = context / str(settings.get("dockerfile", "Dockerfile"))
        if not file.is_file():
            if "command" in self._table or "entrypoint" in self._table:
                return Image(), context
            raise CannotRead(f"{self._place('build')}: {file} does not exist", hint="correct build, or add command to the service")
        image = read_dockerfile(file, str(settings.get("target", "")))
        if image.installs:
            why = 'what the image installs is not installed here: give python = "venv" with the same libraries'
            self._source.left_out.append(LeftOut(Place(file, image.installs), f"RUN of {self._name}", why))
        if image.user and "user" not in self._table:
            why = "a user of the container: psv runs it as the user who runs psv, or as user says"
            self._source.left_out.append(LeftOut(Place(file), f"USER {image.user} of {self._name}", why))
        return image, context

    def _mounts(self, image: Image, context: Path | None) -> dict[str, Path]:
        """Return the folders of the container that are folders of the project; mounts hide what the image copied."""
        mounts = {}
        if context is not None:
            mounts = {target: Path(os.path.normpath(context / copied)) for target, copied in image.copied.items()}
            mounts.setdefault(image.workdir, context)
        for source, target in self._volumes():
            if source.startswith((".", "/", "~")):
                mounts[posixpath.normpath(target)] = absolute(self._folder, source)
        return mounts

    def _volumes(self) -> list[tuple[str, str]]:
        """Return source and target of each volume; a source is empty when the container makes the folder."""
        pairs = []
        for volume in self._table.get("volumes") or []:
            if isinstance(volume, dict):
                pairs.append((str(volume.get("source", "")), str(volume.get("target", ""))))
            else:
                parts = expand_variables(str(volume), self._variables, self._place("volumes")).split(":")
                pairs.append((parts[0], parts[1]) if len(parts) > 1 else ("", parts[0]))
        return pairs

    def _environment(self, found: Found, image: Image) -> None:
        found.env.update({key: value for key, value in image.env.items() if not key.startswith("PATH")})
        files = self._table.get("env_file", [])
        for entry in files if isinstance(files, list) else [files]:
            text, needed = (str(entry.get("path", "")), entry.get("required", True)) if isinstance(entry, dict) else (str(entry), True)
            path = Path(os.path.normpath(self._folder / expand_variables(text, self._variables, self._place("env_file"))))
            if path.is_file() or needed:
                found.env_files.append(path)
        for key, value in list_or_table(self._table.get("environment"), self._place("environment")):
            if value is None or (key not in self._variables and value in (f"${key}", f"${{{key}}}")):
                if key in self._variables and key not in os.environ:
                    found.env[key] = self._variables[key]
                else:
                    found.inherit.append(key)
            else:
                found.env[key] = expand_variables(value, self._variables, self._place("environment", key))

    def _swarm_restart(self) -> str:
        """Return the restart policy below deploy, which docker compose follows where the service names none."""
        policy = (self._table.get("deploy") or {}).get("restart_policy") or {} if isinstance(self._table.get("deploy"), dict) else {}
        return {"none": "no", "on-failure": "on-failure"}.get(str(policy.get("condition", "any")), "always") if policy else "no"

    def _depends(self, found: Found) -> None:
        depends = self._table.get("depends_on") or []
        found.depends_on = [str(other) for other in depends]
        for other, settings in depends.items() if isinstance(depends, dict) else ():
            condition = settings.get("condition", "service_started") if isinstance(settings, dict) else ""
            if condition == "service_completed_successfully":
                found.depends_until[str(other)] = "completed"

    def _settings(self, found: Found, image: Image) -> None:
        place, restart = self._place("restart"), str(self._table.get("restart", self._swarm_restart())).lower()
        word = {"false": "no", "true": "always"}.get(restart, restart).partition(":")[0]
        if word not in _RESTART:
            raise CannotRead(f"{place}: found restart: {restart}, expected one of {', '.join(_RESTART)}", hint="correct the file")
        found.restart = _RESTART[word]
        if word == "on-failure" and restart != word:
            told = "psv counts restarts in windows: restart.window"
            self._source.left_out.append(LeftOut(place, f"restart: {restart} of {self._name}", told))
        if signal := str(self._table.get("stop_signal", image.stop_signal)):
            found.stop_signal = signal_name(signal, self._place("stop_signal"))
        if "stop_grace_period" in self._table:
            found.stop_timeout_s = seconds_of(self._table["stop_grace_period"], self._place("stop_grace_period"))
        self._depends(found)
        user = str(self._table.get("user", ""))
        if user and not re.match(r"\d", user):
            found.user = user.partition(":")[0]
        elif user:
            self._source.left_out.append(
                LeftOut(self._place("user"), f"user {user} of {self._name}", "a number of the container: give user a name")
            )
        if self._table.get("profiles"):
            found.autostart = False
            told = "started only on demand: autostart = false, then psv start"
            self._source.left_out.append(LeftOut(self._place("profiles"), f"profiles of {self._name}", told))
        limits = (((self._table.get("deploy") or {}).get("resources") or {}).get("limits") or {}) if "deploy" in self._table else {}
        memory = self._table.get("mem_limit", limits.get("memory"))
        if memory is not None:
            try:
                found.memory_bytes = parse_size(memory)
            except ValueError as err:
                raise CannotRead(f"{self._place('mem_limit')}: {err}", hint="correct the file; nothing was written") from err

    def _moved(self, workdir: str, mounts: dict[str, Path]) -> None:
        """Tell of folders that the program knows by a path which is another one here."""
        cwd = _host_path(workdir, mounts)
        for source, target in self._volumes():
            plain = posixpath.normpath(target)
            if plain not in mounts or str(mounts[plain]) == plain:
                continue
            if cwd is not None and mounts[plain] == Path(os.path.normpath(cwd / posixpath.relpath(plain, workdir))):
                continue  # by its path from the working folder it is the same
            told = f"{mounts[plain]} here: where the program itself names {plain}, give it that"
            self._source.left_out.append(LeftOut(self._place("volumes"), f"volume {source}:{target} of {self._name}", told))

    def _left(self, found: Found, mounts: dict[str, Path]) -> None:
        for _, target in self._volumes():
            if posixpath.normpath(target) not in mounts:
                told = "is a folder of the container: give the program a folder of this machine instead"
                self._source.left_out.append(LeftOut(self._place("volumes"), f"volume {target} of {self._name}", told))
        for key in self._table:
            if key == "deploy":
                replicas = (self._table["deploy"] or {}).get("replicas", 1)
                if replicas not in (0, 1):
                    self._source.left_out.append(LeftOut(self._place("deploy"), f"replicas: {replicas} of {self._name}", _LEFT["scale"]))
                for inner in self._table["deploy"] or {}:
                    if inner not in ("replicas", "restart_policy", "resources"):
                        told = "a swarm's setting that psv does not have"
                        self._source.left_out.append(LeftOut(self._place("deploy", str(inner)), f"deploy.{inner} of {self._name}", told))
            elif key not in _SILENT and not str(key).startswith("x-"):
                why = _LEFT.get(str(key), "a container's setting that psv does not have")
                self._source.left_out.append(LeftOut(self._place(str(key)), f"{key} of {found.name}", why))


def _host_path(path: str, mounts: dict[str, Path]) -> Path | None:
    """Return where a path of the container lies here, by the longest mount that holds it."""
    plain = posixpath.normpath(path)
    for target in sorted(mounts, key=len, reverse=True):
        if plain == target:
            return mounts[target]
        if plain.startswith(target.rstrip("/") + "/"):
            return mounts[target] / posixpath.relpath(plain, target) if target != "/" else None
    return None
