"""What a benchmark reports: medians, ratios to the same work done bare, goals."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    unit: str
    baseline: float | None
    """the same work done bare, in the same run, interleaved"""
    ratio: float | None
    goal: str
    met: bool

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def at_most(
    name: str, ours: Sequence[float], bare: Sequence[float], *, ratio: float, unit: str = "ms"
) -> Figure:
    """Medians of `ours` and `bare`; met if ours takes at most `ratio` times as long."""
    value, baseline = statistics.median(ours), statistics.median(bare)
    found = value / baseline
    return Figure(
        name,
        round(value, 1),
        unit,
        round(baseline, 1),
        round(found, 3),
        f"at most {ratio}",
        found <= ratio,
    )
