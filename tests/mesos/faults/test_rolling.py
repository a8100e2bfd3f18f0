"""A rolling restart of everything under a hundred Runs, as an upgrade of the cluster does it."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import pytest

from tests.chaos.listener import Listener
from tests.chaos.report import Report
from tests.chaos.scripts import PRINTING, QUICK, Script, timed
from tests.chaos.verdict import SUCCEEDED, Evidence, judge
from tests.client import FINAL
from tests.mesos.faults.rig import MesosRig
from tests.waiting import until

pytestmark = [pytest.mark.mesos, pytest.mark.chaos, pytest.mark.timeout(1200)]

RUNS = 100
SHARE = 0.2
"""CPUs of each: sixty at a time"""
SCRIPTS: tuple[Script, ...] = (QUICK, PRINTING, timed(5.0), timed(15.0), timed(30.0))
LISTENED = 15
"""Runs that somebody watches from beginning to end"""
PAUSE = 2.0
"""seconds between the return of one part and the end of the next"""
BACKLOG = 240.0
"""seconds for all of them to end, on a machine that is busy with containers"""


@dataclass
class Part:
    run: str
    script: Script
    listener: Listener | None


def restart_everything(rig: MesosRig) -> int:
    """One part after the other, by kill -9, which is harder than what an administrator does."""
    parts = 0
    for name in (*rig.lab.agents, "master"):
        rig.lab.kill(name)
        rig.lab.start(name)
        parts += 1
        time.sleep(PAUSE)
    for program in ("backend", "web", "worker", "beat", "valkey"):
        rig.portal.wait_restarted(program, rig.portal.kill(program))
        parts += 1
        time.sleep(PAUSE)
    rig.proxy.cut()
    time.sleep(PAUSE)
    rig.proxy.resume()
    rig.portal.restart()
    return parts + 2


def test_rolling_restart(rig: MesosRig, chance: random.Random, report: Report) -> None:
    rig.wait_whole()
    before = rig.wait_clean(seconds=60)
    assert not before, f"left by an earlier case: {before}"
    task = rig.client.create_task("rolling restart")
    parts = []
    for number in range(RUNS):
        script = chance.choice(SCRIPTS)
        run = rig.submit(task, script.command, SHARE)
        assert run is not None, rig.refusal
        parts.append(Part(run, script, rig.listen(run) if number < LISTENED else None))
    mark = rig.said()
    restarted = restart_everything(rig)
    rig.wait_ready()
    mended = time.time()
    ended: dict[str, float] = {}

    def all_over() -> bool:
        states = rig.states_of(task)
        for part in parts:
            if states.get(part.run) in FINAL:
                ended.setdefault(part.run, time.time())
        return len(ended) == RUNS

    with suppress(AssertionError):
        # Those that don't are judged below, one by one.
        until(all_over, "all Runs to end", seconds=BACKLOG, every=0.5)
    verdicts = {
        part.run: judge(evidence_of(rig, task, part, mended, ended), {SUCCEEDED}) for part in parts
    }
    left = rig.wait_clean(seconds=60)
    report.add(
        "mesos",
        "rolling restart",
        "scenario",
        faults=restarted,
        verdicts=verdicts.values(),
        leftovers=len(left),
    )
    problems = [f"{run}: {each}" for run, v in verdicts.items() for each in v.problems]
    problems += [f"LEFT: {each}" for each in left]
    assert not problems, "\n".join([*problems, *rig.said_since(mark)])


def evidence_of(
    rig: MesosRig, task: str, part: Part, mended: float, ended: dict[str, float]
) -> Evidence:
    run = rig.run(part.run)
    listener = part.listener
    if listener is not None:
        listener.close(within=20.0 if part.run in ended else 0.0)
    done = rig.task_folder(task) / "output" / f"done.{part.run}"
    began = mended
    if run is not None and run["started_at"]:
        # One that had to wait for its turn has its 60 s from then on.
        began = max(mended, datetime.fromisoformat(run["started_at"]).timestamp())
    return Evidence(
        run=run,
        script=part.script,
        done=done.read_bytes() if done.exists() else b"",
        file=rig.written(part.run, run["attempt"] if run else 0, "log"),
        received=rig.log(part.run) if run else b"",
        listened=bytes(listener.data) if listener else None,
        told=listener.end if listener else None,
        gaps=tuple(listener.gaps) if listener else (),
        cuts=tuple(listener.cuts) if listener else (),
        seconds=max(0.0, ended.get(part.run, began) - began),
    )
