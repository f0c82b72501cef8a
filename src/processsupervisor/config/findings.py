"""Findings of one run of load gathered as problems: each with its file and place, and told once, however many bots have it.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from processsupervisor.config.joined import Files
from processsupervisor.config.problem import Finding, KeyPath, Problem, Severity

SET_BY_COMMAND = "psv config set"
"""Stands for the file of values set by command."""
_MAY_STAND_ELSEWHERE = frozenset({"unknown-type", "unknown-bot"})
_MAY_BE_LEFT_OUT = frozenset({"missing-key", "no-program"})


@dataclass
class Findings:
    """Collects what is found in `files`."""

    files: Files
    problems: list[Problem] = field(default_factory=list)
    of_bots: dict[str, list[Finding]] = field(default_factory=dict)
    """Of each faulty bot what is wrong with it."""
    _told: dict[tuple[object, ...], int] = field(default_factory=dict)

    def add(self, finding: Finding, path: KeyPath, bot: str | None = None, template: str | None = None) -> None:
        """Add what is wrong at `path`, a path in the files: with `bot` alone, else with everything; of a `template` it is told once."""
        if finding.code in _MAY_BE_LEFT_OUT and self.files.has_gaps:
            return
        if finding.code in _MAY_STAND_ELSEWHERE and self.files.is_torn:
            return
        severity: Severity = "warning" if finding.warning else "fatal" if bot is None else "bot"
        bots = (bot,) if bot is not None and not finding.warning else ()
        if bots:
            self.of_bots.setdefault(bots[0], []).append(finding)
        if template is not None:
            known = self._told.setdefault((template, path, finding.code, severity), len(self.problems))
            if known < len(self.problems):
                self.problems[known] = replace(self.problems[known], bots=self.problems[known].bots + bots)
                return
        self.problems.append(self._problem(finding, path, severity, bots))

    def gathered(self) -> tuple[Problem, ...]:
        """Return all problems by place; those that say the same at the same place (a type's, seen by each of its bots) as one."""
        order = {str(file.path): number for number, file in enumerate(self.files.files)}
        joined: dict[tuple[object, ...], Problem] = {}
        for problem in [*self.files.problems, *self.problems]:
            same = (problem.file, problem.line, problem.column, problem.code, problem.message, problem.severity)
            known = joined.get(same)
            joined[same] = replace(known, bots=known.bots + problem.bots) if known else problem
        return tuple(sorted(joined.values(), key=lambda problem: (order.get(problem.file, len(order)), problem)))

    def all_outside(self, bot: str) -> bool:
        """Tell whether all that is wrong with a bot lies outside of the configuration."""
        return all(finding.outside for finding in self.of_bots[bot])

    def _problem(self, finding: Finding, path: KeyPath, severity: Severity, bots: Sequence[str]) -> Problem:
        if path[:1] == ("runtime",):
            hint = finding.hint or "give another value; psv config unset takes back one that is set"
            return Problem(SET_BY_COMMAND, 0, 0, finding.code, finding.message, hint, severity, tuple(bots))
        file, line, column = self.files.find(path)
        return Problem(str(file.path), line, column, finding.code, finding.message, finding.hint, severity, tuple(bots))
