"""What the keeper tells systemd: READY, STATUS, WATCHDOG and STOPPING over $NOTIFY_SOCKET (sd_notify(3)).

Nothing is sent when the variable is not set. The variable is removed so that no child talks to systemd in our name.
"""

from __future__ import annotations

import os
import socket


class ServiceManager:
    """The connection to the service manager that started psv, if one did."""

    def __init__(self) -> None:
        address = os.environ.pop("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._has_watchdog = bool(os.environ.pop("WATCHDOG_USEC", ""))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None

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
