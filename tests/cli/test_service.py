"""Laws of `psv service`: what the unit and the crontab line say, that nobody else's file or line is touched, and that both can be repeated.

What a booted systemd makes of the unit is in tests/supervisor/test_systemd.py.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import Psv, environment, keeper_socket

from processsupervisor.cli import service, unit
from processsupervisor.cli.crontab import line_for, mark_of, with_line
from processsupervisor.cli.main import main
from processsupervisor.cli.session import keeper_runs
from processsupervisor.kernel.paths import FleetPaths

ODD = 'a "b" $HOME %h \\x ü'
FOREIGN = b"MAILTO=x\n# a note\n\n0 4 * * 1 /usr/bin/backup  \r\n@reboot /opt/other # psv-service of somebody\n*/5 * * * * date +\\%s"

# Keeps the crontab in a file, as the real one does; tests with that are below, and need root.
CRONTAB = """#!/bin/sh
case "$1" in
  -l) [ -e "$STORE" ] || { echo "no crontab for $USER" >&2; exit 1; }; [ ! -e "$STORE.denied" ] || { echo "not allowed" >&2; exit 1; }; cat "$STORE";;
  -r) rm "$STORE";;
  -) cat > "$STORE";;
  *) echo "usage" >&2; exit 2;;
esac
"""


@pytest.fixture
def no_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without systemd, with cron; returns the file that holds the crontab."""
    monkeypatch.setattr(service, "BOOTED", tmp_path / "no systemd")
    monkeypatch.setenv("STORE", str(tmp_path / "store"))
    monkeypatch.setenv("PSV_RUNTIME_DIR", str(tmp_path / "runtime"))
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "crontab").write_text(CRONTAB)
    (bin_folder / "crontab").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    return tmp_path / "store"


@pytest.fixture
def with_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of units of the test's own, and a systemctl that does nothing; returns the folder of the user's units."""
    (tmp_path / "booted").mkdir()
    monkeypatch.setattr(service, "BOOTED", tmp_path / "booted")
    monkeypatch.setattr(unit, "SYSTEM_FOLDER", tmp_path / "system")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name in ("systemctl", "loginctl", "crontab"):
        (bin_folder / name).write_text('#!/bin/sh\n[ ! -e "$0.fails" ]\n')
        (bin_folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_folder}:/usr/bin:/bin")
    return tmp_path / "config" / "systemd" / "user"


def run(folder: Path, *words: str) -> int:
    return main(["-C", str(folder), "service", *words])


# -- the unit


def test_print_writes_nothing(psv: Psv, folder: Path) -> None:
    """With --user or --system the unit is shown on any machine; it names this Python, the fleet and the environment's PATH."""
    before = sorted(folder.rglob("*"))
    done = psv("service", "install", "--user", "--print", env={"PATH": "/opt/node/bin:/bin"})
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert {"Type=notify", "Delegate=yes", "KillMode=mixed", "Restart=on-failure", "Environment=PATH=/opt/node/bin:/bin"} <= set(lines)
    assert f"WorkingDirectory={folder}" in lines
    assert next(line for line in lines if line.startswith("ExecStart=")) == f"ExecStart={sys.executable} -P -m processsupervisor -C {folder} up"
    assert "TimeoutStopSec=15s" in lines  # down_timeout and some
    assert "WantedBy=default.target" in lines
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("is_user", [True, False])
def test_systemd_takes_the_unit(tmp_path: Path, is_user: bool) -> None:
    """systemd-analyze verify has nothing to say, also of a folder and values with characters that mean something in units."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    target = tmp_path / ODD
    target.mkdir()
    user = None if is_user else pwd.getpwuid(1).pw_name
    text = unit.render(unit.Service(target, "demo", is_user, user, 8.0, {"PATH": "/bin:/odd $x %h \"q\"", "LANG": "C.UTF-8"}))
    path = tmp_path / "psv-demo.service"
    path.write_text(text)
    command = ["systemd-analyze", *(["--user"] if is_user else []), "--man=no", "--generators=no", "verify", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                          env=environment(XDG_RUNTIME_DIR=str(tmp_path), HOME=str(tmp_path)))
    assert "psv-demo.service" not in done.stderr, done.stderr
    path.write_text(text.replace("KillMode=mixed", "KilMode=mixed").replace("Type=notify", "Type=often"))
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False,
                          env=environment(XDG_RUNTIME_DIR=str(tmp_path), HOME=str(tmp_path)))
    assert "KilMode" in done.stderr, "it does look"


def test_install_again_and_remove(folder: Path, with_systemd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second time nothing is written; remove takes away what was written and nothing else; removing nothing is no failure."""
    path = with_systemd / "psv-demo.service"
    assert run(folder, "install", "--user") == 0
    written = path.stat()
    assert run(folder, "install", "--user") == 0
    assert "is there already" in capsys.readouterr().out
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (written.st_ino, written.st_mtime_ns)
    (with_systemd / "psv-other.service").write_text("[Unit]\n")
    assert run(folder, "remove") == 0
    assert os.listdir(with_systemd) == ["psv-other.service"]
    assert run(folder, "remove") == 0
    assert "nothing starts" in capsys.readouterr().out


def test_a_renamed_fleet_has_one_unit(folder: Path, with_systemd: Path) -> None:
    """The unit under the old name goes; another setting replaces the unit under the same name."""
    assert run(folder, "install", "--user") == 0
    config = folder / "fleet.toml"
    config.write_text(config.read_text().replace('"demo"', '"shop"\ndown_timeout = "60s"'))
    assert run(folder, "install", "--user") == 0
    assert os.listdir(with_systemd) == ["psv-shop.service"]
    assert "TimeoutStopSec=67s" in (with_systemd / "psv-shop.service").read_text()


def known_of(path: Path) -> tuple[int, ...]:
    """Return what only a writer changes of a file: reading it may change when it was read last."""
    found = path.lstat()
    return found.st_ino, found.st_mode, found.st_uid, found.st_nlink, found.st_size, found.st_mtime_ns, found.st_ctime_ns



@pytest.mark.parametrize("spoil", [
    lambda path, text: path.write_text("[Service]\nExecStart=/bin/true\n"),
    lambda path, text: path.write_text(text.replace("RestartSec=2s", "RestartSec=9s")),
    lambda path, text: path.write_text(re.sub(r"fleet /.*", "fleet /srv/another", text)),
    lambda path, text: (path.unlink(), path.symlink_to("/dev/null")),
    lambda path, text: (path.unlink(), path.mkdir()),
], ids=["somebody's own", "changed", "another fleet's", "masked", "folder"])  # fmt: skip
def test_what_psv_did_not_write_stays(
    folder: Path, with_systemd: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path, str], object]
) -> None:
    """Install is refused (status 5) and remove leaves it: a foreign unit, one that was edited, one of another fleet, a masked one."""
    path = with_systemd / "psv-demo.service"
    assert run(folder, "install", "--user") == 0
    spoil(path, path.read_text())
    before = known_of(path)
    assert run(folder, "install", "--user") == 5
    assert "nothing was changed" in capsys.readouterr().err
    run(folder, "remove")
    assert known_of(path) == before


def test_a_systemd_that_refuses_leaves_nothing(folder: Path, with_systemd: Path, tmp_path: Path) -> None:
    """The unit is not left behind half installed: as before, there is none."""
    (tmp_path / "bin" / "systemctl.fails").touch()
    assert run(folder, "install", "--user") == 1
    assert os.listdir(with_systemd) == []


def test_a_fleet_that_runs_outside_of_the_unit_is_not_started_twice(folder: Path, with_systemd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--now is refused with the way out, before anything is written; without it the unit waits for the next boot."""
    with keeper_socket(folder):
        assert run(folder, "install", "--user", "--now") == 5
        assert "psv down first" in capsys.readouterr().err
        assert not with_systemd.exists()
        assert run(folder, "install", "--user") == 0


def test_a_broken_fleet_is_not_installed(psv: Psv, folder: Path) -> None:
    """A fleet.toml that psv up would not take: status 2 and the places."""
    (folder / "fleet.toml").write_text("[fleet]\nnome = 1\n")
    done = psv("service", "install", "--user", "--print")
    assert (done.returncode, done.stdout) == (2, "")
    assert "fleet.toml:2:1" in done.stderr


def test_variables_that_a_service_has_not_are_named(folder: Path, with_systemd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What bots inherit from the shell's environment is not written into a unit, values least of all: it is said."""
    (folder / "fleet.toml").write_text('[fleet]\nname = "demo"\n[bots.x]\ncommand = ["true"]\ninherit = ["PATH", "BOT_TOKEN"]\n')
    os.environ["BOT_TOKEN"] = "9999:topsecret"
    try:
        assert run(folder, "install", "--user") == 0
    finally:
        del os.environ["BOT_TOKEN"]
    assert "BOT_TOKEN" in capsys.readouterr().err
    assert "topsecret" not in (with_systemd / "psv-demo.service").read_text()


@pytest.mark.root
def test_a_unit_of_the_machine_runs_as_the_owner_of_the_fleet(folder: Path, with_systemd: Path, tmp_path: Path) -> None:
    """What another user may write is not run as root."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, 1, 1)
    assert run(folder, "install", "--system") == 0
    assert f"User={pwd.getpwuid(1).pw_name}" in (tmp_path / "system" / "psv-demo.service").read_text().splitlines()


# -- the crontab


@pytest.mark.parametrize("content", [b"", b"\n", FOREIGN, FOREIGN + b"\n", b"\xff\xfe\x00 no text"])
def test_the_line_is_added_and_removed_exactly(content: bytes) -> None:
    """Every other byte stays, whatever the crontab looks like; adding twice is adding once; another line takes its place."""
    folder, other = Path("/srv/my bots"), Path("/srv/others")
    line = line_for(folder, {"PATH": "/bin"})
    added = with_line(content, folder, line)
    assert added == line.encode() + b"\n" + content
    assert with_line(added, folder, line) == added
    assert with_line(added, folder, None) == content
    both = with_line(added, other, line_for(other, {}))
    changed = line_for(folder, {"PATH": "/usr/bin"})
    assert with_line(both, folder, changed) == both.replace(line.encode(), changed.encode())
    assert with_line(both, other, None) == added


def test_cron_starts_the_fleet(folder: Path, no_systemd: Path, psv: Psv, tmp_path: Path) -> None:
    """Installed twice, one line; run as cron runs it, with next to no environment, it starts the fleet; removed, all is as it was."""
    no_systemd.write_bytes(FOREIGN)
    odd = folder.with_name(ODD)
    folder.rename(odd)
    (odd / "fleet.toml").write_text('[fleet]\nname = "demo"\n')
    assert run(odd, "install") == 0
    assert run(odd, "install") == 0
    added = no_systemd.read_bytes()
    assert added.endswith(FOREIGN)
    assert added.count(mark_of(odd).encode()) == 1
    line = added.split(b"\n")[0].decode()
    command = line.removeprefix("@reboot ").replace("\\%", "%")
    done = subprocess.run(["/bin/sh", "-c", command], cwd="/", env={"HOME": str(tmp_path)}, capture_output=True, timeout=60, check=False)
    try:
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        assert keeper_runs(FleetPaths(odd))
        assert run(odd, "remove", "--now") == 0
        assert not keeper_runs(FleetPaths(odd))
    finally:
        psv("-C", str(odd), "down", cwd=tmp_path)
    assert no_systemd.read_bytes() == FOREIGN


def test_a_crontab_that_cannot_be_read_is_not_written(folder: Path, no_systemd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Who is not allowed a crontab is told so."""
    no_systemd.write_bytes(FOREIGN)
    no_systemd.with_name("store.denied").touch()
    assert run(folder, "install") == 1
    assert "not allowed" in capsys.readouterr().err
    assert no_systemd.read_bytes() == FOREIGN


def test_no_crontab_at_all(folder: Path, no_systemd: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither systemd nor cron: refused, with what can be done; --print still shows the line."""
    monkeypatch.setenv("PATH", "/nonexistent")
    assert run(folder, "install") == 5
    assert "neither systemd nor crontab" in capsys.readouterr().err
    assert run(folder, "install", "--print") == 0
    assert capsys.readouterr().out.startswith("@reboot ")
    assert run(folder, "remove") == 0


@pytest.mark.root
def test_a_real_crontab(folder: Path, tmp_path: Path) -> None:
    """Debian's crontab, with a spool folder of the test's own: there and back, byte for byte, also from no crontab at all."""
    if shutil.which("crontab") is None:
        pytest.skip("needs crontab")
    (tmp_path / "foreign").write_bytes(FOREIGN + b"\n")
    program = ("import sys, pathlib; from processsupervisor.cli import service, main; service.BOOTED = pathlib.Path('/nonexistent'); "
               "sys.exit(main.main(sys.argv[1:]))")
    psv = f"{sys.executable} -c \"{program}\" -C {folder} service"
    script = f"""
        mount -t tmpfs tmpfs /var/spool
        mkdir -p /var/spool/cron/crontabs
        {psv} install
        {psv} install
        crontab -l | wc -l
        {psv} remove
        if crontab -l; then exit 9; fi
        crontab {tmp_path}/foreign
        crontab -l > {tmp_path}/before
        {psv} install
        crontab -l > {tmp_path}/with
        {psv} remove
        crontab -l > {tmp_path}/without
    """
    done = subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-exc", script], capture_output=True, text=True,
                          timeout=60, check=False, env=environment(PSV_RUNTIME_DIR=str(tmp_path / "runtime")))
    assert done.returncode == 0, done
    assert "\n1\n" in done.stdout
    before = (tmp_path / "before").read_bytes()
    assert b"/usr/bin/backup" in before
    assert (tmp_path / "without").read_bytes() == before
    assert (tmp_path / "with").read_bytes().endswith(b"\n" + before)
