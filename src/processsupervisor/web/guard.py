"""The gate before every request: who may ask (Host, Origin, Sec-Fetch-Site), in which form, and what browsers must know.

A page of another site must not read or write here, not even by a name that it points at this machine (DNS rebinding).
Nothing here authenticates people: the default is loopback only.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from processsupervisor.web.problem import Problem, problem_response

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_READING = frozenset({"GET", "HEAD"})
_POSTED = "/hook/"
"""Networks come here by the public name of a proxy, and show a secret of the bot's; no browser has one."""


class Guard:
    """Refuses what must not come in and adds SECURITY_HEADERS to every answer, refusals included."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str], any_address: bool) -> None:
        self._app = app
        self._hosts = hosts
        self._any_address = any_address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
            await send(message)

        try:
            self._check(scope)
        except Problem as problem:
            await problem_response(problem)(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        is_posted = scope["path"].startswith(_POSTED)
        if len(hosts) != 1 or not (is_posted or self.is_allowed_host(hosts[0])):
            hint = "open the address that psv status shows; another name needs [web] listen"
            raise Problem(421, "host-refused", "this server does not answer to that name", hint=hint)
        site = headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin") and scope["path"] != "/":
            raise Problem(403, "cross-site", "pages of other sites may not read or write here")
        if scope["method"] in _READING:
            return
        origin = headers.get("origin")
        if origin is not None and not _is_same_origin(origin, hosts[0]):
            raise Problem(403, "cross-site", "pages of other sites may not write here")

    def is_allowed_host(self, host: str) -> bool:
        """Tell whether a Host header names this server.

        Literal addresses cannot be rebound by a foreign name server, so all of them are good on a wildcard listener and
        the loopback ones always.
        """
        try:
            parts = urlsplit(f"//{host}")
            name, _ = parts.hostname, parts.port
        except ValueError:
            return False
        if not name or parts.path or parts.query or parts.fragment or parts.username is not None:
            return False
        if name.lower() in self._hosts:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return self._any_address or address.is_loopback


def _is_same_origin(origin: str, host: str) -> bool:
    scheme, separator, rest = origin.partition("://")
    return bool(separator) and scheme in ("http", "https") and rest.lower() == host.lower()
