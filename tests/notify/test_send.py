"""Each kind of channel against a real server: what arrives, what comes back, and that no secret is in it."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.notify.conftest import Receiver
from tests.notify.mailserver import CERTIFICATE, MailServer
from tests.supervisor.live import eventually

from processsupervisor.config.load import load_fleet
from processsupervisor.kernel.identity import read_stat
from processsupervisor.notify.couriers import deliver_once
from processsupervisor.notify.job import Result
from processsupervisor.notify.message import Gathered, Message, Sender, compose

SECRET = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw0"
MESSAGE = compose(Sender("demo", "here", "/srv/demo"), "failed", [Gathered("a", 1, 'it said "no"\nthen ended', 1.0, 2.0)])
Send = Callable[..., Result]


@pytest.fixture
def send(tmp_path: Path) -> Send:
    """Send MESSAGE through a channel that is read from fleet.toml, by a real sending process."""

    def run(text: str, message: Message | None = MESSAGE, heartbeat: str | None = None) -> Result:
        (tmp_path / "fleet.toml").write_text(f'[fleet]\nname = "demo"\n[notify.ops]\n{text}\n')
        loaded = load_fleet(tmp_path)
        assert loaded.applied is not None, loaded.problems
        channel = loaded.applied["notify"][0]
        return deliver_once({"folder": str(tmp_path), "timeout_s": channel["timeout_s"], "channel": channel, "message": message, "heartbeat": heartbeat})

    return run


@contextlib.contextmanager
def mail_server(**options: Any) -> Iterator[MailServer]:
    server = MailServer(**options)
    try:
        yield server
    finally:
        server.close()


# -- webhooks


def test_a_webhook_gets_the_message(send: Send, receiver: Receiver) -> None:
    """All of it, as JSON."""
    assert send(f'to = "webhook"\nurl = "{receiver.url}/hook"') == {"ok": True, "said": "HTTP 200 OK", "retry_after_s": 0.0}
    assert receiver.messages() == [MESSAGE]


@pytest.mark.parametrize("template", ['{"content": "$text"}', '{"text": "[$fleet] $title", "n": [1], "cost": "$$5"}'])
def test_a_template_makes_the_body(send: Send, receiver: Receiver, template: str) -> None:
    """Quotes and line ends in the words stay inside the texts."""
    assert send(f"to = \"webhook\"\nurl = \"{receiver.url}/hook\"\ntemplate = '{template}'")["ok"]
    (_, _, body) = receiver.got[0]
    assert body == ({"content": MESSAGE["text"]} if "content" in body else {"text": "[demo] [demo] a has failed", "n": [1], "cost": "$5"})


def test_a_refusal_says_what_came_back(send: Send, receiver: Receiver) -> None:
    """Status, first line, and how long the server wants to be left alone."""
    receiver.status, receiver.headers, receiver.body = 429, {"Retry-After": "7"}, b"slow down\nmore"
    result = send(f'to = "webhook"\nurl = "{receiver.url}/hook"')
    assert result == {"ok": False, "said": "HTTP 429 Too Many Requests: slow down", "retry_after_s": 7.0}


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirection_is_no_delivery(send: Send, receiver: Receiver, status: int) -> None:
    """Following it would make a GET of it."""
    receiver.status, receiver.headers = status, {"Location": f"{receiver.url}/elsewhere"}
    result = send(f'to = "webhook"\nurl = "{receiver.url}/hook"')
    assert not result["ok"] and str(status) in result["said"]
    assert [method for method, _, _ in receiver.got] == ["POST"]


def test_a_server_that_never_answers_is_left(send: Send, receiver: Receiver) -> None:
    """At the deadline, however it holds the connection."""
    receiver.gate.clear()
    began = time.monotonic()
    result = send(f'to = "webhook"\nurl = "{receiver.url}/hook"\ntimeout = "1s"')
    assert not result["ok"] and ("no answer within 1 s" in result["said"] or "timed out" in result["said"])
    assert time.monotonic() - began < 6


def test_nobody_listens(send: Send, receiver: Receiver) -> None:
    """A word, no traceback."""
    receiver.close()
    result = send(f'to = "webhook"\nurl = "{receiver.url}/hook"')
    assert result["said"] == "cannot be reached: Connection refused"


def test_the_address_of_a_webhook_may_be_a_secret(send: Send, receiver: Receiver, tmp_path: Path) -> None:
    """It comes from the env file, and is not shown even when the server repeats it."""
    address = f"{receiver.url}/hook/very-secret-part"
    (tmp_path / "notify.env").write_text(f"HOOK={address}\n")
    receiver.status, receiver.body = 404, f"nothing at {address}".encode()
    result = send('to = "webhook"\nurl_env = "HOOK"\nenv_file = "notify.env"')
    assert receiver.got[0][1] == "/hook/very-secret-part"
    assert "404" in result["said"] and "very-secret" not in result["said"]


def test_a_heartbeat_is_a_get(send: Send, receiver: Receiver) -> None:
    """Of the address as it is."""
    assert send(f'to = "webhook"\nurl = "{receiver.url}/hook"', None, f"{receiver.url}/beat/1")["ok"]
    assert receiver.got == [("GET", "/beat/1", None)]


# -- Telegram


def telegram(receiver: Receiver) -> str:
    return f'to = "telegram"\ntoken_env = "TG_TOKEN"\nchat = -100123\napi = "{receiver.url}"\nenv_file = "notify.env"'


def test_telegram_gets_a_text(send: Send, receiver: Receiver, tmp_path: Path) -> None:
    """sendMessage of the Bot API, with the token of the env file."""
    (tmp_path / "notify.env").write_text(f"TG_TOKEN={SECRET}\n")
    receiver.body = b'{"ok": true, "result": {}}'
    assert send(telegram(receiver))["ok"]
    (_, path, body) = receiver.got[0]
    assert path == f"/bot{SECRET}/sendMessage"
    assert body == {"chat_id": "-100123", "text": MESSAGE["text"], "disable_web_page_preview": True}


def test_telegram_refuses(send: Send, receiver: Receiver, tmp_path: Path) -> None:
    """Its own words, the time it asks for, and never the token."""
    (tmp_path / "notify.env").write_text(f"TG_TOKEN={SECRET}\n")
    receiver.status = 429
    receiver.body = json.dumps({"ok": False, "description": f"Too Many Requests for {SECRET}", "parameters": {"retry_after": 31}}).encode()
    result = send(telegram(receiver))
    assert (result["ok"], result["retry_after_s"]) == (False, 31.0)
    assert result["said"].startswith("Telegram: Too Many Requests") and SECRET not in result["said"]


def test_an_address_that_cannot_be_asked_shows_no_token(send: Send, receiver: Receiver, tmp_path: Path) -> None:
    """http.client puts the whole path into its error."""
    (tmp_path / "notify.env").write_text('TG_TOKEN="1234 very secret"\n')
    result = send(telegram(receiver))
    assert not result["ok"] and "very secret" not in result["said"] and result["said"]


def test_a_variable_that_is_not_there_is_named(send: Send, receiver: Receiver, tmp_path: Path) -> None:
    """And the way out."""
    (tmp_path / "notify.env").write_text("OTHER=1\n")
    assert "the variable TG_TOKEN is neither in env_file nor in the environment" in send(telegram(receiver))["said"]
    (tmp_path / "notify.env").unlink()
    assert "env_file does not exist" in send(telegram(receiver))["said"]


# -- mail


def mail(server: MailServer, more: str) -> str:
    return f'to = "email"\nserver = "{server.address}"\nsender = "psv@example.org"\naddress = ["ops@example.org", "me@example.org"]\n{more}'


def test_a_mail_by_starttls_with_a_login(send: Send, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Encrypted, from and to, with the id by which a second copy is known; name and password from the environment."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    (tmp_path / "notify.env").write_text("MAIL_USER=ops\nMAIL_PASSWORD=very-secret\n")
    login = 'user_env = "MAIL_USER"\npassword_env = "MAIL_PASSWORD"\nenv_file = "notify.env"'
    with mail_server(tls=True, login=("ops", "very-secret")) as server:
        result = send(mail(server, login))
        assert result == {"ok": True, "said": "taken by localhost for ops@example.org, me@example.org", "retry_after_s": 0.0}
        (letter,) = server.letters
        assert server.were_encrypted == [True]
        assert (letter["Subject"], letter["From"]) == ("[demo] a has failed", "psv@example.org")
        assert letter["Message-ID"] == f"<{MESSAGE['id']}@psv.invalid>"
        assert 'it said "no" then ended' in str(letter.get_payload())
        (tmp_path / "notify.env").write_text("MAIL_USER=ops\nMAIL_PASSWORD=wrong-password\n")
        refused = send(mail(server, login))
        assert not refused["ok"] and "535" in refused["said"] and "wrong-password" not in refused["said"]


def test_a_certificate_that_nobody_vouches_for_is_refused(send: Send) -> None:
    """Before anything is sent."""
    with mail_server(tls=True) as server:
        result = send(mail(server, ""))
        assert not result["ok"] and "certificate of localhost is not trusted" in result["said"]
        assert server.letters == []


def test_a_server_without_starttls_is_refused(send: Send) -> None:
    """Unless tls = "none" says so."""
    with mail_server() as server:
        result = send(mail(server, ""))
        assert not result["ok"] and 'tls = "none" goes without' in result["said"]
        assert send(mail(server, 'tls = "none"'))["ok"]
        assert len(server.letters) == 1


@pytest.mark.parametrize("refused", [{"ops@example.org"}, {"ops@example.org", "me@example.org"}])
def test_an_address_that_is_refused_is_no_delivery(send: Send, refused: set[str]) -> None:
    """One of them, or all."""
    with mail_server() as server:
        server.refused = refused
        result = send(mail(server, 'tls = "none"'))
        assert not result["ok"] and "refused ops@example.org: 550" in result["said"]
        assert result.get("left") == (["ops@example.org"] if len(refused) == 1 else None)


def test_a_server_that_says_good_bye_in_its_own_way_has_it_all_the_same(send: Send) -> None:
    """What was taken is not sent again for what comes behind."""
    with mail_server() as server:
        server.good_bye = "421 4.3.0 too busy for that"
        assert send(mail(server, 'tls = "none"'))["ok"]
        assert len(server.letters) == 1


# -- commands


def test_a_command_reads_the_message(send: Send, tmp_path: Path) -> None:
    """JSON on stdin, in the fleet folder, with the variables of the env file."""
    (tmp_path / "notify.env").write_text("EXTRA=more\n")
    code = "import json, os, sys; json.dump([json.load(sys.stdin), os.environ['EXTRA'], os.environ['PSV_FLEET']], open('got.json', 'w'))"
    assert send(f'to = "command"\ncommand = ["python", "-c", "{code}"]\nenv_file = "notify.env"')["said"] == "exit code 0"
    assert json.loads((tmp_path / "got.json").read_text()) == [MESSAGE, "more", str(tmp_path)]


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo first; echo no route >&2; exit 3", "exit code 3: no route"), ("kill -9 $$", "killed by SIGKILL")],
)
def test_a_command_that_fails(send: Send, script: str, said: str) -> None:
    """Its exit code and its last line."""
    result = send(f'to = "command"\ncommand = ["sh", "-c", "{script}"]')
    assert (result["ok"], result["said"]) == (False, said)


def test_a_command_that_is_not_there(send: Send) -> None:
    """Said in words."""
    result = send('to = "command"\ncommand = ["/nowhere/tell"]')
    assert not result["ok"] and "No such file or directory" in result["said"]


def test_a_command_that_hangs_is_ended_with_what_it_started(send: Send, tmp_path: Path) -> None:
    """At the deadline; nothing of it is left."""
    result = send('to = "command"\ncommand = ["sh", "-c", "sleep 300 & echo $! > child; wait"]\ntimeout = "1s"')
    assert (result["ok"], result["said"]) == (False, "not done within 1 s")
    child = int((tmp_path / "child").read_text())
    eventually(lambda: (facts := read_stat(child)) is None or facts[0] in "ZX", "the child has ended")


def test_nothing_secret_is_in_the_arguments(send: Send, receiver: Receiver, tmp_path: Path) -> None:
    """While it is being sent, anybody may look at the command line."""
    import threading

    (tmp_path / "notify.env").write_text(f"TG_TOKEN={SECRET}\n")
    receiver.gate.clear()
    sending = threading.Thread(target=send, args=(telegram(receiver),))
    sending.start()
    eventually(lambda: receiver.got, "it is being sent")
    lines = [line for pid in os.listdir("/proc") if pid.isdigit() and (line := _command_line(pid)) and b"notify.send" in line]
    receiver.gate.set()
    sending.join()
    assert lines and not any(SECRET.encode() in line for line in lines)


def _command_line(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
