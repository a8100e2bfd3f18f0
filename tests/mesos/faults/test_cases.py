"""Each fault at each moment of a Run's life."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.chaos.cases import Case
from tests.chaos.moments import MOMENTS
from tests.chaos.report import Report
from tests.chaos.scene import Scene
from tests.chaos.verdict import KILLED, SUCCEEDED, Verdict, judge
from tests.mesos.faults.faults import STANDBY
from tests.mesos.faults.rig import MesosRig

pytestmark = [pytest.mark.mesos, pytest.mark.chaos, pytest.mark.timeout(600)]

CLEAN_WITHIN = 60.0
"""seconds for the last trace of a Run to go"""


@contextmanager
def standby(rig: MesosRig, case: Case) -> Iterator[None]:
    if case.fault not in STANDBY:
        yield
        return
    rig.start_standby()
    try:
        yield
    finally:
        rig.end_standby()


def play(scene: Scene, case: Case) -> list[Verdict]:
    part = MOMENTS[case.moment](scene)
    verdicts = []
    for each in scene.parts:
        allowed = case.allowed if each is part else case.allowed_for_filler
        if case.fault.ends_the_run and not scene.hit:
            # Nothing was there to be hit: then nothing may have happened either.
            allowed = allowed - {KILLED} or frozenset({SUCCEEDED})
        elif "executor" in case.fault.name:
            # It goes on for a while (REMOVED_AFTER), which is enough for most of them.
            allowed |= allowed & {KILLED} and {SUCCEEDED}
        verdicts.append(judge(scene.collect(each), allowed))
    verdicts[0].lost += scene.lost_tasks()
    return verdicts


def test_case(case: Case, rig: MesosRig, chance: random.Random, report: Report) -> None:
    rig.wait_whole()
    before = rig.wait_clean(seconds=CLEAN_WITHIN)
    assert not before, f"left by an earlier case: {before}"
    scene = Scene(rig, case.fault, chance, task=rig.client.create_task(case.name))
    completed, mark = False, rig.said()
    try:
        with standby(rig, case):
            verdicts = play(scene, case)
        left = rig.wait_clean(seconds=CLEAN_WITHIN)
        completed = True
    finally:
        if not completed:
            report.broke_off("mesos", case.fault.name, case.moment)
        scene.close()
    report.add(
        "mesos",
        case.fault.name,
        case.moment,
        faults=int(scene.hit),
        verdicts=verdicts,
        leftovers=len(left),
    )
    problems = [problem for verdict in verdicts for problem in verdict.problems]
    problems += [f"LEFT: {each}" for each in left]
    assert not problems, "\n".join([*problems, *rig.said_since(mark)])
