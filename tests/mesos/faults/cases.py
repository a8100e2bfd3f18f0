"""The table of cases: every fault at every moment, two at once at a moment by chance."""

from __future__ import annotations

import random

from tests.chaos.cases import Case
from tests.chaos.faults import Fault
from tests.mesos.faults.faults import PAIRS, SINGLE, STANDBY

BEFORE_ANYTHING = ("just submitted", "meanwhile")
MOMENTS = (*BEFORE_ANYTHING, "starting", "running", "printing", "finishing", "cancelling")
SLOW_MOMENTS = ("just submitted", "running", "finishing", "cancelling")
"""of faults that last long"""


def cases(seed: int) -> list[Case]:
    chance = random.Random(seed)
    found = [
        Case("mesos", fault, moment)
        for fault in (*SINGLE, *STANDBY)
        for moment in (SLOW_MOMENTS if fault.name in _SLOW else _moments(fault))
    ]
    return found + [Case("mesos", pair, chance.choice(_moments(pair))) for pair in PAIRS]


_SLOW = ("connection silent", "backend worker hangs")


def _moments(fault: Fault) -> tuple[str, ...]:
    # There is no container yet.
    return MOMENTS[len(BEFORE_ANYTHING) :] if fault.ends_the_run else MOMENTS
