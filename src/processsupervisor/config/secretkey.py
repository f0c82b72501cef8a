"""The key of a fleet's secret store: where it comes from, in this order, and how it is written.

1. the file that `PSV_SECRET_KEY_FILE` names, else `.psv/data/secret.key` (made by the first `psv secret set`), mode 0600;
2. the systemd credential `psv-secret-key` (`$CREDENTIALS_DIRECTORY`); 3. the variable `PSV_SECRET_KEY`.
A key is 32 bytes as base64 or 64 hexadecimal digits. No message shows one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from processsupervisor.kernel.errors import ConfigError
from processsupervisor.kernel.files import write_atomic
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.values import environment_of_psv

FILE, CREDENTIAL, VARIABLE = "PSV_SECRET_KEY_FILE", "psv-secret-key", "PSV_SECRET_KEY"
KEY_BYTES = 32
_LONGEST = 256
_MAKE = "make one with: head -c 32 /dev/urandom | base64"


class KeyMissing(ConfigError):
    """There is no key anywhere."""

    code = "secret-key-missing"


class KeyUnusable(ConfigError):
    """There is something in the key's place that is no key, or is open to others."""

    code = "secret-key"


@dataclass(frozen=True, slots=True)
class Key:
    """One key; `path` is its file, None when it came another way. `source` is how messages name that."""

    secret: bytes = field(repr=False)
    source: str
    path: Path | None = None

    @property
    def digest(self) -> str:
        """Return what a store says of the key that it was written with."""
        return digest_of(self.secret)


def digest_of(secret: bytes) -> str:
    """Return a short digest that tells keys apart and says nothing of them."""
    return hashlib.sha256(b"psv secret key\0" + secret).hexdigest()[:16]


def key_path(paths: FleetPaths, environment: Mapping[str, str] | None = None) -> Path:
    """Return the key's file, whether it is there or not; a path in the variable is relative to fleet.toml, whoever asks from wherever."""
    named = (os.environ if environment is None else environment).get(FILE)
    return paths.folder / named if named else paths.data / "secret.key"


def key_environment(paths: FleetPaths) -> Mapping[str, str]:
    """Return the environment in which to look for the key: ours when it names one, else that of the psv that runs the fleet."""
    names_one = any(os.environ.get(name) for name in (FILE, VARIABLE, "CREDENTIALS_DIRECTORY"))
    return os.environ if names_one else environment_of_psv(paths)


def find_key(paths: FleetPaths, environment: Mapping[str, str] | None = None) -> Key:
    """Return the key; raises KeyMissing or KeyUnusable with the way out."""
    environment = os.environ if environment is None else environment
    path = key_path(paths, environment)
    if path.exists() or path.is_symlink():
        return read_key(path)
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if folder and (credential := Path(folder, CREDENTIAL)).is_file():
        return Key(_decode(_content(credential), str(credential)), f"the credential {CREDENTIAL}")
    if text := environment.get(VARIABLE):
        return Key(_decode(text.encode(), VARIABLE), f"the variable {VARIABLE}")
    hint = f"bring {path} back, or give the key as {FILE}, as the systemd credential {CREDENTIAL} or as {VARIABLE}"
    raise KeyMissing(f"the key of the secret store is not there: no {path}", hint=hint)


def read_key(path: Path) -> Key:
    """Return the key in a file that only its owner may read; raises KeyUnusable."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise KeyUnusable(f"{path} is not a file", hint="name the file that holds the key")
        if stat.S_IMODE(facts.st_mode) & 0o077:
            hint = f"chmod 600 {path}; whoever could read it may know it: psv secret rotate"
            raise KeyUnusable(f"{path} is open to others (mode {stat.S_IMODE(facts.st_mode):04o}), expected 0600", hint=hint)
        if facts.st_uid not in (os.geteuid(), 0) and os.geteuid() != 0:
            raise KeyUnusable(f"{path} belongs to another user", hint="run psv as that user")
        return Key(_decode(_content(path), str(path)), str(path), path)
    except OSError as err:
        raise KeyUnusable(f"{path} cannot be read: {err.strerror}", hint="check owner and mode of the file") from err


def make_key(path: Path) -> Key:
    """Write a new key to `path` in one step and return it; raises OSError."""
    secret = os.urandom(KEY_BYTES)
    write_atomic(path, base64.b64encode(secret) + b"\n", durable=True)
    return Key(secret, str(path), path)


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LONGEST)


def _decode(content: bytes, where: str) -> bytes:
    text = content.strip()
    if re.fullmatch(rb"[0-9a-fA-F]{64}", text):
        return bytes.fromhex(text.decode())
    try:
        secret = base64.b64decode(text.replace(b"-", b"+").replace(b"_", b"/") + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != KEY_BYTES:
        found = f"{where} holds no key, expected 32 bytes as base64 or 64 hexadecimal digits"
        raise KeyUnusable(found, hint=f"bring the key back, or {_MAKE}")
    return secret
