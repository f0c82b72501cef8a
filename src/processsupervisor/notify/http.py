"""What is sent over HTTP: a webhook's POST, a message by Telegram's Bot API, the heartbeat's GET. Loaded by the sending process only.

Delivered means answered with 2xx. A redirection of a POST is no delivery: following it would make it a GET.
"""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Mapping
from string import Template
from typing import NamedTuple
from urllib import error, request

from processsupervisor.config.spec import NOTICE_WORDS
from processsupervisor.notify.job import Result
from processsupervisor.notify.message import Message
from processsupervisor.version import __version__

_MOST_BYTES = 4096
_LONGEST_WAIT_S = 3600.0


class _Answer(NamedTuple):
    status: int
    reason: str
    body: str
    headers: Mapping[str, str]


class _NoRedirection(request.HTTPRedirectHandler):
    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        """Leave the answer as it is."""


def post_webhook(address: str, template: str | None, message: Message, timeout_s: float) -> Result:
    """POST the message, or what the template makes of it, as JSON."""
    return _judged(_ask(address, fill(template, message) if template else json.dumps(message), timeout_s))


def fill(template: str, message: Message) -> str:
    """Return the body that a template makes of a message; each word is escaped as JSON escapes texts."""
    words: Mapping[str, object] = message
    return Template(template).substitute({word: json.dumps(str(words[word]))[1:-1] for word in NOTICE_WORDS})


def post_telegram(api: str, token: str, chat: str, message: Message, timeout_s: float) -> Result:
    """Call sendMessage; Telegram says in the body what is wrong, and how long to wait (core.telegram.org/bots/api#making-requests)."""
    body = json.dumps({"chat_id": chat, "text": message["text"], "disable_web_page_preview": True})
    answer = _ask(f"{api}/bot{token}/sendMessage", body, timeout_s)
    result = _judged(answer)
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        facts = json.loads(answer.body)
        if not facts.get("ok"):
            wait_s = float((facts.get("parameters") or {}).get("retry_after") or 0.0)
            said = f"Telegram: {facts.get('description')}"
            return {"ok": False, "said": said, "retry_after_s": min(max(wait_s, result["retry_after_s"]), _LONGEST_WAIT_S)}
    return result


def beat(address: str, timeout_s: float) -> Result:
    """GET the address of a dead man's switch."""
    return _judged(_ask(address, None, timeout_s))


def _ask(address: str, body: str | None, timeout_s: float) -> _Answer:
    headers = {"User-Agent": f"psv/{__version__}", "Content-Type": "application/json"}
    asked = request.Request(address, None if body is None else body.encode(), headers)
    opener = request.build_opener(*([_NoRedirection] if body is not None else []))
    try:
        with opener.open(asked, timeout=timeout_s) as answer:
            return _read(answer)
    except error.HTTPError as err:
        with err:
            return _read(err)
    except error.URLError as err:
        raise OSError(f"cannot be reached: {getattr(err.reason, 'strerror', None) or err.reason}") from err
    except http.client.HTTPException as err:
        raise OSError(f"no HTTP answer: {type(err).__name__}") from err  # its words may hold the address


def _read(answer: http.client.HTTPResponse | error.HTTPError) -> _Answer:
    body = answer.read(_MOST_BYTES).decode("utf-8", "replace")
    return _Answer(answer.status or 0, answer.reason or "", body, dict(answer.headers.items()))


def _judged(answer: _Answer) -> Result:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    ok = 200 <= answer.status < 300
    words = "" if ok else answer.body.strip().partition("\n")[0][:200]
    wait_s = 0.0
    with contextlib.suppress(ValueError):  # a date: the own delay will do
        wait_s = float(headers.get("retry-after", "0"))
    said = f"HTTP {answer.status} {answer.reason}".rstrip() + (f": {words}" if words else "")
    return {"ok": ok, "said": said, "retry_after_s": 0.0 if ok else min(max(0.0, wait_s), _LONGEST_WAIT_S)}
