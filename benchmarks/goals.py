"""The goals of the fleet rows and how a row reports: measured values by system, and what psv missed by how much."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Goal:
    """`metric` of psv must be at most `limit`, or at least, where more is better."""

    metric: str
    limit: float
    more_is_better: bool = False

    def verdict(self, value: float | None) -> str:
        """Return "met", or by how much it was missed."""
        if value is None:
            return f"{self.metric}: not measured"
        is_met = value >= self.limit if self.more_is_better else value <= self.limit
        if is_met:
            return f"{self.metric}: met ({value:.4g} {'>=' if self.more_is_better else '<='} {self.limit:g})"
        return f"{self.metric}: MISSED by {abs(value - self.limit):.3g} ({value:.4g} {'<' if self.more_is_better else '>'} {self.limit:g})"


@dataclass
class Row:
    """What one row measured: {system: {metric: value}}; units stand in the metrics' names."""

    number: int
    title: str
    goals: list[Goal]
    measured: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    """What the figures do not say by themselves."""

    def verdicts(self) -> list[str]:
        return [goal.verdict(self.measured.get("psv", {}).get(goal.metric)) for goal in self.goals]

    def missed(self) -> list[str]:
        return [text for text in self.verdicts() if ": met" not in text]

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "missed": self.missed()}

    def table(self) -> str:
        """Return the row as lines of text: a column a metric, a line a system."""
        metrics = list(dict.fromkeys(metric for values in self.measured.values() for metric in values))
        width = max([len(name) for name in self.measured] + [8])
        lines = [f"row {self.number}: {self.title}", "  " + " " * width + "".join(f"  {m:>{max(len(m), 9)}}" for m in metrics)]
        for name, values in self.measured.items():
            cells = "".join(f"  {_cell(values.get(m)):>{max(len(m), 9)}}" for m in metrics)
            lines.append(f"  {name:<{width}}{cells}")
        lines += [f"  {name}: failed: {why}" for name, why in self.failures.items()]
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines + [f"  goal {text}" for text in self.verdicts()])


def _cell(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
