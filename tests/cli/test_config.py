"""Laws of `psv config`: what it shows, what it hands to psvd, and what it refuses. What becomes of bots is in test_config_fleet.py."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Psv
from tests.cli.versionkeeper import VersionKeeper

from processsupervisor.cli.session import Session
from processsupervisor.cli.up import read_cold
from processsupervisor.config.load import load_fleet
from processsupervisor.config.overrides import with_value
from processsupervisor.config.spec import RuntimeValue

FLEET = """# The shop.
[fleet]
name = "shop"

[types.seller]
command = ["sleep", "600"]
log_level = "info"      # quiet

""" + "".join(f'[bots.shop-{n}]\ntype = "seller"\noptions.greeting = "hello"\n' for n in range(8))


@pytest.fixture
def keeper_of_versions(folder: Path) -> Iterator[VersionKeeper]:
    """Version 1 of a shop with eight bots, which runs and stands in the folder."""
    write(folder, FLEET)
    applied = load_fleet(folder).applied
    assert applied is not None
    keeper = VersionKeeper(folder, applied, {"fleet.toml": FLEET})
    yield keeper
    keeper.close()


versions = keeper_of_versions


def write(folder: Path, text: str) -> None:
    (folder / "fleet.toml").write_text(text)


def test_nothing_differs(psv: Psv, versions: VersionKeeper) -> None:
    """Files as they run: plan, diff and each form of apply say so, and nothing is sent."""
    for verb in (("config", "plan"), ("config", "diff"), ("config", "apply"), ("config", "reload"), ("reload",)):
        done = psv(*verb)
        assert (done.returncode, done.stdout) == (0, "nothing differs from running version 1\n"), done.stderr
    assert json.loads(psv("reload", "--json").stdout)["result"] == "unchanged"
    assert "config.apply" not in [op for op, _ in versions.calls]


def test_the_plan_says_what_would_happen(psv: Psv, folder: Path, versions: VersionKeeper) -> None:
    """Per bot what changes and its effect, what comes and goes, what looks renamed, what is of the fleet, the steps and the time."""
    changed = FLEET.replace('"600"]', '"600"]\numask = "022"').replace("bots.shop-7", "bots.shop-9").replace("[types", "down_timeout = '9s'\n[types", 1)
    write(folder, changed)
    done = psv("config", "plan")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "against running version 1:",
        "shop-0, shop-1, shop-2 and 4 more: restart: umask",
        "shop-9: new",
        "shop-7: goes",
        "shop-7 looks as if it was renamed to shop-9: psv bot rename keeps its data",
        "fleet: fleet.down_timeout",
        "8 steps: first shop-0, watched for 10s, then one at a time; about 18s",
    ]
    facts = json.loads(psv("config", "plan", "--json", "--now").stdout)
    assert (facts["number"], facts["added"], facts["removed"], facts["settle_s"]) == (1, ["shop-9"], ["shop-7"], 0.0)
    assert facts["changed"][0] == {"bot": "shop-0", "effect": "restart", "keys": ["umask"]}
    assert facts["steps"][0] == ["shop-0"] and len(facts["steps"]) == 8
    assert len(versions.versions) == 1


def test_a_live_change_restarts_nobody(psv: Psv, folder: Path, versions: VersionKeeper) -> None:
    """A plan of live keys has no steps, and the difference names no value of options."""
    write(folder, FLEET.replace('"hello"', '"good day"'))
    assert psv("config", "plan").stdout.splitlines()[1:] == [
        "shop-0, shop-1, shop-2 and 5 more: live: options",
        "options: live for a bot with @bot.on_config_change, any other is restarted",
        "no bot is restarted",
    ]
    said = psv("config", "diff").stdout
    assert said.splitlines() == [
        "fleet.toml differs from running version 1",
        "shop-0, shop-1, shop-2 and 5 more: options.greeting: a text -> another text",
    ]
    assert '"hello" -> "good day"' in psv("config", "diff", "--values").stdout
    assert json.loads(psv("config", "diff", "--json").stdout)["differences"][0]["new"] == "[redacted]"


def test_apply_hands_the_files_over(psv: Psv, folder: Path, versions: VersionKeeper) -> None:
    """Progress line by line, then the new version; what psvd got is what the files say, and no candidate is left."""
    write(folder, changed := FLEET.replace('"info"', '"debug"'))
    done = psv("config", "apply", "--reason", "look at it")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "8 bots in 2 steps", "step 1: shop-0", "shop-0: ready after 0.2s", "version 2 runs; 1 bot touched: shop-0",
    ]  # fmt: skip
    applied, sources = versions.content(2)
    assert sources == {"fleet.toml": changed}
    assert {spec["log_level"] for spec in applied["bots"]} == {"debug"}
    assert versions.versions[1][0]["reason"] == "look at it"
    assert list((folder / ".psv/data/candidates").iterdir()) == []
    rows = psv("config", "versions").stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["NUMBER", "1", "2*"]
    assert "look at it" in rows[2]


def test_a_change_that_fails_is_said(psv: Psv, folder: Path, versions: VersionKeeper) -> None:
    """Exit 1 with the reason; the same content then needs --again, and diff says why."""
    write(folder, FLEET.replace('"info"', '"debug"'))
    versions.fails_with = "shop-0 did not become ready"
    failed = psv("reload")
    assert failed.returncode == 1
    assert "version 2 was taken back: version 1 runs again: shop-0 did not become ready" in failed.stderr
    versions.fails_with = None
    refused = psv("reload")
    assert refused.returncode == 5 and "--again" in refused.stderr
    assert "rejected because shop-0 did not become ready" in psv("config", "diff").stdout
    assert "rejected because shop-0 did not become ready" in psv("config", "plan").stdout
    assert psv("reload", "--again", "--json").returncode == 0


def test_mistakes_refuse_the_whole_change(psv: Psv, folder: Path, versions: VersionKeeper) -> None:
    """One wrong bot: every mistake with its place, exit 2, nothing sent."""
    write(folder, FLEET.replace('"info"', '"debug"') + '[bots.bad]\nscript = "gone.py"\nlog_levle = "x"\n')
    for verb in ("plan", "apply"):
        done = psv("config", verb)
        assert done.returncode == 2
        assert 'did you mean "log_level"?' in done.stderr
    refused = psv("config", "apply", "--json")
    assert refused.returncode == 2
    assert json.loads(refused.stdout)["problems"][0]["code"] == "unknown-key"
    assert versions.running == 1 and "config.apply" not in [op for op, _ in versions.calls]


def test_the_second_of_two_is_told(psv: Psv, folder: Path, versions: VersionKeeper) -> None:
    """Somebody applied another version in between: nothing is changed, and it is said who that was."""
    write(folder, FLEET.replace('"info"', '"debug"'))

    def meanwhile() -> None:
        versions.running = versions.keep(*versions.content(1), "bob", "quicker")

    versions.before_apply = meanwhile
    refused = psv("config", "apply")
    assert refused.returncode == 5
    assert "somebody applied version 2 (bob" in refused.stderr and "psv config diff" in refused.stderr
    assert len(versions.versions) == 2
    stale = psv("config", "apply", "--base", "1")
    assert stale.returncode == 5 and "version 2 runs" in stale.stderr


def test_set_takes_the_running_version_for_its_ground(psv: Psv, folder: Path, versions: VersionKeeper) -> None:
    """A value of one bot: durable, with author, reason and end; an unfinished edit of the file is not applied along with it."""
    write(folder, FLEET.replace("[fleet]", "[fleet"))
    assert psv("config", "set", "shop-1", "restart.max", "90s", "--for", "2h", "--reason", "busy day").returncode == 0
    applied, sources = versions.content(2)
    assert sources == {"fleet.toml": FLEET}
    (value,) = applied["runtime"]
    assert (value["scope"], value["name"], value["key"], value["value"], value["reason"]) == (
        "bots", "shop-1", ["restart", "max"], "90s", "busy day",
    )  # fmt: skip
    assert value["author"] and value["until"] == pytest.approx(value["at"] + 7200)
    assert {spec["name"]: spec["restart"]["max_s"] for spec in applied["bots"]}["shop-1"] == 90.0

    assert psv("config", "set", "--type", "seller", "log_level", "debug").returncode == 0
    assert {spec["log_level"] for spec in versions.content()[0]["bots"]} == {"debug"}
    assert psv("config", "set", "--global", "priority", "7").returncode == 0
    assert {spec["priority"] for spec in versions.content()[0]["bots"]} == {7}
    assert psv("config", "unset", "--type", "seller", "log_level").returncode == 0
    assert {spec["log_level"] for spec in versions.content()[0]["bots"]} == {"info"}
    assert "bots.shop-1.restart.max" in psv("config", "show").stdout


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["set", "shop-1", "log_levle", "debug"], 2, 'did you mean "log_level"?'),
        (["set", "shop-1", "log_level", "loud"], 2, '"debug"'),
        (["set", "shop-1", "priority", "high"], 2, "whole number"),
        (["set", "--type", "seller", "prioritty", "3"], 2, 'did you mean "priority"?'),
        (["set", "shop-11", "log_level", "debug"], 4, "did you mean"),
        (["set", "--type", "seler", "log_level", "debug"], 2, 'did you mean "seller"?'),
        (["set", "shop-1", "type", "other"], 2, "psv config apply"),
        (["set", "shop-1", "log_level"], 2, "no value"),
        (["set", "--global", "log_level", "debug", "more"], 2, "behind the value"),
        (["set", "shop-1", "log_level", "debug", "--save", "--for", "1h"], 2, "--for"),
        (["unset", "shop-1", "log_level"], 5, "is not set"),
        (["rollback", "7"], 5, "no version 7"),
        (["show", "7"], 5, "no version 7"),
        (["show", "0"], 2, "between 1 and"),
        (["diff", "0"], 2, "between 1 and"),
    ],
)
def test_what_cannot_be_set_is_refused(psv: Psv, versions: VersionKeeper, words: list[str], status: int, said: str) -> None:
    """Checked like the file before anything is sent, with the way out."""
    done = psv("config", *words)
    assert (done.returncode, said in done.stderr) == (status, True), done.stderr
    assert len(versions.versions) == 1


def test_save_writes_into_the_file(psv: Psv, folder: Path, versions: VersionKeeper) -> None:
    """Applied, then written where it belongs, comments and order kept; a value set before at its place is gone."""
    applied, sources = versions.content()
    value = {"scope": "types", "name": "seller", "key": ["log_level"], "value": "error", "author": "x", "reason": "", "at": 1.0, "until": None}
    versions.running = versions.keep({**applied, "runtime": with_value([], value)}, sources, "x", "")  # type: ignore[arg-type]
    done = psv("config", "set", "--type", "seller", "log_level", "debug", "--save")
    assert done.returncode == 0, done.stderr
    assert (folder / "fleet.toml").read_text() == FLEET.replace('"info" ', '"debug" ')
    now, texts = versions.content()
    assert now["runtime"] == [] and {spec["log_level"] for spec in now["bots"]} == {"debug"}
    assert texts == {"fleet.toml": FLEET.replace('"info" ', '"debug" ')}
    assert psv("config", "diff").stdout.startswith("nothing differs")


def test_save_leaves_what_is_not_applied(psv: Psv, folder: Path, versions: VersionKeeper) -> None:
    """A file that differs from what runs is not written into, nor is one for a change that was taken back."""
    versions.fails_with = "no"
    assert psv("config", "set", "shop-1", "log_level", "debug", "--save").returncode == 1
    assert (folder / "fleet.toml").read_text() == FLEET
    write(folder, FLEET + "# mine\n")
    refused = psv("config", "set", "shop-1", "log_level", "debug", "--save")
    assert refused.returncode == 5 and "without --save" in refused.stderr
    assert (folder / "fleet.toml").read_text() == FLEET + "# mine\n"


def test_rollback_leaves_the_files(psv: Psv, folder: Path, versions: VersionKeeper) -> None:
    """An earlier version runs again; the file stays, differs, and counts as rejected."""
    write(folder, changed := FLEET.replace('"info"', '"debug"'))
    assert psv("reload").returncode == 0
    done = psv("config", "rollback", "1", "--reason", "too loud")
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "fleet.toml").read_text() == changed
    assert "rejected because too loud" in psv("config", "diff").stdout
    assert psv("config", "diff", "1", "2").stdout.splitlines()[1:] == ['shop-0, shop-1, shop-2 and 5 more: log_level: "info" -> "debug"']


def test_rollback_says_what_it_does_not_bring_back(psv: Psv, folder: Path, versions: VersionKeeper) -> None:
    """What a version only refers to is used as it is now."""
    write(folder, FLEET.replace('"info"', '"info"\nenv_file = ".env"\nenv.TOKEN = "env:SHOP_TOKEN"'))
    (folder / ".env").write_text("SHOP_TOKEN=abc\n")
    (folder / ".env").chmod(0o600)
    assert psv("reload").returncode == 0
    assert psv("config", "rollback", "1").stderr == ""
    assert "secrets are not part of a version" in psv("config", "rollback", "2").stderr


def test_a_token_in_a_reason_is_kept_nowhere(psv: Psv, versions: VersionKeeper) -> None:
    """Everybody who may look at the fleet reads the reasons."""
    token = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"
    assert psv("config", "set", "shop-1", "priority", "3", "--reason", f"was {token}").returncode == 0
    assert psv("config", "rollback", "1", "--reason", f"not {token}").returncode == 0
    assert token not in str(versions.calls) + str(versions.content(2))
    assert versions.calls[-1][1]["reason"].startswith("not [")


def test_explain_tells_the_version_of_one_option(psv: Psv, folder: Path, versions: VersionKeeper) -> None:
    """Which tables a version changed is noted, and not what in them: what another option became is not its version."""
    for words in (["options.a", "1"], ["options.b", "2"]):
        assert psv("config", "set", "shop-1", *words).returncode == 0
        versions.versions[-1][0]["summary"] = {"added": [], "removed": [], "changed": {"shop-1": ["options"]}, "fleet": []}
    keys = json.loads(psv("config", "explain", "shop-1", "options", "--json").stdout)["keys"]
    assert {key["key"]: key["version"] for key in keys} == {"options.greeting": 1, "options.a": 2, "options.b": 3}


def test_show_hides_values(psv: Psv, folder: Path, versions: VersionKeeper) -> None:
    """A version by the keys of the file, as TOML; values of options only when asked for, in the source too."""
    shown = psv("config", "show", "1").stdout
    said = tomllib.loads(shown)
    assert said["fleet"]["name"] == "shop"
    assert said["bots"]["shop-1"]["options"] == {"greeting": "[redacted]"}
    assert said["bots"]["shop-1"]["restart"]["max"] == 60.0
    assert shown.startswith("# version 1, runs; 2023-11-1")
    source = psv("config", "show", "1", "--source").stdout
    assert "# The shop." in source and "# quiet" in source and "hello" not in source
    assert "hello" in psv("config", "show", "--source", "--values").stdout
    assert "hello" not in psv("config", "show", "--json", "--source").stdout


def test_values_that_do_not_fit_keep_nothing_from_starting(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At a cold start nobody could unset them: they are left out, and told."""
    applied = load_fleet(folder).applied
    assert applied is not None
    value: RuntimeValue = {
        "scope": "global", "name": "", "key": ["gone"], "value": 1, "author": "x", "reason": "", "at": 1.0, "until": None,
    }  # fmt: skip
    loaded = read_cold(Session(str(folder)), {**applied, "runtime": [value]})
    assert loaded.applied is not None and loaded.applied.get("runtime") == []
    assert "gone" in capsys.readouterr().err
    (folder / "fleet.toml").write_text("[fleet\n")
    assert read_cold(Session(str(folder)), {**applied, "runtime": [value]}).fatal


def test_without_a_supervisor(psv: Psv, folder: Path) -> None:
    """Nothing runs: what changes something says how to start; a fleet that never ran has nothing to compare with."""
    for words in (("reload",), ("config", "set", "echo", "log_level", "debug"), ("config", "versions"), ("config", "rollback", "1")):
        assert psv(*words).returncode == 3, words
    assert psv("config", "diff").returncode == 2
    assert psv("config", "check").returncode == psv("check").returncode
