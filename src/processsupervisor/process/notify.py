"""What the keeper tells systemd: READY, STATUS, WATCHDOG and STOPPING over $NOTIFY_SOCKET (sd_notify(3)).

Nothing is sent when the variable is not set. The variable is removed so that no child talks to systemd in our name.
"""

from __future__ import annotations

import os
import socket


class ServiceManager:
    """The connection to the service manager that started psv, if one did."""

    def __init__(self, address: str, has_watchdog: bool) -> None:
        self._address = address
        self._has_watchdog = has_watchdog
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None

    @classmethod
    def of_environment(cls) -> ServiceManager:
        """Return the connection that the environment names, and take the variables out of it."""
        address = os.environ.pop("NOTIFY_SOCKET", "")
        return cls("\0" + address[1:] if address.startswith("@") else address, bool(os.environ.pop("WATCHDOG_USEC", "")))

    def to_json(self) -> dict[str, object]:
        """Return the arguments that make the same connection again."""
        return {"address": self._address, "has_watchdog": self._has_watchdog}

    def say(self, *lines: str) -> None:
        """Send one datagram of `KEY=value` lines; a service manager that does not listen is not an error."""
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            pass

    def beat(self, is_well: bool) -> None:
        """Feed the watchdog, but only while psvd answers too: a fleet without a brain is to be restarted."""
        if self._has_watchdog and is_well:
            self.say("WATCHDOG=1")
