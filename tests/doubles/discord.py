"""A double of Discord: its HTTP interface and a gateway over a real websocket, as https://discord.com/developers/docs says.

A bot reaches it without a line of its own: `discordapi.py` lies in the virtual environment that the bot runs in and has
discord.py take the addresses from DISCORD_API and DISCORD_GATEWAY, as a resolver and a certificate would.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import site
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web
from tests.doubles.server import Server

BEAT_MS = 500
"""Discord asks for 41,250; a test would not see one."""
_PERSON = {"id": "7", "username": "ada", "discriminator": "0", "avatar": None, "global_name": "Ada"}
_APPLICATION = {"id": "42", "name": "app", "description": "", "icon": None, "bot_public": True, "bot_require_code_grant": False,
                "verify_key": "", "owner": _PERSON, "flags": 0}  # fmt: skip


class Discord(Server):
    """`environment` is what a bot needs beside its token to come here instead of to discord.com."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, list[str]] = defaultdict(list)
        self.beats: dict[str, int] = defaultdict(int)
        self.closed: dict[str, list[int | None]] = defaultdict(list)
        """{token: how each connection was ended: the code of the websocket, 1006 or None for one that just broke}."""
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._number = 100

    @property
    def environment(self) -> dict[str, str]:
        return {"DISCORD_API": f"http://127.0.0.1:{self.port}/api/v10", "DISCORD_GATEWAY": f"ws://127.0.0.1:{self.port}/gateway"}

    async def open(self) -> None:
        app = web.Application()
        app.router.add_get("/api/v10/users/@me", self._me)
        app.router.add_get("/api/v10/oauth2/applications/@me", self._application)
        app.router.add_post("/api/v10/channels/{channel}/messages", self._message)
        app.router.add_get("/gateway", self._gateway)
        self._runner = await self.listen(app)

    async def close(self) -> None:
        for socket in list(self._sockets.values()):
            await socket.close(code=1001)
        await self._runner.cleanup()

    def say(self, token: str, text: str) -> None:
        """Have a person write to the bot of `token` in a private conversation."""
        self.call(self._dispatch(token, "MESSAGE_CREATE", self._create(text, _PERSON)))

    def wait_for(self, token: str, text: str, timeout_s: float) -> None:
        """Wait until the bot has sent `text`; TimeoutError says what it sent instead."""
        with self.heard:
            if not self.heard.wait_for(lambda: text in self.sent[token], timeout_s):
                raise TimeoutError(f"the bot did not send {text!r} but {self.sent[token]}")

    async def _me(self, request: web.Request) -> web.Response:
        _token(request)
        return _json(_bot())

    async def _application(self, request: web.Request) -> web.Response:
        _token(request)
        return _json(_APPLICATION)

    async def _message(self, request: web.Request) -> web.Response:
        token = _token(request)
        text = (await request.json())["content"]
        with self.heard:
            self.sent[token].append(text)
            self.heard.notify_all()
        return _json(self._create(text, _bot()))

    def _create(self, text: str, author: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        return {"id": str(self._number), "channel_id": "9", "author": author, "content": text, "timestamp": "2026-01-01T00:00:00+00:00",
                "edited_timestamp": None, "tts": False, "mention_everyone": False, "mentions": [], "mention_roles": [], "attachments": [],
                "embeds": [], "pinned": False, "type": 0}  # fmt: skip

    async def _gateway(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"op": 10, "d": {"heartbeat_interval": BEAT_MS}})
        token = ""
        try:
            async for frame in socket:
                if frame.type is not WSMsgType.TEXT:
                    continue
                said = json.loads(frame.data)
                match said["op"]:
                    case 1:
                        self.beats[token] += 1
                        await socket.send_json({"op": 11})
                    case 2:
                        token = said["d"]["token"]
                        self._sockets[token] = socket
                        await self._dispatch(token, "READY", {"v": 10, "user": _bot(), "guilds": [], "session_id": "s", "shard": [0, 1],
                                                              "resume_gateway_url": self.environment["DISCORD_GATEWAY"],
                                                              "application": {"id": "42", "flags": 0}})  # fmt: skip
                        self.is_ready(token)
        finally:
            with self.heard:
                self.closed[token].append(socket.close_code)
                self.heard.notify_all()
        return socket

    async def _dispatch(self, token: str, kind: str, event: dict[str, Any]) -> None:
        self._number += 1
        await asyncio.wait_for(self._sockets[token].send_json({"op": 0, "t": kind, "s": self._number, "d": event}), 10)


def _token(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bot" or not token:
        raise web.HTTPUnauthorized
    return token


def _json(value: object) -> web.Response:
    """Answer as Discord does: discord.py takes what names a charset for text."""
    return web.Response(body=json.dumps(value).encode(), content_type="application/json")


def _bot() -> dict[str, Any]:
    return {"id": "42", "username": "app", "discriminator": "0", "avatar": None, "global_name": None, "bot": True}


def make_venv(folder: Path) -> Path:
    """Make the virtual environment of a Discord bot: the libraries of this one, and the way to the double. Return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    shutil.copy(Path(__file__).with_name("discordapi.py"), packages)
    (packages / "double.pth").write_text("\n".join([*site.getsitepackages(), "import discordapi", ""]))
    return folder / "bin" / "python"
