"""The table of cases, and what each may end as."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.faults import FAULTS, Fault
from tests.chaos.moments import MOMENTS
from tests.chaos.verdict import CANCELLED, DISK_FULL, KILLED, SUCCEEDED, Outcome

BACKENDS = ("local", "docker")


@dataclass(frozen=True)
class Case:
    backend: str
    fault: Fault
    moment: str

    @property
    def name(self) -> str:
        return f"{self.backend}-{self.fault.name}-{self.moment}".replace(" ", "_")

    @property
    def allowed(self) -> frozenset[Outcome]:
        """Where the Run that the case is about may end."""
        if self.moment == "cancelling":
            return frozenset({CANCELLED})
        if self.fault.ends_the_run:
            return _HIT[self.moment]
        if self.fault.fills_the_disk:
            # Which of both, the log decides: not a byte may be missing, or it must be said.
            return frozenset({SUCCEEDED, DISK_FULL})
        return frozenset({SUCCEEDED})

    @property
    def allowed_for_filler(self) -> frozenset[Outcome]:
        """Where the Run that others wait behind may end."""
        return frozenset({KILLED}) if self.fault.ends_the_run else self.allowed


_HIT: dict[str, frozenset[Outcome]] = {
    # The one that is hit is another.
    "queued": frozenset({SUCCEEDED}),
    # Before it took its permit nothing was done, and it starts again.
    "starting": frozenset({SUCCEEDED, KILLED}),
    "claimed": frozenset({KILLED}),
    "running": frozenset({KILLED}),
    # Judged by its log: it may have been faster.
    "printing": frozenset({SUCCEEDED, KILLED}),
    # It may have been faster.
    "finishing": frozenset({SUCCEEDED, KILLED}),
}


def cases(*, postgresql: bool, backends: Sequence[str] = BACKENDS) -> list[Case]:
    return [
        Case(backend, fault, moment)
        for backend in backends
        for fault in FAULTS
        if backend in fault.backends and (postgresql or not fault.needs_postgresql)
        for moment in MOMENTS
        # There is no container yet.
        if not (fault.ends_the_run and moment in ("just submitted", "meanwhile"))
    ]


def sample(all_cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """`count` of them, in the table's order: every fault before any a second time, then every
    moment, then the backends in equal shares."""
    generator = random.Random(seed)
    left = list(all_cases)
    generator.shuffle(left)
    found: list[Case] = []

    def used(case: Case) -> tuple[int, int, int]:
        return (
            sum(each.fault is case.fault for each in found),
            sum(each.moment == case.moment for each in found),
            sum(each.backend == case.backend for each in found),
        )

    while left and len(found) < count:
        chosen = min(left, key=used)
        left.remove(chosen)
        found.append(chosen)
    return [case for case in all_cases if case in found]
