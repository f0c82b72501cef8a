"""The commands on versions of the configuration that psvd carries out (`config.*`); none is for the command line as it is."""

from __future__ import annotations

from processsupervisor.commands.command import Arg, Command
from processsupervisor.commands.ports import Emit, FleetPort


async def running(port: FleetPort, emit: Emit) -> object:
    """Return the running version and what was rejected."""
    return port.config.running()


async def versions(port: FleetPort, emit: Emit, *, limit: int) -> object:
    """Return versions, newest first."""
    return port.config.newest(limit)


async def content(port: FleetPort, emit: Emit, *, number: int | None) -> object:
    """Stream the content of a version."""
    return await port.config.content(number, emit)


async def apply(port: FleetPort, emit: Emit, *, token: str, base: int | None, reason: str, now: bool, again: bool) -> object:
    """Apply a candidate file."""
    return await port.config.apply(token, base, reason, emit, now=now, again=again)


async def rollback(port: FleetPort, emit: Emit, *, number: int, base: int | None, reason: str, now: bool) -> object:
    """Apply an earlier version again."""
    return await port.config.rollback(number, base, reason, emit, now=now)


async def refused(port: FleetPort, emit: Emit, *, digest: str, reason: str) -> object:
    """Note why files that were changed are not applied."""
    port.config.refused(digest, reason)
    return None


_BASE = Arg("base", "integer", None, "Only if this version still runs", most=1e9)
_REASON = Arg("reason", "text", "", "Why")
_NOW = Arg("now", "flag", False, "Wait for ready only")

COMMANDS = (
    Command("config.running", "Tell which version runs", (), "view", running),
    Command("config.versions", "List versions", (Arg("limit", "integer", 50, "The newest N", least=1, most=10_000),), "view", versions),
    Command("config.content", "Give the content of a version in parts", (
        Arg("number", "integer", None, "The version (default: that which runs)", most=1e9),
    ), "view", content, stream=True),
    Command("config.apply", "Apply a candidate that the client has laid into .psv/data/candidates", (
        Arg("token", "text", None, "The name of its file", required=True), _BASE, _REASON, _NOW,
        Arg("again", "flag", False, "Also if this content was rejected before"),
    ), "admin", apply, stream=True),
    Command("config.rollback", "Apply an earlier version again", (
        Arg("number", "integer", None, "The version", required=True, most=1e9), _BASE, _REASON, _NOW,
    ), "admin", rollback, stream=True),
    Command("config.refused", "Note why changed files are not applied", (
        Arg("digest", "text", None, "The digest of the files", required=True), Arg("reason", "text", None, "What is wrong", required=True),
    ), "admin", refused),
)
