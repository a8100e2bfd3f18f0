"""Random schedules: many Runs of all kinds, a fault every few seconds, the same checks for all."""

from __future__ import annotations

import random

import pytest

from tests.chaos.conftest import option
from tests.chaos.report import Report
from tests.chaos.rig import Rig
from tests.chaos.schedule import Schedule

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]

CLEAN_WITHIN = 60.0
"""seconds for the last trace of the Runs to go"""


def test_random_schedule(
    rig: Rig, chance: random.Random, report: Report, request: pytest.FixtureRequest
) -> None:
    rig.wait_whole()
    before = rig.wait_clean(seconds=CLEAN_WITHIN)
    assert not before, f"left by an earlier case: {before}"
    schedule = Schedule(rig, chance, seconds=option(request.config, "seconds"))
    completed = False
    try:
        schedule.play()
        verdicts = schedule.judge()
        left = rig.wait_clean(seconds=CLEAN_WITHIN) + rig.disk.take_hidden()
        completed = True
    finally:
        if not completed:
            report.broke_off(rig.backend, "random schedule", "schedule")
    report.add(
        rig.backend,
        "random schedule",
        "schedule",
        faults=schedule.struck,
        verdicts=verdicts.values(),
        leftovers=len(left),
    )
    problems = [f"{run}: {each}" for run, v in verdicts.items() for each in v.problems]
    problems += [f"LEFT: {each}" for each in left]
    assert not problems, "\n".join([*schedule.history, *problems])
