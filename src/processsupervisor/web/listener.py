"""The one listening socket of the fleet and `run/web.json`, which tells everybody its address.

A web process that was killed comes back on the port it had, so that open pages find it again; only then the configured port
and, if allowed, the ones after it are tried.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket

from processsupervisor.kernel.errors import ConfigError
from processsupervisor.kernel.files import read_json, write_json
from processsupervisor.kernel.paths import FleetPaths
from processsupervisor.web.settings import Listen

NEXT_PORTS = 50
BACKLOG = 512
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def open_listener(wanted: Listen, previous_port: int | None) -> socket.socket:
    """Return a listening socket for `wanted`; raises ConfigError with one line when no port can be had."""
    last = wanted.port + (NEXT_PORTS if wanted.next_free and wanted.port else 0)
    ports = list(range(wanted.port, min(last, 65535) + 1))
    if previous_port is not None and (previous_port in ports or wanted.port == 0):
        ports.insert(0, previous_port)
    for port in ports:
        try:
            return _listen(wanted.host, port)
        except OSError as err:
            if err.errno != errno.EADDRINUSE:
                raise ConfigError(
                    f"cannot listen on {wanted.host} port {port}: {err.strerror or err}", hint="change listen in [web] of fleet.toml"
                ) from err
    if last > wanted.port:
        raise ConfigError(f"ports {wanted.port} to {last} of {wanted.host} are all taken", hint="change listen in [web] of fleet.toml")
    raise ConfigError(
        f"port {wanted.port} of {wanted.host} is taken", hint="change listen in [web] of fleet.toml, or set next_free = true there"
    )


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        # Without it the port of a killed predecessor stays unusable for a minute. Two sockets may then be bound to one
        # port, and the second learns of it in listen(): that is why bind and listen are one step here.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def url_of(wanted: Listen, port: int) -> str:
    """Return the address to open in a browser on this machine."""
    host = _WILDCARDS.get(wanted.host, wanted.host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def previous_port(paths: FleetPaths) -> int | None:
    """Return the port of the web process before this one, if it left its note."""
    note = read_json(paths.run / "web.json")
    port = note.get("port") if isinstance(note, dict) else None
    return port if isinstance(port, int) and 0 < port < 65536 else None


def announce(paths: FleetPaths, url: str, port: int) -> None:
    """Write run/web.json: `{"url", "pid", "port"}`. It stays when the process ends: see previous_port."""
    write_json(paths.run / "web.json", {"url": url, "pid": os.getpid(), "port": port})


def allowed_hosts(wanted: Listen) -> frozenset[str]:
    """Return the names by which this server may be asked, besides literal loopback addresses.

    With a wildcard address also this machine's own name; literal addresses are then allowed too (see guard).
    """
    names = {"localhost", wanted.host.lower()}
    if wanted.host in _WILDCARDS:
        with contextlib.suppress(OSError):
            names.add(socket.gethostname().lower())
    return frozenset(name for name in names if name and name not in _WILDCARDS)


def is_wildcard(wanted: Listen) -> bool:
    """Tell whether the server listens on every address of the machine."""
    return wanted.host in _WILDCARDS
