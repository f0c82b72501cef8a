"""Rules on networks, chat and telegram_proxy: for which kind of bot they are, and what must be there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from processsupervisor.config.load import load_fleet
from processsupervisor.config.secretkey import key_environment
from processsupervisor.config.secretstore import SecretStore
from processsupervisor.kernel.paths import FleetPaths

HEAD = '[fleet]\nname = "demo"\n'
NATIVE = 'run = "bots:bot"\n'
SCRIPT = 'script = "main.py"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bots.py").write_text("")
    (tmp_path / "main.py").write_text("")
    return tmp_path


def codes(folder: Path, text: str, *, warnings: bool = False) -> dict[str, str]:
    """Return {code: message} of what is wrong with a fleet, or of what it is warned of."""
    (folder / "fleet.toml").write_text(HEAD + text)
    problems = [problem for problem in load_fleet(folder).problems if (problem.severity == "warning") == warnings]
    return {problem.code: f"{problem.message}; {problem.hint}" for problem in problems}


def test_a_native_bot_may_be_on_telegram(folder: Path) -> None:
    """Nothing is wrong with a token, and its values arrive."""
    text = f'[bots.anna]\n{NATIVE}networks.telegram = {{ token = "literal:1:x", mode = "webhook", url = "https://b.example" }}\n'
    assert codes(folder, text) == {}


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (f"[bots.a]\n{SCRIPT}chat.mode = 'debounce'\n", "wrong-kind", "found chat on a program; a program holds its conversations"),
        (f"[bots.a]\n{SCRIPT}networks.telegram.token = '1:x'\n", "wrong-kind", "found networks on a program"),
        (f"[bots.a]\n{NATIVE}telegram_proxy.token = '1:x'\n", "wrong-kind", "found telegram_proxy on a native bot (run)"),
        (f"[bots.a]\n{NATIVE}networks.telegram.mode = 'polling'\n", "token-missing", "expected the one that @BotFather gave"),
        (f"[bots.a]\n{NATIVE}networks.telegramm.token = '1:x'\n", "network-unknown", 'found network "telegramm"'),
        (f"[bots.a]\n{NATIVE}networks.telegramm.token = '1:x'\n", "network-unknown", "did you mean telegram?"),
        (f"[bots.a]\n{NATIVE}networks.telegram.token = 'secret:none'\n", "reference-secret", "psv secret set none"),
        (f"[bots.a]\n{SCRIPT}telegram_proxy.token = 'secret:none'\n", "reference-secret", "psv secret set none"),
        (f"[web]\nenabled = false\n[bots.a]\n{SCRIPT}telegram_proxy.token = '1:x'\n", "web-needed", "a has telegram_proxy"),
    ],
)  # fmt: skip
def test_what_cannot_be(folder: Path, text: str, code: str, words: str) -> None:
    """Each mistake has a code, what was found and the way out."""
    found = codes(folder, text)
    assert words in found[code], found


def test_networks_of_all_bots_are_passed_over_for_programs(folder: Path) -> None:
    """[global] speaks for those that it fits."""
    text = f"[global]\nchat.mode = 'debounce'\n[bots.a]\n{SCRIPT}[bots.b]\n{NATIVE}"
    assert codes(folder, text) == {}
    bots = {spec["name"]: spec for spec in load_fleet(folder).applied["bots"]}
    assert (bots["a"]["chat"]["mode"], bots["b"]["chat"]["mode"]) == ("queue", "debounce")


def test_a_proxy_brings_the_web_process_with_it(folder: Path) -> None:
    """Without a table [web] there is one all the same, on the default port or one of the next; with it, it is as written."""
    proxied = f"[bots.a]\n{SCRIPT}telegram_proxy.token = '1:x'\n"
    assert codes(folder, proxied) == {}
    web = load_fleet(folder).applied["web"]
    assert (web["enabled"], web["listen_port"], web["next_free"]) == (True, 8450, True)
    assert codes(folder, f"[web]\nlisten = '127.0.0.1:9'\n{proxied}") == {}
    web = load_fleet(folder).applied["web"]
    assert (web["enabled"], web["listen_port"], web["next_free"]) == (True, 9, False)


def test_a_proxy_without_its_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing in psv's own interpreter is named with the way to get it."""
    monkeypatch.setattr("processsupervisor.config.networks.find_spec", lambda _name: None)
    found = codes(folder, f"[bots.a]\n{SCRIPT}telegram_proxy.token = '1:x'\n")
    assert "pip install" in found["library-missing"], found


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("put-here-what-you-got", "it has no colon"),
        ("123456:private words", "it has white space in it"),
        ("123456:'private'", "it has quotes in it"),
        ("", "it is empty"),
    ],
)
def test_what_is_no_token_of_telegram_is_told_with_its_place(folder: Path, token: str, words: str) -> None:
    """In fleet.toml itself, literally, and in an env_file with its line; it is never shown."""
    for written in (token, f"literal:{token}"):
        if written:
            found = codes(folder, f'[bots.a]\n{NATIVE}networks.telegram.token = "{written}"\n').get("token-malformed", "")
            assert words in found and "@BotFather" in found and "private" not in found, found
    (folder / ".env").write_text(f'# of the bot\nOTHER=1\nexport TOKEN="{token}"\n')
    found = codes(folder, f'[bots.a]\n{NATIVE}env_file = ".env"\nnetworks.telegram.token = "env:TOKEN"\n')["token-malformed"]
    assert f"the token in {folder}/.env:3 (TOKEN) is none of Telegram: {words}" in found and "private" not in found, found
    found = codes(folder, f'[bots.a]\n{SCRIPT}env_file = ".env"\ntelegram_proxy.token = "env:TOKEN"\n')["token-malformed"]
    assert words in found


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("expct = '@private'", "networks.telegram: unknown key 'expct'; known are token, base_url, mode, url, secret, expect, kinds; did"),
        ("expct = '@private'", 'did you mean "expect"?'),
        ("kind = ['message']", "unknown key 'kind'"),
        ("mode = 'webhok'", 'networks.telegram.mode: found a text; expected "polling" or "webhook"; did you mean "webhook"?'),
        ("mode = 7", "networks.telegram.mode: found int; expected a text"),
        ("base_url = 'private'", 'base_url: found a text; expected an address as in base_url = "https://api.telegram.org"'),
        ("mode = 'webhook'", "networks.telegram.url: found nothing; expected the address at which Telegram reaches"),
        ("kinds = ['message', 'mesage']", 'did you mean "message"?'),
        ("secret = 'private words'", "secret has characters that Telegram does not take"),
    ],
)  # fmt: skip
def test_the_settings_of_telegram_are_checked(folder: Path, settings: str, words: str) -> None:
    """As its connector does at the start, but without showing what may be a secret."""
    found = codes(folder, f"[bots.a]\n{NATIVE}[bots.a.networks.telegram]\ntoken = 'env:HOME'\n{settings}\n")
    assert words in found["network-settings"] and "private" not in found["network-settings"], found


def test_values_that_stand_elsewhere_are_not_judged(folder: Path) -> None:
    """Nobody knows them here; nor those of a bot with an interpreter of its own."""
    settings = "token = 'env:HOME'\nmode = 'env:HOME'\nbase_url = 'env:HOME'\nkinds = ['env:HOME']\n"
    assert codes(folder, f"[bots.a]\n{NATIVE}[bots.a.networks.telegram]\n{settings}") == {}
    assert codes(folder, f"[bots.a]\n{NATIVE}python = '/bin/sh'\n[bots.a.networks.telegram]\ntoken = 'env:HOME'\nexpct = 'x'\n") == {}


def test_a_package_checks_the_settings_of_its_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a function beside its connector, which is not imported; one that fails does no harm, and without one nothing is said."""
    (folder / "lines.py").write_text("raise RuntimeError('a connector was imported')\n")
    (folder / "linesettings.py").write_text("def check(table):\n    return [(k, f': no {k}', 'none') for k in table if k != 'port']\n")
    (folder / "linebroken.py").write_text("def check(table):\n    raise ValueError('private')\n")
    meta = folder / "lines-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: lines\nVersion: 1.0\n")
    connectors = "[processsupervisor.connectors]\nlines = lines:make\nbroken = lines:make\nsilent = lines:make\n"
    (meta / "entry_points.txt").write_text(f"{connectors}[processsupervisor.settings]\nlines = linesettings:check\nbroken = linebroken:check\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr("processsupervisor.config.networks.known_networks", lambda: ("broken", "lines", "silent"))
    found = codes(folder, f"[bots.a]\n{NATIVE}networks.lines = {{ port = 1, prt = 2 }}\n")
    assert found == {"network-settings": "networks.lines: no prt; none"}
    assert codes(folder, f"[bots.a]\n{NATIVE}networks.silent.prt = 2\nnetworks.broken.prt = 2\n") == {}
    [warned] = codes(folder, f"[bots.a]\n{NATIVE}networks.broken.prt = 2\n", warnings=True).values()
    assert 'the settings of network "broken" cannot be checked: ValueError' in warned and "private" not in warned


def test_checking_settings_loads_no_library_of_a_network(folder: Path) -> None:
    """Neither aiogram nor aiohttp; in an interpreter of its own, as psv check is."""
    (folder / "fleet.toml").write_text(f"{HEAD}[bots.a]\n{NATIVE}[bots.a.networks.telegram]\ntoken = 'env:HOME'\nexpct = 'x'\n")
    code = f"""
import sys
from pathlib import Path
from processsupervisor.config.load import load_fleet
assert "expct" in str(load_fleet(Path({str(folder)!r})).problems)
print(sorted({{"aiogram", "aiohttp"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("token", ["123456:AAprivate", "literal:123456:AAprivate"])
def test_a_token_in_clear_is_warned_of(folder: Path, token: str) -> None:
    """The bot runs; the token is not shown. Behind a reference nothing is said."""
    for table in (f"{NATIVE}networks.telegram.token", f"{SCRIPT}telegram_proxy.token"):
        text = f'[bots.a]\n{table} = "{token}"\n'
        assert codes(folder, text) == {}
        warned = codes(folder, text, warnings=True)["token-in-clear"]
        assert "stands in clear" in warned and "psv secret set NAME" in warned and "private" not in warned
        assert "token-in-clear" not in codes(folder, text.replace(token, "env:HOME"), warnings=True)


def test_a_secret_that_is_no_token_is_told_before_the_start(folder: Path) -> None:
    """A line break within it, say: psv looks at its form alone, and where it is no token of Telegram it may be anything."""
    paths = FleetPaths(folder)
    store = SecretStore(paths, key_environment(paths))
    store.set("torn", "123456:AApri\nvate", "ada")
    store.set("good", "123456:AAprivate", "ada")
    found = codes(folder, f"[bots.a]\n{NATIVE}networks.telegram.token = 'secret:torn'\n")["token-malformed"]
    assert "the token in the secret torn is none of Telegram: it has white space in it" in found and "pri" not in found.replace("printed", "")
    assert codes(folder, f"[bots.a]\n{NATIVE}networks.telegram.token = 'secret:good'\noptions.key = 'secret:torn'\n") == {}
