"""Which servers are asked without the proxy that HTTPS_PROXY or HTTP_PROXY names: those of this machine, whatever NO_PROXY says.

A double in a test, a server of the Bot API beside the bot: no proxy could reach them. For all others the environment is followed.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def is_of_this_machine(url: str) -> bool:
    """Tell whether an address leads to the loopback interface, by its name alone: nothing is resolved."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def shown_url(url: str) -> str:
    """Return an address for an error: without a user, a password or a query."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "its address"
    host = parts.hostname or ""
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}{parts.path}"
