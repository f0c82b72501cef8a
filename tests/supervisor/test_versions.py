"""Versions in psv.db: numbered once, found again by what they say, rejected and pardoned by the digest of their files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from processsupervisor.config.content import checksum
from processsupervisor.config.load import load_text
from processsupervisor.config.spec import Applied
from processsupervisor.kernel.errors import PsvError, Refused
from processsupervisor.supervisor.store import Store
from processsupervisor.supervisor.versions import APPLIED, MOST_VERSIONS, PENDING, ROLLED_BACK, Kept, Versions


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database of its own."""
    store = Store(tmp_path / "psv.db")
    yield store
    store.close()


def applied(folder: Path, colour: str, comment: str = "") -> Applied:
    """Write a fleet.toml of one bot and return what it says."""
    text = f'[fleet]\nname = "x"\n[bots.a]\ncommand = ["true"]\nenv = {{ COLOUR = "{colour}" }}\n{comment}'
    (folder / "fleet.toml").write_text(text)
    loaded = load_text(folder, text.encode())
    assert loaded.applied is not None
    return loaded.applied


def test_what_psvd_is_started_with_is_registered_once(store: Store, tmp_path: Path) -> None:
    """The same content is the same version; a comment changes its files; other content is the next one."""
    versions = Versions(store)
    first = applied(tmp_path, "red")
    assert versions.register(tmp_path, first)
    assert versions.number == 1
    again = Versions(store)
    assert not again.register(tmp_path, {**first, "number": 1})
    assert not again.register(tmp_path, applied(tmp_path, "red", "# more\n"))
    assert again.number == 1
    assert again.content(1)[1]["fleet.toml"].endswith("# more\n")
    assert again.register(tmp_path, {**applied(tmp_path, "blue"), "change": {"author": "ann", "reason": "bluer"}})
    version = again.get(2)
    assert version is not None
    assert (version.author, version.reason, version.result) == ("ann", "bluer", APPLIED)
    assert version.summary["changed"] == {"a": ["env"]}


def test_every_version_is_kept_exactly(store: Store, tmp_path: Path) -> None:
    """What comes back is what was put in, to the key; an unknown number is refused."""
    versions = Versions(store)
    kept = {}
    for colour in ("red", "blue", "green"):
        content = applied(tmp_path, colour)
        kept[versions.add(content, Kept.of(content, {"fleet.toml": colour}), summary={})] = content
    for number, content in kept.items():
        found, sources = versions.content(number)
        assert found == content
        assert sources["fleet.toml"] in ("red", "blue", "green")
        assert checksum(found) == checksum(content)
    with pytest.raises(Refused, match="no version 9"):
        versions.content(9)


def test_a_version_that_was_never_begun_has_failed(store: Store, tmp_path: Path) -> None:
    """psvd died between the note and the change."""
    versions = Versions(store)
    versions.register(tmp_path, applied(tmp_path, "red"))
    blue = applied(tmp_path, "blue")
    number = versions.add(blue, Kept.of(blue, {}), summary={})
    found = versions.get(number)
    assert found is not None
    assert found.result == PENDING
    versions.give_up_pending()
    found = versions.get(number)
    assert found is not None
    assert (found.result, found.message) == ("failed", "psvd ended before it was begun")
    last = versions.last_applied()
    assert last is not None
    assert last.number == 1


def test_rejected_files_stay_so_until_they_run(store: Store) -> None:
    """By their digest, over a new psvd."""
    Versions(store).reject("d1", "a: unhealthy", 3)
    versions = Versions(store)
    assert versions.rejected()["d1"]["reason"] == "a: unhealthy"
    versions.pardon("d1")
    assert versions.rejected() == {}


def test_old_versions_are_forgotten_but_not_the_way_back(store: Store, tmp_path: Path) -> None:
    """The running one and the one before it stay, however many failed since."""
    versions = Versions(store)
    versions.register(tmp_path, applied(tmp_path, "red"))
    versions.register(tmp_path, applied(tmp_path, "blue"))
    content = applied(tmp_path, "green")
    for _ in range(MOST_VERSIONS + 5):
        versions.finish(versions.add(content, Kept.of(content, {}), summary={}), ROLLED_BACK, "no")
    store.flush()
    numbers = [v.number for v in versions.newest(10_000)]
    assert len(numbers) == MOST_VERSIONS + 2
    assert numbers[-2:] == [2, 1]


def test_a_disk_that_refuses_is_said(tmp_path: Path) -> None:
    """A version that a crash would forget is no way back: nothing is changed then."""
    (tmp_path / "psv.db").write_bytes(b"no database at all" * 100)
    store = Store(tmp_path / "psv.db")
    red = applied(tmp_path, "red")
    with pytest.raises(PsvError, match="cannot be noted"):
        Versions(store).add(red, Kept.of(red, {}), summary={})
    store.close()
