"""A mail server for tests: aiosmtpd on a port of its own, with STARTTLS and a login when asked for. localhost.pem is for tests only."""

from __future__ import annotations

import ssl
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

CERTIFICATE = Path(__file__).with_name("localhost.pem")


class _Controller(Controller):
    def _trigger_server(self) -> None:
        """Learn the port that the system chose, then go on as usual."""
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class MailServer:
    """Keeps the letters; refuses the recipients in `refused`."""

    def __init__(self, *, tls: bool = False, login: tuple[str, str] | None = None) -> None:
        self.letters: list[Message] = []
        self.were_encrypted: list[bool] = []
        self.asked_for: list[str] = []
        self.taken_for: list[list[str]] = []
        self.refused: set[str] = set()
        self.good_bye = "221 bye"
        options: dict[str, Any] = {}
        if tls:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(CERTIFICATE)
            options |= {"tls_context": context, "require_starttls": True}
        if login is not None:
            expected = LoginPassword(login[0].encode(), login[1].encode())
            options |= {"authenticator": lambda *args: AuthResult(success=args[-1] == expected, handled=False), "auth_required": True}
        self._controller = _Controller(self, hostname="127.0.0.1", port=0, **options)
        self._controller.start()
        self.address = f"localhost:{self._controller.port}"

    async def handle_RCPT(self, server: SMTP, session: Any, envelope: Any, address: str, _options: Any) -> str:
        self.asked_for.append(address)
        if address in self.refused:
            return "550 5.1.1 nobody of that name"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        self.letters.append(message_from_bytes(envelope.content))
        self.taken_for.append(list(envelope.rcpt_tos))
        self.were_encrypted.append(session.ssl is not None)
        return "250 taken"

    async def handle_QUIT(self, server: SMTP, session: Any, envelope: Any) -> str:
        return self.good_bye

    def close(self) -> None:
        """End the server."""
        self._controller.stop()
