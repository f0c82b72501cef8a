"""Laws of units: what wins in systemd wins here, its defaults hold, and nothing of them is dropped without a word."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.adopt.harness import adopt_files, told
from tests.adopt.samples import TELEGRAM_TOKEN

from processsupervisor.adopt.program import CannotRead

RUN = "#!/bin/sh\nexec sleep 3600\n"


def unit(*lines: str, exec_start: str = "/bin/sleep 60") -> str:
    """Return a unit with these lines in [Service]."""
    return "\n".join(["[Service]", f"ExecStart={exec_start}", *lines, ""])


def test_environment_file_wins_over_environment(tmp_path: Path) -> None:
    """As in systemd; what both have is left to the file, and told."""
    bots, plan = adopt_files(tmp_path, {
        "a.service": unit(f"Environment=LEVEL=info MODE=x API_KEY={TELEGRAM_TOKEN}", f"EnvironmentFile={tmp_path}/a.conf"),
        "a.conf": "LEVEL=debug\nAPI_KEY=other\n",
    })  # fmt: skip
    assert bots["a"]["env"] == {"MODE": "x"} and bots["a"]["env_file"] == "a.conf"
    assert told(plan)["LEVEL of Environment"] == 4 and not (tmp_path / "a.env").exists()


def test_file_of_secrets_is_the_weaker_one(tmp_path: Path) -> None:
    """A token of Environment= moves into a file, and loses against one that EnvironmentFile gets tomorrow."""
    bots, _ = adopt_files(tmp_path, {"a.service": unit("Environment=API_KEY=secret-1", f"EnvironmentFile={tmp_path}/a.conf"), "a.conf": "A=1\n"})
    assert bots["a"]["env_file"] == ["a.env", "a.conf"]


def test_a_value_that_systemd_reads_otherwise_is_told(tmp_path: Path) -> None:
    """Its files have no comments behind a value."""
    _, plan = adopt_files(tmp_path, {"a.service": unit(f"EnvironmentFile={tmp_path}/a.conf"), "a.conf": "; mine\nA='x y'\nPASS=one #two\n".replace("; mine\n", "")})
    assert [left.what for left in plan.left_out if left.place.path.name == "a.conf"] == ["PASS"]


def test_files_by_a_pattern(tmp_path: Path) -> None:
    """EnvironmentFile may be a glob."""
    bots, _ = adopt_files(tmp_path, {"a.service": unit(f"EnvironmentFile=-{tmp_path}/e/*.conf"), "e/1.conf": "A=1\n", "e/2.conf": "B=1\n"})
    assert bots["a"]["env_file"] == ["e/1.conf", "e/2.conf"]


def test_defaults_of_systemd(tmp_path: Path) -> None:
    """It waits 90 s for a stop, works in / with the mask 022, and does not restart."""
    before = os.umask(0o077)
    try:
        bots, _ = adopt_files(tmp_path, {"a.service": unit()})
    finally:
        os.umask(before)
    expected = {"command": ["/bin/sleep", "60"], "cwd": "/", "stop": {"timeout": "90s"}, "restart": {"policy": "never"}, "umask": "022"}
    assert bots["a"] == expected
    assert 'down_timeout = "90s"' in (tmp_path / "fleet.toml").read_text()


def test_home_is_that_of_the_user(tmp_path: Path) -> None:
    """WorkingDirectory=~ is the home folder of User=, not of who adopts; a user given by number is named."""
    entry = pwd.getpwnam("daemon")
    bots, _ = adopt_files(tmp_path, {"a.service": unit(f"User={entry.pw_uid}", "WorkingDirectory=~")})
    assert (bots["a"]["user"], bots["a"]["cwd"]) == ("daemon", entry.pw_dir)
    with pytest.raises(CannotRead, match="no user of this machine"):
        adopt_files(tmp_path, {"b.service": unit("User=psv-nobody-here", "WorkingDirectory=~")})


def test_unit_of_the_user_manager(tmp_path: Path) -> None:
    """It begins in the home folder, and its %-folders are the user's."""
    name = ".config/systemd/user/a.service"
    bots, _ = adopt_files(tmp_path, {name: "[Service]\nExecStart=/bin/sleep 60 %E\n"})
    config = os.environ.get("XDG_CONFIG_HOME") or f"{Path.home()}/.config"
    assert (bots["a"]["cwd"], bots["a"]["command"][2]) == (str(Path.home()), config)


@pytest.mark.parametrize(
    ("line", "command", "what"),
    [
        ("@/bin/sleep mysleep 60", ["/bin/sleep", "60"], ""),
        (":/bin/echo $HOME", ["/bin/echo", "$HOME"], ""),
        ("-/bin/sleep 60", ["/bin/sleep", "60"], "ExecStart=-"),
        ("+/bin/sleep 60", ["/bin/sleep", "60"], "ExecStart=+"),
        ("!!/bin/sleep 60", ["/bin/sleep", "60"], "ExecStart=!!"),
    ],
)
def test_prefixes_of_exec_start(tmp_path: Path, line: str, command: list[str], what: str) -> None:
    """@ names the program otherwise, : expands nothing, the others are told."""
    bots, plan = adopt_files(tmp_path, {"a.service": unit(exec_start=line)})
    assert bots["a"]["command"] == command
    assert not what or told(plan)[what] == 2


def test_secret_in_exec_start_stays_out_of_fleet_toml(tmp_path: Path) -> None:
    """A variable with a token in it is filled in by a shell, out of the file that holds it."""
    bots, _ = adopt_files(tmp_path, {"a.service": unit("Environment=BOT_TOKEN=plain-secret-1", exec_start="/bin/echo --token ${BOT_TOKEN}")})
    assert bots["a"]["command"] == ["sh", "-c", 'exec /bin/echo --token "${BOT_TOKEN}"']
    assert "plain-secret-1" not in (tmp_path / "fleet.toml").read_text() and "plain-secret-1" in (tmp_path / "a.env").read_text()


@pytest.mark.parametrize(
    "line",
    ["LimitNOFILE=infinity", "MemoryMax=50%", "PartOf=x.target", "RestartPreventExitStatus=3", "DynamicUser=yes", "TimeoutStopSec=infinity"],
)
def test_nothing_is_dropped_without_a_word(tmp_path: Path, line: str) -> None:
    """What has no place in fleet.toml is told with its line."""
    _, plan = adopt_files(tmp_path, {"a.service": unit(line)})
    assert 3 in told(plan).values()


def test_dropins_of_another_folder(tmp_path: Path) -> None:
    """`systemctl edit` of a unit of a package writes below /etc; the last folder's is weaker, a drop-in for all names is read."""
    bots, plan = adopt_files(tmp_path, {
        "usr/lib/systemd/system/my-bot.service": unit("Environment=A=1") + "[Install]\nWantedBy=multi-user.target\n",
        "etc/systemd/system/my-bot.service.d/override.conf": "[Service]\nEnvironment=A=2\nExecStart=\nExecStart=/bin/sleep 61\n",
        "usr/lib/systemd/system/my-bot.service.d/override.conf": "[Service]\nEnvironment=A=3\n",
        "run/systemd/system/my-.service.d/all.conf": "[Service]\nEnvironment=B=1\n",
    })  # fmt: skip
    assert bots["my-bot"]["command"] == ["/bin/sleep", "61"] and bots["my-bot"]["env"] == {"A": "2", "B": "1"}
    assert bots["my-bot"]["autostart"] is False and "my-bot.service is not enabled" in told(plan)


def test_enabled_unit_starts_and_masked_does_not(tmp_path: Path) -> None:
    """Who retired a bot by `disable` or `mask` does not want it back."""
    folder = tmp_path / "etc/systemd/system"
    files = {f"etc/systemd/system/{name}.service": unit(exec_start=f"/bin/sleep {number}") + "[Install]\nWantedBy=x.target\n"
             for number, name in enumerate(("on", "off"))}  # fmt: skip
    (folder / "x.target.wants").mkdir(parents=True)
    (folder / "x.target.wants/on.service").symlink_to("../on.service")
    (folder / "gone.service").symlink_to("/dev/null")
    bots, plan = adopt_files(tmp_path, files, *files, "etc/systemd/system/gone.service")
    assert "autostart" not in bots["on"] and bots["off"]["autostart"] is False and set(bots) == {"on", "off"}
    assert "gone.service" in told(plan)


def test_instance_is_unescaped(tmp_path: Path) -> None:
    """%I and %f are what systemd-escape was given."""
    bots, _ = adopt_files(tmp_path, {"a@.service": "[Service]\nExecStart=/bin/sleep %i %I %f\n"}, "a@srv-my\\x2dbot.service")
    assert next(iter(bots.values()))["command"][1:] == ["srv-my\\x2dbot", "srv/my-bot", "/srv/my-bot"]


def test_order_without_a_circle(tmp_path: Path) -> None:
    """Only After orders: what another unit merely wants does not make it wait for the one that waits for it."""
    bots, _ = adopt_files(tmp_path, {
        "a.service": "[Unit]\nAfter=b@x.service\n" + unit(),
        "b@.service": "[Unit]\nWants=a.service\nAfter=c@%i.service\n" + unit(exec_start="/bin/sleep 61"),
        "c@.service": unit(exec_start="/bin/sleep 62"),
    }, "a.service", "b@x.service", "c@x.service")  # fmt: skip
    assert bots["a"]["depends_on"] == ["b-x"] and bots["b-x"]["depends_on"] == ["c-x"] and "depends_on" not in bots["c-x"]


def test_our_samples_are_units_that_systemd_takes(tmp_path: Path) -> None:
    """systemd-analyze finds nothing wrong with the form of what the tests above are made of."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    (tmp_path / "a.service").write_text(unit("Environment=A=1", "WorkingDirectory=~", "User=daemon", "UMask=0027", exec_start="@/bin/sleep mysleep 60"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(tmp_path / "a.service")], capture_output=True, text=True, timeout=60, check=False)
    assert "a.service:" not in done.stderr, done.stderr
