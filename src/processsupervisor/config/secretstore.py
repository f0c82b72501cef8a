"""The secret store of a fleet: names and values in one encrypted file, `.psv/data/secrets.json`, with AES-256-GCM.

The file is one sealed whole: no byte of it can change without being noticed, and names are not readable either. It is replaced in one
step under a lock; a store that cannot be opened is never written to. `cryptography` is imported when a store is opened. Secrets have no
versions. Who changed what is noted beside (`secrets.audit`), until psvd has put it into psv.db.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from processsupervisor.config.secretkey import Key, KeyMissing, KeyUnusable, find_key, key_path, make_key, read_key
from processsupervisor.kernel.errors import ConfigError, LockHeld, PsvError, SystemRefused
from processsupervisor.kernel.files import try_flock, write_atomic
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.launch.references import SECRET_NAME, SECRET_NAME_WORDS
from processsupervisor.launch.values import MOST_BYTES

VERSION = 1
MOST_STORE_BYTES = 16 << 20
_LOCK_S = 10.0
_NONCE_BYTES = 12
_READS = 5
"""Between store and key a rotation may come; who meets so many has another problem."""


class StoreUnusable(ConfigError):
    """The store cannot be opened; it stays as it is."""

    code = "secret-store"


class NoSecret(ConfigError):
    """There is no secret of that name."""

    code = "no-such-secret"


@dataclass(frozen=True, slots=True)
class Secret:
    """One secret: its value, when it was set (epoch seconds) and by whom."""

    value: str = field(repr=False)
    at: float
    by: str


class SecretStore:
    """The store of one fleet. Every method that needs the key raises KeyMissing, KeyUnusable or StoreUnusable."""

    def __init__(self, paths: FleetPaths, environment: Mapping[str, str] | None = None) -> None:
        """The key is looked for by `environment`, this process's own by default."""
        self._paths, self._environment = paths, environment
        self.path = paths.data / "secrets.json"
        self._is_writing = False

    @property
    def is_there(self) -> bool:
        """Tell whether anything was ever set."""
        return self.path.exists()

    def read(self) -> dict[str, Secret]:
        """Return all secrets by name; none when nothing was ever set."""
        return self._open()[0]

    def set(self, name: str, value: str, by: str) -> bool:
        """Set one secret, making key and store at first use; tell whether it is new. Raises ConfigError for a bad name or value."""
        check_name(name)
        check_value(value)
        with self._locked():
            secrets, key = self._open_or_make()
            is_new = name not in secrets
            self._write({**secrets, name: Secret(value, time.time(), by)}, key)
            self._note(by, "set", [name])
        return is_new

    def remove(self, name: str, by: str) -> None:
        """Remove one secret; raises NoSecret."""
        with self._locked():
            secrets, key = self._open()
            if name not in secrets or key is None:
                raise NoSecret(f"there is no secret {name}", hint="see psv secret list")
            self._write({known: secret for known, secret in secrets.items() if known != name}, key)
            self._note(by, "rm", [name])

    def rotate(self, by: str, new_key: Path | None = None) -> tuple[int, Key]:
        """Write everything anew with a new key; return how many secrets, and the key.

        The key's own file is replaced; a key that came another way needs `new_key`, a file for the new one, which is made if it is not
        there. Killed at any moment either key opens the store: the new one waits beside the old one until the store is written.
        """
        with self._locked():
            secrets, old = self._open()
            if old is None:
                raise NoSecret("there is no secret yet", hint="psv secret set NAME")
            if old.path is not None and new_key is not None:
                raise ConfigError(f"the key lies in {old.path}, which psv replaces itself", hint="leave out --new-key")
            if old.path is None and new_key is None:
                hint = "psv secret rotate --new-key FILE, then give the content of FILE there"
                raise ConfigError(f"the key comes from {old.source}, which psv cannot change", hint=hint)
            key = self._renew(secrets, old.path, new_key)
            self._note(by, "rotate", sorted(secrets))
        return len(secrets), key

    # -- inside

    def _renew(self, secrets: dict[str, Secret], own: Path | None, given: Path | None) -> Key:
        target = given or _waiting(own or self.path)
        try:
            key = read_key(target) if given is not None and given.exists() else make_key(target)
            self._write(secrets, key)
            if own is not None:
                target.replace(own)
                key = Key(key.secret, str(own), own)
        except OSError as err:
            raise SystemRefused(f"cannot write {target}: {err.strerror}", hint="free disk space or fix permissions") from err
        return key

    def _open_or_make(self) -> tuple[dict[str, Secret], Key]:
        secrets, key = self._open()
        if key is not None:
            return secrets, key
        try:
            return secrets, find_key(self._paths, self._environment)
        except KeyMissing:
            path = key_path(self._paths, self._environment)
            try:
                return secrets, make_key(path)
            except OSError as err:
                raise SystemRefused(f"cannot write {path}: {err.strerror}", hint="free disk space or fix permissions") from err

    def _open(self) -> tuple[dict[str, Secret], Key | None]:
        """Return all secrets and the key that opens them, None when there is no store. A store that was written meanwhile is read again."""
        for attempt in range(_READS):
            try:
                with self.path.open("rb") as file:
                    content = file.read(MOST_STORE_BYTES + 1)
            except FileNotFoundError:
                return {}, None
            except OSError as err:
                raise StoreUnusable(f"{self.path} cannot be read: {err.strerror}", hint="check owner and mode of the file") from err
            digest, nonce, sealed = _parse(content, self.path)
            try:
                key = self._key(digest)
            except (KeyMissing, KeyUnusable):
                if attempt == _READS - 1 or self._is_unchanged(content):
                    raise
                continue
            return _unseal(digest, nonce, sealed, key, self.path), key
        raise AssertionError("unreachable")

    def _is_unchanged(self, content: bytes) -> bool:
        try:
            return self.path.read_bytes() == content
        except OSError:
            return False

    def _key(self, digest: str) -> Key:
        """Return the key that the store was written with: the one in its place, or a new one that a rotation left beside it."""
        path = key_path(self._paths, self._environment)
        found: Key | None = None
        missing: PsvError | None = None
        try:
            found = find_key(self._paths, self._environment)
        except KeyMissing as err:
            missing = err
        if found is not None and found.digest == digest:
            return found
        with contextlib.suppress(KeyUnusable):
            waiting = read_key(_waiting(path))
            if waiting.digest == digest:
                if self._is_writing:
                    _waiting(path).replace(path)  # a rotation was killed between its last two steps: nothing else may take that name
                return Key(waiting.secret, str(path), path)
        if missing is not None:
            raise missing
        assert found is not None
        hint = "bring the key back that it was written with; without it the secrets are lost: move secrets.json away and set them anew"
        raise KeyUnusable(f"the secret store was written with another key than that in {found.source}", hint=hint)

    def _write(self, secrets: dict[str, Secret], key: Key) -> None:
        content = _seal(secrets, key)
        if len(content) > MOST_STORE_BYTES:
            hint = "remove secrets that nobody uses: psv secret rm"
            raise ConfigError(f"the secret store would have more than {MOST_STORE_BYTES >> 20} MB", hint=hint)
        try:
            write_atomic(self.path, content, durable=True)
        except OSError as err:
            raise SystemRefused(f"cannot write {self.path}: {err.strerror}", hint="free disk space or fix permissions") from err

    def _note(self, by: str, act: str, names: list[str]) -> None:
        """Leave what was done for psvd's audit; the caller holds the lock."""
        line = json.dumps({"at": time.time(), "by": by, "act": act, "names": names}) + "\n"
        with contextlib.suppress(OSError):  # done it is; a full disk costs the note
            descriptor = os.open(self._paths.data / "secrets.audit", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, line.encode())
            finally:
                os.close(descriptor)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._paths.ensure()
        descriptor = os.open(self._paths.data / "secrets.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + _LOCK_S
            while not try_flock(descriptor):
                if time.monotonic() > deadline:
                    raise LockHeld("another psv secret is at work", hint="try again in a moment")
                time.sleep(0.02)
            self._is_writing = True
            yield
        finally:
            self._is_writing = False
            os.close(descriptor)


def check_name(name: str) -> None:
    """Raise ConfigError for what no secret can be called."""
    if SECRET_NAME.fullmatch(name) is None:
        raise ConfigError("found a name that no secret can have", hint=f"a name has {SECRET_NAME_WORDS}")


def check_value(value: str) -> None:
    """Raise ConfigError for what no secret can be; never shows it."""
    if not value:
        raise ConfigError("found an empty value", hint="give the value on stdin, or type it when asked")
    if "\0" in value or len(value.encode("utf-8", "surrogateescape")) > MOST_BYTES:
        raise ConfigError("found a value with a NUL character or too long", hint=f"a value is a text of at most {MOST_BYTES} bytes")
    try:
        value.encode()
    except UnicodeEncodeError as err:
        raise ConfigError("found a value that is not UTF-8", hint="a value is a text") from err


def _waiting(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def _associated(digest: str) -> bytes:
    return f"psv secrets {VERSION} {digest}".encode()


def _seal(secrets: dict[str, Secret], key: Key) -> bytes:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(_NONCE_BYTES)
    plain = json.dumps({name: asdict(secret) for name, secret in sorted(secrets.items())}).encode()
    sealed = AESGCM(key.secret).encrypt(nonce, plain, _associated(key.digest))
    parts = {"nonce": base64.b64encode(nonce).decode(), "data": base64.b64encode(sealed).decode()}
    return json.dumps({"version": VERSION, "key": key.digest, **parts}).encode() + b"\n"


def _parse(content: bytes, path: Path) -> tuple[str, bytes, bytes]:
    """Return key digest, nonce and sealed bytes; raises StoreUnusable for anything that is no store of ours."""
    try:
        value: Any = json.loads(content)
        if value["version"] != VERSION and isinstance(value["version"], int) and value["version"] > VERSION:
            raise StoreUnusable(f"{path} was written by a newer psv", hint="use that version")
        if value["version"] != VERSION or not isinstance(value["key"], str):
            raise ValueError
        nonce, sealed = base64.b64decode(value["nonce"], validate=True), base64.b64decode(value["data"], validate=True)
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error) as err:
        raise _damaged(path) from err
    return value["key"], nonce, sealed


def _unseal(digest: str, nonce: bytes, sealed: bytes, key: Key, path: Path) -> dict[str, Secret]:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        plain = json.loads(AESGCM(key.secret).decrypt(nonce, sealed, _associated(digest)))
        return {str(name): Secret(str(one["value"]), float(one["at"]), str(one["by"])) for name, one in plain.items()}
    except (InvalidTag, ValueError, KeyError, TypeError, AttributeError, OverflowError) as err:
        raise _damaged(path) from err


def _damaged(path: Path) -> StoreUnusable:
    return StoreUnusable(f"{path} is damaged", hint="bring it back from a backup, or move it away and set the secrets anew")
