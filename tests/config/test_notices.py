"""The tables [notify.NAME]: what comes out, and what is said of each mistake: place, found, expected, way out; never a secret."""

from __future__ import annotations

import json

import pytest
from tests.config.test_load import only

WEBHOOK = '[notify.ops]\nto = "webhook"\nurl = "https://example.org/hook"\n'


def channel(loaded, name="ops"):
    assert loaded.applied is not None, loaded.problems
    return next(spec for spec in loaded.applied["notify"] if spec["name"] == name)


def test_without_a_table_nobody_is_told(load):
    """The key is there all the same."""
    assert load("[bots.a]\nscript = 'main.py'").applied["notify"] == []


def test_a_channel_has_defaults(load):
    """Everything is told, once an hour, within ten seconds a try."""
    spec = channel(load(WEBHOOK))
    assert (spec["to"], spec["url"], spec["template"]) == ("webhook", "https://example.org/hook", None)
    assert spec["on"] == ["failed", "crash-loop", "hang", "oom", "deaf", "disk", "budget", "recovered"]
    assert (spec["timeout_s"], spec["away_s"], spec["heartbeat_every_s"], spec["repeat_s"]) == (10.0, 30.0, 60.0, 3600.0)


def test_all_kinds_together(load, folder, monkeypatch):
    """Several channels, paths beside fleet.toml, one address or several, a chat as a number."""
    monkeypatch.setenv("TG", "1:x")
    (folder / "mail.env").write_text("USER_OF_MAIL=ops\nPASSWORD=x\n")
    loaded = load(
        """[notify.chat]
to = "telegram"
token_env = "TG"
chat = -100123
on = ["crash-loop", "crash-loop"]
[notify.mail]
to = "email"
server = "smtp.example.org:587"
sender = "psv@example.org"
address = "ops@example.org"
user_env = "USER_OF_MAIL"
password_env = "PASSWORD"
env_file = "mail.env"
[notify.program]
to = "command"
command = ["./run.sh", "x"]
heartbeat = "https://example.org/beat"
"""
    )
    assert loaded.problems == ()
    assert (channel(loaded, "chat")["chat"], channel(loaded, "chat")["on"]) == ("-100123", ["crash-loop"])
    assert channel(loaded, "chat")["api"] == "https://api.telegram.org"
    assert (channel(loaded, "mail")["address"], channel(loaded, "mail")["env_files"]) == (["ops@example.org"], [str(folder / "mail.env")])
    assert channel(loaded, "program")["command"] == [str(folder / "run.sh"), "x"]


@pytest.mark.parametrize(
    ("text", "code", "line", "words"),
    [
        ('to = "webhook"\nurl = "https://x.org"\non = ["failed", "crashloop"]', "bad-value", 6, 'found "crashloop" for on[2] in [notify.ops], expected one of "failed", "crash-loop"'),
        ('to = "webhook"\nurl = "https://x.org"\non = "failed"', "bad-value", 6, "expected a list"),
        ('to = "sms"', "bad-value", 4, 'found "sms" for to in [notify.ops], expected one of "webhook"'),
        ('on = ["failed"]', "missing-key", 3, '"to" is missing in [notify.ops]'),
        ('to = "webhook"', "notify-address", 3, "found neither url nor url_env in [notify.ops], expected one of them; give url ="),
        ('to = "webhook"\nurl = "https://x.org"\nurl_env = "HOOK"', "notify-address", 3, "found both url and url_env"),
        ('to = "webhook"\nurl = "example.org/hook"', "bad-value", 5, 'expected an address such as "http'),
        ('to = "webhook"\nurl = "https://x.org"\nheartbeat = "ftp://x.org"', "bad-value", 6, "for heartbeat in [notify.ops]"),
        ('to = "webhook"\nurl = "https://x.org"\ntemplate = "{text}"', "bad-value", 6, "expected a text that is JSON once the words are put in"),
        ("to = 'webhook'\nurl = 'https://x.org'\ntemplate = '{\"a\": \"$txt\"}'", "bad-value", 6, "expected JSON with $text, $title"),
        ("to = 'webhook'\nurl = 'https://x.org'\ntemplate = '{\"a\": \"5$\"}'", "bad-value", 6, "a $ itself is written $$"),
        ('to = "webhook"\nurl = "https://x.org"\nurll = 1', "unknown-key", 6, 'did you mean "url"?'),
        ('to = "webhook"\nurl = "https://x.org"\nchat = "1"', "notify-key", 6, 'found chat in [notify.ops], which is of the kind webhook; expected it with to = "telegram" only'),
        ('to = "telegram"\nchat = "1"', "missing-key", 3, '"token_env" is missing in [notify.ops], which tells by telegram; name the variable'),
        ('to = "telegram"\ntoken_env = "T"\nchat = "my chat"', "bad-value", 6, "expected the id of a chat"),
        ('to = "email"\nserver = "smtp.example.org:587"\nsender = "a@b"', "missing-key", 3, '"address" is missing in [notify.ops]'),
        ('to = "email"\nserver = "smtp.example.org"\nsender = "a@b"\naddress = "a@b"', "bad-value", 5, "expected a mail server and port"),
        ('to = "email"\nserver = "m:25"\nsender = "a@b"\naddress = ["a@b", "c"]', "bad-value", 7, 'found "c" for address[2] in [notify.ops], expected a mail address'),
        ('to = "email"\nserver = "m:25"\nsender = "a@b"\naddress = []', "bad-value", 7, "expected at least one mail address"),
        ('to = "email"\nserver = "m:25"\nsender = "a@b"\naddress = "a@b"\nuser_env = "U"', "notify-login", 8, "expected both or none"),
        ('to = "command"\ncommand = "./run.sh"', "bad-value", 5, "expected a list of texts"),
        ('to = "command"', "missing-key", 3, '"command" is missing'),
    ],
)
def test_a_mistake_is_named_with_its_place(load, text, code, line, words):
    """Nothing starts: who is not told of trouble must know it before."""
    loaded = load(f"[notify.ops]\n{text}\n")
    problem = only(loaded)
    assert (problem.code, problem.line, problem.severity) == (code, line, "fatal"), problem
    assert words in f"{problem.message}; {problem.hint}"


def test_a_name_that_is_none(load):
    """Channels are named like bots."""
    problem = only(load('[notify."Ops Team"]\nto = "webhook"\nurl = "https://x.org"\n'))
    assert (problem.code, problem.line) == ("notify-name", 3)


def test_what_is_not_there_yet_is_a_warning(load, folder):
    """A variable, a file, a program: the fleet starts without."""
    loaded = load('[notify.a]\nto = "telegram"\ntoken_env = "PSV_TEST_NOT_SET"\nchat = 1\n[notify.b]\nto = "webhook"\nurl = "https://x.org"\nenv_file = "no.env"\n'
                  '[notify.c]\nto = "command"\ncommand = ["./nothing.sh"]\n')
    assert [(p.code, p.severity, p.line) for p in loaded.problems] == [
        ("notify-variable", "warning", 5), ("notify-env", "warning", 10), ("notify-command", "warning", 13)]
    assert len(loaded.applied["notify"]) == 3


@pytest.mark.parametrize(
    "text",
    ['to = "webhook"\nurl = "htps://hooks.example.org/TOPSECRET"', 'to = "telegram"\nchat = 1\ntoken_env = "123:TOPSECRET"',
     'to = "webhook"\nurl_env = "https://hooks.example.org/TOPSECRET"', 'to = "webhook"\nurl = "https://x.org"\nheartbeat = "TOPSECRET"',
     'to = "email"\nserver = "m:25"\nsender = "a@b"\naddress = "a@b"\nuser_env = "U"\npassword_env = "TOPSECRET!"'],
)
def test_a_secret_in_the_wrong_place_is_not_repeated(load, text):
    """Neither in a message nor in a hint."""
    loaded = load(f"[notify.ops]\n{text}\n")
    assert loaded.fatal
    assert "TOPSECRET" not in json.dumps([problem.to_json() for problem in loaded.problems])
