"""Memory and CPU of the bots, one process after the other, off the request path.

PSS costs about 2 ms a process, so one bot a SAMPLE_EVERY_S is looked at, newest first: what a command shows may be old and
says how old (`memory_age_s`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from processsupervisor.kernel.clock import mono
from processsupervisor.kernel.identity import Identity
from processsupervisor.resources.usage import cpu_s, pss_bytes

SAMPLE_EVERY_S = 2.0


@dataclass(slots=True)
class Sample:
    """The last look at one process."""

    identity: Identity
    at_mono: float
    memory_bytes: int | None
    cpu_s: float | None
    cpu_percent: float | None


class Sampler:
    """Keeps one Sample a name; `targets` gives `{name: identity}` of what runs now."""

    def __init__(self, targets: Callable[[], dict[str, Identity]]) -> None:
        self._targets = targets
        self._samples: dict[str, Sample] = {}

    def get(self, name: str, identity: Identity | None) -> Sample | None:
        """Return the last sample of this very process, or None."""
        sample = self._samples.get(name)
        return sample if sample is not None and sample.identity == identity else None

    async def run(self) -> None:
        """Sample for ever: first whatever was never looked at, else the oldest."""
        while True:
            await asyncio.sleep(SAMPLE_EVERY_S)
            targets = self._targets()
            for name in [n for n in self._samples if n not in targets]:
                del self._samples[name]
            if targets:
                self._look(*min(targets.items(), key=lambda item: self._age_key(*item)))

    def _age_key(self, name: str, identity: Identity) -> float:
        sample = self.get(name, identity)
        return sample.at_mono if sample is not None else 0.0

    def _look(self, name: str, identity: Identity) -> None:
        before = self.get(name, identity)
        now, used = mono(), cpu_s(identity.pid)
        percent = None
        if before is not None and before.cpu_s is not None and used is not None and now > before.at_mono:
            percent = round(100.0 * (used - before.cpu_s) / (now - before.at_mono), 1)
        self._samples[name] = Sample(identity, now, pss_bytes(identity.pid), used, percent)
