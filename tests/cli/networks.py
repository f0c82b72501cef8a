"""Stand-ins for the servers of networks and models, over real HTTP: they behave as their documentation says, and keep what they were asked."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

TELEGRAM_TOKEN = "123456789:" + "AAtelegramtokenofthetest" + "x" * 11
DISCORD_TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4" + ".GabcdE." + "discordtokenofthetest" + "x" * 10
MODEL_KEY = "sk-modelkeyofthetest0123456789"
SLACK_TOKEN = "xoxb-1234-slacktokenofthetest"
MATRIX_TOKEN = "syt_matrixtokenofthetest"
ALL = (TELEGRAM_TOKEN, DISCORD_TOKEN, MODEL_KEY, SLACK_TOKEN, MATRIX_TOKEN)

_LONGEST_POLL_S = 0.3
"""Telegram waits as long as it is asked to; a test need not."""


class Telegram:
    """What getUpdates does: an offset confirms, a newer poll sends the older one away with 409."""

    def __init__(self) -> None:
        self.updates = [{"update_id": number} for number in (7, 8)]
        self.webhook = ""
        self.polls = 0
        self._lock = threading.Condition()

    def answer(self, method: str, query: dict[str, str]) -> tuple[int, dict[str, object]]:
        if method == "getMe":
            return 200, {"ok": True, "result": {"username": "shop_bot"}}
        if method == "getWebhookInfo":
            return 200, {"ok": True, "result": {"url": self.webhook, "pending_update_count": len(self.updates)}}
        assert method == "getUpdates", method
        with self._lock:
            self.polls += 1
            mine = self.polls
            self._lock.notify_all()
            if "offset" in query:
                self.updates = [update for update in self.updates if update["update_id"] >= int(query["offset"])]
            if not self.updates:
                self._lock.wait_for(lambda: self.polls != mine, min(_LONGEST_POLL_S, float(query.get("timeout", 0))))
                if self.polls != mine:
                    what = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
                    return 409, {"ok": False, "error_code": 409, "description": what}
            return 200, {"ok": True, "result": self.updates[: int(query.get("limit", 100))]}


class Networks:
    """One server for all; `base(kind)` is where a kind is asked. `logins` = Discord's session_start_limit, left of 1000."""

    def __init__(self) -> None:
        self.telegram = Telegram()
        self.logins = 990
        self.refused: set[str] = set()
        self.seen: list[str] = []
        self._ends = threading.Event()
        networks = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = networks.answer(self.command, self.path, {name.lower(): value for name, value in self.headers.items()})
                if status == 0:
                    self._drip()
                    return
                content = json.dumps(body).encode()
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", networks.base("elsewhere"))
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def _drip(self) -> None:
                try:
                    while not networks._ends.wait(0.05):
                        self.wfile.write(b"H")
                except OSError:
                    pass

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def base(self, kind: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{kind}"

    def answer(self, verb: str, path: str, headers: dict[str, str]) -> tuple[int, object]:
        parts = urlsplit(path)
        _, kind, *rest = parts.path.split("/")
        self.seen.append(f"{verb} {kind}/{'/'.join(rest)}")
        if kind == "dripping":
            return 0, {}
        if kind == "moved":
            return 302, {}
        if kind in self.refused:
            return 401, {"ok": False, "error": "invalid_auth", "description": "Unauthorized"}
        if kind == "telegram" and rest[0] == f"bot{TELEGRAM_TOKEN}":
            return self.telegram.answer(rest[1], {key: value[0] for key, value in parse_qs(parts.query).items()})
        if kind == "discord" and headers.get("authorization") == f"Bot {DISCORD_TOKEN}":
            limit = {"total": 1000, "remaining": self.logins, "reset_after": 7_200_000, "max_concurrency": 1}
            return 200, {"username": "shop"} if rest == ["users", "@me"] else {"url": "wss://x", "session_start_limit": limit}
        if kind == "slack" and verb == "POST" and headers.get("authorization") == f"Bearer {SLACK_TOKEN}":
            return 200, {"ok": True, "user": "shop", "team": "Acme"}
        if kind == "matrix" and headers.get("authorization") == f"Bearer {MATRIX_TOKEN}":
            return 200, {"user_id": "@shop:example.org"}
        if kind == "anthropic" and headers.get("x-api-key") == MODEL_KEY and "anthropic-version" in headers:
            return 200, {"data": [{"id": "claude"}], "has_more": False}
        if kind in ("openai", "local") and headers.get("authorization") == f"Bearer {MODEL_KEY}" and rest == ["models"]:
            return 200, {"object": "list", "data": [{"id": "small"}, {"id": "large"}]}
        return 404, {}

    def close(self) -> None:
        self._ends.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


class Poller:
    """Another program that polls Telegram with the same token, as libraries do: sent away it comes back."""

    def __init__(self, networks: Networks) -> None:
        self._url = f"{networks.base('telegram')}/bot{TELEGRAM_TOKEN}/getUpdates?offset=9&timeout=30"
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ends.is_set():
            try:
                urlopen(self._url, timeout=10).close()
            except OSError:
                time.sleep(0.02)

    def stop(self) -> None:
        self._ends.set()
        self._thread.join(10)
