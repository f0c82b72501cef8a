"""Rules on references in a bot's `env` and `options` (launch/references.py): well formed, and there is something at the other end.

Nothing is run and no value is shown or kept: of a command only the program is looked for, of a secret only the name. What is wrong
outside fleet.toml is asked again at each start.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from processsupervisor.config.problem import Finding, nearest, printable
from processsupervisor.config.spec import BotSpec
from processsupervisor.config.telegramtoken import why_no_token
from processsupervisor.kernel.errors import PsvError
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.envfile import parse_env_file
from processsupervisor.launch.references import BadReference, Reference, leaves, parse, texts_of
from processsupervisor.launch.values import environment_of_psv, home_of, read_value_file

_LITERALLY = 'for the text itself write "literal:" in front of it'


class Sources:
    """What references of one fleet can refer to, each read once for one check of many bots.

    `has_store` False = secrets are not looked for: psvd, which loads no cryptography, leaves that to the start itself.
    """

    def __init__(self, folder: Path, *, has_store: bool = True) -> None:
        self._folder = folder
        self._has_store = has_store
        self._environment: Mapping[str, str] | None = None
        self._secrets: Collection[str] | PsvError | None = None
        self._no_tokens: dict[str, str] = {}
        """By secret: why it is no token of Telegram."""
        self._files: dict[Path, PsvError | None] = {}

    def is_set(self, name: str) -> bool:
        """Tell whether psv has the variable: whoever looks may do so in another environment."""
        if self._environment is None:
            self._environment = environment_of_psv(FleetPaths(self._folder))
        return name in self._environment

    def secrets(self) -> Collection[str] | PsvError | None:
        """Return the names in the secret store, why it cannot be opened, or None where nobody asks."""
        if not self._has_store:
            return None
        if self._secrets is None:
            from processsupervisor.config.secretkey import key_environment
            from processsupervisor.config.secretstore import SecretStore  # loads OpenSSL: only for bots that have secrets

            try:
                paths = FleetPaths(self._folder)
                known = SecretStore(paths, key_environment(paths)).read()
                self._no_tokens = {name: wrong for name, secret in known.items() if (wrong := why_no_token(secret.value))}
                self._secrets = frozenset(known)
            except PsvError as err:
                self._secrets = err
        return self._secrets

    def why_no_token(self, name: str) -> str:
        """Return why a secret is no token of Telegram, "" for one that may be, or is not known."""
        return self._no_tokens.get(name, "") if self.secrets() is not None else ""

    def file_error(self, path: Path) -> PsvError | None:
        """Return why a file holds no value, or None."""
        if path not in self._files:
            self._files[path] = None
            try:
                read_value_file(path)
            except PsvError as err:
                self._files[path] = err
        return self._files[path]


def references_hold(spec: BotSpec, folder: Path, sources: Sources) -> Iterator[Finding]:
    """Every reference is well formed, and what it refers to is there."""
    proxy = leaves(spec.get("telegram_proxy") or {}, ("telegram_proxy",))
    for place, text in [*texts_of(spec), *proxy]:
        try:
            reference = parse(text)
        except BadReference as err:
            yield Finding(place, err.code, printable(err.message), err.hint)
            continue
        if reference is None:
            continue
        wrong = _wrong(spec, reference, home_of({"folder": folder, **spec}), sources)
        if wrong is not None:
            code, message, hint = wrong
            yield Finding(place, code, printable(f"{reference.shown} {message}"), printable(hint), outside=True)


def _wrong(spec: BotSpec, reference: Reference, folder: Path, sources: Sources) -> tuple[str, str, str] | None:
    """Return code, message and hint, or None when all is well as far as can be seen without reading a value."""
    match reference.scheme:
        case "env" if reference.target not in _of_files(spec) and not sources.is_set(reference.target):
            hint = f"set {reference.target} in env_file or before psv up; {_LITERALLY}"
            return "reference-variable", "is set neither in env_file nor in the environment of psv", hint
        case "file" if (error := sources.file_error(folder / os.path.expanduser(reference.target))) is not None:  # noqa: PTH111
            return "reference-file", error.message, error.hint
        case "cmd" if not _is_found(reference.argv[0], folder):
            return "reference-program", "cannot be run: there is no such program", f"give its path, or put it on PATH of psv; {_LITERALLY}"
        case "secret":
            return _wrong_secret(reference.target, sources.secrets())
    return None


def _wrong_secret(name: str, known: Collection[str] | PsvError | None) -> tuple[str, str, str] | None:
    if isinstance(known, PsvError):
        return known.code, f"cannot be read: {known.message}", known.hint
    if known is None or name in known:
        return None
    close = nearest(name, known)
    or_close = f", or did you mean secret:{close}?" if close else ""
    return "reference-secret", "is not in the secret store", f"psv secret set {name}{or_close}"


def _of_files(spec: BotSpec) -> Mapping[str, str]:
    variables: dict[str, str] = {}
    for path in spec["env_files"]:
        with contextlib.suppress(PsvError):  # another rule names it
            variables.update(parse_env_file(Path(path)))
    return variables


def _is_found(program: str, folder: Path) -> bool:
    if program == "python":
        return True
    return shutil.which(str(folder / program) if "/" in program else program) is not None
