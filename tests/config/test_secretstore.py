"""config.secretstore and secretkey: what was set comes back, damage is noticed, and nothing is overwritten that cannot be opened."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from processsupervisor.config.secretkey import KeyMissing, KeyUnusable, find_key, make_key
from processsupervisor.config.secretstore import NoSecret, SecretStore, StoreUnusable
from processsupervisor.kernel.errors import ConfigError, PsvError
from processsupervisor.kernel.paths import FleetPaths

VALUES = {"anna": "123456:token", "pass-word": "grüße\nzwei Zeilen", "x.1": "x"}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SecretStore:
    """A store with three secrets and a key in its usual place."""
    for name in ("PSV_SECRET_KEY", "PSV_SECRET_KEY_FILE", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    made = SecretStore(FleetPaths(tmp_path))
    for name, value in VALUES.items():
        assert made.set(name, value, "test")
    return made


def values(store: SecretStore) -> dict[str, str]:
    return {name: secret.value for name, secret in store.read().items()}


def test_what_was_set_comes_back(store: SecretStore, tmp_path: Path) -> None:
    """With time and author; neither name nor value stands in the file, and files are the owner's alone."""
    assert values(store) == VALUES and all(secret.by == "test" and secret.at > 0 for secret in store.read().values())
    content = store.path.read_bytes()
    assert not any(text.encode() in content for pair in VALUES.items() for text in pair if len(text) > 3)
    assert not store.set("anna", "new", "other") and store.read()["anna"].value == "new"
    store.remove("anna", "test")
    assert "anna" not in store.read()
    with pytest.raises(NoSecret):
        store.remove("anna", "test")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / ".psv" / "data").glob("secret*")} == {0o600}
    assert "token" not in repr(store.read()) and "new" not in repr(store.read())


def test_a_flipped_bit_is_noticed_or_changes_nothing(store: SecretStore) -> None:
    """At each byte of the file: an error of ours or the very values, never a traceback and never another value."""
    whole = store.path.read_bytes()
    for at in range(len(whole)):
        for mask in (0x01, 0x20, 0x80):
            store.path.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
            try:
                assert values(store) == VALUES
            except PsvError as err:
                assert err.hint and not any(value in str(err) for value in VALUES.values() if len(value) > 3)
    for size in range(0, len(whole), 7):
        store.path.write_bytes(whole[:size])
        with pytest.raises(StoreUnusable):
            store.read()
    for content in (b"[]", b"null", b'{"version": 2}', b'{"version": true}', b"[" * 100_000, b'{"version": 1, "key": "k", "nonce": 1, "data": 2}'):
        store.path.write_bytes(content)
        with pytest.raises((StoreUnusable, KeyUnusable)):
            store.read()


def test_a_store_that_cannot_be_opened_is_not_written(store: SecretStore, tmp_path: Path) -> None:
    """Damaged, with another key or without one: set, rm and rotate refuse and leave both files as they are."""
    key, whole = tmp_path / ".psv" / "data" / "secret.key", store.path.read_bytes()
    secret = key.read_bytes()

    def refused(error: type[PsvError]) -> None:
        before = store.path.read_bytes()
        for act in (lambda: store.set("new", "value", "t"), lambda: store.remove("anna", "t"), lambda: store.rotate("t")):
            with pytest.raises(error) as caught:
                act()
            assert caught.value.hint
        assert store.path.read_bytes() == before

    store.path.write_bytes(whole[:-30] + whole[-20:])
    refused(StoreUnusable)
    store.path.write_bytes(whole)
    key.unlink()
    refused(KeyMissing)
    assert not key.exists()
    make_key(key)
    refused(KeyUnusable)
    key.write_bytes(secret)
    key.chmod(0o640)
    refused(KeyUnusable)
    key.write_text("no key\n")
    key.chmod(0o600)
    refused(KeyUnusable)
    key.unlink()
    key.mkdir()
    refused(KeyUnusable)
    key.rmdir()
    key.write_bytes(secret)
    key.chmod(0o600)
    assert values(store) == VALUES


def test_the_key_comes_from_file_credential_or_variable(store: SecretStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this order; as base64, URL-safe or not, or hexadecimal; a wrong one is named by where it came from."""
    key = tmp_path / ".psv" / "data" / "secret.key"
    secret = base64.b64decode(key.read_bytes())
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "psv-secret-key").write_text(secret.hex())
    key.rename(tmp_path / "elsewhere.key")
    for name, value in (
        ("PSV_SECRET_KEY_FILE", str(tmp_path / "elsewhere.key")),
        ("PSV_SECRET_KEY_FILE", "elsewhere.key"),  # below the fleet folder, wherever psv is called from
        ("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials")),
        ("PSV_SECRET_KEY", base64.urlsafe_b64encode(secret).decode().rstrip("=")),
    ):
        with monkeypatch.context() as patched:
            patched.setenv(name, value)
            assert values(store) == VALUES
    monkeypatch.setenv("PSV_SECRET_KEY", "0" * 64)
    with pytest.raises(KeyUnusable, match="the variable PSV_SECRET_KEY"):
        store.read()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    assert find_key(FleetPaths(tmp_path)).source == "the credential psv-secret-key" and values(store) == VALUES


def test_rotate_makes_a_new_key(store: SecretStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one opens nothing any more; a key that psv does not keep needs a file for the new one."""
    key = tmp_path / ".psv" / "data" / "secret.key"
    old = key.read_text().strip()
    assert store.rotate("test")[0] == len(VALUES) and key.read_text().strip() != old and values(store) == VALUES
    monkeypatch.setenv("PSV_SECRET_KEY", key.read_text().strip())
    with pytest.raises(ConfigError, match="replaces itself"):
        store.rotate("test", tmp_path / "new.key")
    key.unlink()
    with pytest.raises(ConfigError, match="which psv cannot change"):
        store.rotate("test")
    assert values(store) == VALUES
    store.rotate("test", tmp_path / "new.key")
    with pytest.raises(KeyUnusable):
        store.read()
    monkeypatch.setenv("PSV_SECRET_KEY", (tmp_path / "new.key").read_text())
    assert values(store) == VALUES


ROTATES = """
import sys
from processsupervisor.config.secretstore import SecretStore
from processsupervisor.kernel.paths import FleetPaths
store = SecretStore(FleetPaths(sys.argv[1]))
print("begins", flush=True)
while True:
    store.rotate("child")
"""


def test_a_rotation_killed_at_any_moment_loses_nothing(store: SecretStore, tmp_path: Path) -> None:
    """SIGKILL in the midst of rotations: old or new key, the store opens, and the next rotation goes on from there."""
    for round_ in range(8):
        child = subprocess.Popen([sys.executable, "-c", ROTATES, str(tmp_path)], stdout=subprocess.PIPE)
        assert child.stdout is not None and child.stdout.readline() == b"begins\n"
        seen: list[dict[str, str]] = []
        for _ in range(5 + round_ * 3):
            seen.append(values(store))  # and whoever reads meanwhile is never refused
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
        assert all(one == VALUES for one in seen) and values(store) == VALUES
    store.rotate("test")
    assert values(store) == VALUES


def test_a_rotation_that_was_killed_before_its_last_step_is_finished(store: SecretStore, tmp_path: Path) -> None:
    """The new key waits beside the old one: readers find it, and the next change puts it in its place before anything else."""
    data = tmp_path / ".psv" / "data"
    old = (data / "secret.key").read_bytes()
    store.rotate("test")
    (data / "secret.key").rename(data / "secret.key.new")
    (data / "secret.key").write_bytes(old)
    (data / "secret.key").chmod(0o600)
    assert values(store) == VALUES and (data / "secret.key.new").exists()
    store.set("more", "value", "test")
    assert not (data / "secret.key.new").exists() and values(store) == VALUES | {"more": "value"}


def test_changes_at_the_same_time_are_all_kept(store: SecretStore, tmp_path: Path) -> None:
    """Twenty threads set a secret each."""
    threads = [threading.Thread(target=SecretStore(FleetPaths(tmp_path)).set, args=(f"n{n}", f"v{n}", "t")) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert values(store) == VALUES | {f"n{n}": f"v{n}" for n in range(20)}


@pytest.mark.parametrize("name", ["", ".a", "-a", "a b", "a/b", "ä", "a" * 64, "a\n"])
def test_names_that_cannot_be(store: SecretStore, name: str) -> None:
    """Refused, and nothing is written."""
    with pytest.raises(ConfigError):
        store.set(name, "value", "t")
    assert values(store) == VALUES


@pytest.mark.parametrize("value", ["", "a\0b", "x" * (64 * 1024 + 1), "\udc80"])
def test_values_that_cannot_be(store: SecretStore, value: str) -> None:
    """Refused without being shown."""
    with pytest.raises(ConfigError) as caught:
        store.set("name", value, "t")
    assert len(str(caught.value)) < 300
