"""Versions of a configuration behind a real control socket, in memory: for tests of what the command line says and sends.

It keeps and compares as psvd does and touches no bot; what becomes of bots is tested with real fleets.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.cli.conftest import Server

from processsupervisor.config.content import checksum, pack, unpack
from processsupervisor.config.spec import Applied
from processsupervisor.kernel.errors import PsvError, Refused, to_wire
from processsupervisor.kernel.paths import FleetPaths

Answer = dict[str, Any]


class VersionKeeper:
    """Answers `config.*`; `versions` hold what was applied, oldest first. `fails_with` is why the next change is taken back."""

    def __init__(self, folder: Path, applied: Applied, sources: dict[str, str]) -> None:
        self._paths = FleetPaths(folder)
        self.versions: list[tuple[Answer, bytes]] = []
        self.rejected: dict[str, Answer] = {}
        self.fails_with: str | None = None
        self.before_apply: Callable[[], None] | None = None
        self.calls: list[tuple[str, Answer]] = []
        self.running = self.keep(applied, sources, "ann", "the first")
        self._server = Server(self._paths.socket("psv"), self._talk)

    def close(self) -> None:
        """End the server."""
        self._server.close()

    def keep(self, applied: Applied, sources: dict[str, str], author: str, reason: str, result: str = "applied", message: str = "") -> int:
        """Note a version and return its number."""
        number = len(self.versions) + 1
        facts = {"number": number, "at": 1700000000.0 + number, "author": author, "reason": reason, "result": result, "message": message,
                 "summary": {"added": [], "removed": [], "changed": {"a": ["args"]}, "fleet": []}, "checksum": checksum(applied), "source_digest": applied["source_digest"]}  # fmt: skip
        self.versions.append((facts, pack(applied, sources)))
        return number

    def content(self, number: int | None = None) -> tuple[Applied, dict[str, str]]:
        """Return a version."""
        return unpack(self.versions[(number or self.running) - 1][1])

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            request = json.loads(line)
            self.calls.append((request["op"], request["args"]))
            try:
                for event in (steps := self._steps(request["op"], request["args"])):
                    if "result" not in event:
                        writer.write(json.dumps({"id": request["id"], "event": event}).encode() + b"\n")
                        continue
                    writer.write(json.dumps({"id": request["id"], "ok": True, "result": event["result"]}).encode() + b"\n")
                    steps.close()
            except PsvError as err:
                writer.write(json.dumps({"id": request["id"], "ok": False, "error": to_wire(err)}).encode() + b"\n")
            await writer.drain()

    def _steps(self, op: str, args: Answer) -> Iterator[Answer]:
        """Yield the events of an operation, then its result."""
        match op:
            case "config.running":
                yield {"result": {**self.versions[self.running - 1][0], "rejected": self.rejected, "rollout": None}}
            case "config.versions":
                facts = [{**facts, "is_running": facts["number"] == self.running} for facts, _ in reversed(self.versions)]
                yield {"result": facts[: args["limit"]]}
            case "config.content":
                if not 1 <= (args["number"] or self.running) <= len(self.versions):
                    raise Refused(f"there is no version {args['number']}", hint="psv config versions lists them")
                packed = self.versions[(args["number"] or self.running) - 1][1]
                for start in range(0, len(packed), 1000):
                    yield {"kind": "part", "data": base64.b64encode(packed[start : start + 1000]).decode()}
                yield {"result": {"number": args["number"] or self.running}}
            case "config.apply":
                file = self._paths.data / "candidates" / args["token"]
                assert file.stat().st_mode & 0o777 == 0o600
                applied, sources = unpack(file.read_bytes())
                yield from self._apply(applied, sources, args)
            case "config.rollback":
                self.rejected[self.content()[0]["source_digest"]] = {"reason": args["reason"], "at": 1.0, "number": self.running}
                yield from self._apply(*self.content(args["number"]), args)
            case _:
                yield {"result": None}

    def _apply(self, applied: Applied, sources: dict[str, str], args: Answer) -> Iterator[Answer]:
        if self.before_apply is not None:
            self.before_apply()
        if args["base"] != self.running:
            raise Refused("another version runs", code="version-moved")
        why = self.rejected.get(applied["source_digest"])
        if why is not None and not args.get("again", True):
            raise Refused(f"rejected because {why['reason']}", hint="psv config apply --again", code="rejected")
        names = [spec["name"] for spec in applied["bots"]]
        yield {"kind": "plan", "batches": [names[:1], names[1:]]}
        yield {"kind": "batch", "number": 1, "bots": names[:1]}
        if self.fails_with is not None:
            number = self.keep(applied, sources, "ann", args["reason"], "rolled-back", self.fails_with)
            self.rejected[applied["source_digest"]] = {"reason": self.fails_with, "at": 1.0, "number": number}
            yield {"kind": "back", "bots": names[:1], "message": self.fails_with}
            ended = {"ok": False, "number": number, "result": "rolled-back", "message": f"version {self.running} runs again: {self.fails_with}"}
        else:
            yield {"kind": "bot", "bot": names[0], "outcome": "rolled", "message": "", "took_s": 0.25}
            self.running = self.keep(applied, sources, "ann", args["reason"])
            ended = {"ok": True, "number": self.running, "result": "applied", "message": ""}
        yield {"result": {**ended, "touched": names[:1], "left": {}}}
