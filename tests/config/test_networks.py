"""Rules on networks, chat and telegram_proxy: for which kind of bot they are, and what must be there."""

from __future__ import annotations

from pathlib import Path

import pytest

from processsupervisor.config.load import load_fleet

HEAD = '[fleet]\nname = "demo"\n'
NATIVE = 'run = "bots:bot"\n'
SCRIPT = 'script = "main.py"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bots.py").write_text("")
    (tmp_path / "main.py").write_text("")
    return tmp_path


def codes(folder: Path, text: str) -> dict[str, str]:
    """Return {code: message} of what is wrong with a fleet."""
    (folder / "fleet.toml").write_text(HEAD + text)
    return {problem.code: f"{problem.message}; {problem.hint}" for problem in load_fleet(folder).problems if problem.severity != "warning"}


def test_a_native_bot_may_be_on_telegram(folder: Path) -> None:
    """Nothing is wrong with a token, and its values arrive."""
    text = f'[bots.anna]\n{NATIVE}networks.telegram = {{ token = "literal:1:x", mode = "webhook" }}\n'
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
