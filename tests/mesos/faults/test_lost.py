"""A machine that never returns, and one that returns although it was declared lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from deploy.portal import supervisor
from tests.chaos.report import Report
from tests.chaos.scripts import QUICK, gated
from tests.chaos.verdict import Evidence, Outcome, Verdict, judge
from tests.mesos.faults.rig import MesosRig
from tests.waiting import until

pytestmark = [pytest.mark.mesos, pytest.mark.chaos, pytest.mark.timeout(600)]

LOST: Outcome = ("failed", "node_lost")
UNREACHABLE_WITHIN = 30.0
"""seconds until the page says that there is no word: the master needs 5 here"""
WITHIN = 60.0
CPUS = 0.5


class Stage:
    """One Run on a machine that goes away."""

    def __init__(self, rig: MesosRig, *, retry: bool) -> None:
        self.rig = rig
        self.task = rig.client.create_task("lost")
        self.script = gated("gate")
        self.run = rig.client.command(
            self.task,
            self.script.command,
            cpus=CPUS,
            memory=128 * 1024**2,
            retry_if_lost=retry,
        )
        until(lambda: b"started" in rig.written(self.run, 1, "log"), "the Run to start", seconds=60)
        self.wait(lambda run: run["state"] == "running")
        self.agent = rig.agent_of(self.run)
        self.machine = str(self.now["machine"])

    @property
    def now(self) -> dict[str, Any]:
        found = self.rig.run(self.run)
        assert found is not None
        return found

    def wait(
        self, condition: Callable[[dict[str, Any]], bool], *, seconds: float = WITHIN
    ) -> dict[str, Any]:
        until(lambda: condition(self.now), f"{self.run} {self.now}", seconds=seconds, every=0.2)
        return self.now

    def wait_for_a_look(self) -> None:
        """Until supervision has noted the machines that are there once more."""
        noted = self._noted()
        until(lambda: self._noted() > noted, "a look at everything", seconds=WITHIN)

    def _noted(self) -> str:
        """When that was; such moments sort as text."""
        machines = self.rig.client.http.get("/cluster").raise_for_status().json()["machines"]
        return str(max(each["heard_at"] for each in machines if each["name"] != self.machine))

    def declare_lost(self) -> None:
        answer = self.rig.client.http.post(f"/cluster/machines/{self.machine}/declare-lost")
        assert answer.is_success, answer.text

    def open(self) -> None:
        (self.rig.task_folder(self.task) / "code" / "gate").touch()

    def done(self) -> bytes:
        return (self.rig.task_folder(self.task) / "output" / f"done.{self.run}").read_bytes()

    def log(self, attempt: int) -> bytes:
        return self.rig.written(self.run, attempt, "log")


@pytest.fixture
def whole(rig: MesosRig) -> Iterator[MesosRig]:
    rig.wait_whole()
    yield rig
    rig.lab.up()
    left = rig.wait_clean(seconds=60)
    assert not left, left


def unreachable(stage: Stage) -> dict[str, Any]:
    """Its page says that there is no word and since when, and it stays RUNNING."""
    run = stage.wait(lambda run: run["reason"] == "unreachable", seconds=UNREACHABLE_WITHIN)
    assert run["state"] == "running"
    assert "since" in run["explanation"], run["explanation"]
    # Machines are noted in the passes that look at every Run, after that: the second note from now
    # on proves a whole look, and nothing may have moved by it.
    for _ in range(2):
        stage.wait_for_a_look()
    assert stage.now["state"] == "running"
    return stage.now


def add(report: Report, name: str, verdict: Verdict) -> None:
    report.add("mesos", name, "scenario", faults=1, verdicts=[verdict], leftovers=0)
    assert not verdict.problems, "\n".join(verdict.problems)


def test_a_machine_that_never_returns(whole: MesosRig, report: Report) -> None:
    stage = Stage(whole, retry=False)
    whole.lab.kill_machine(stage.agent)
    unreachable(stage)
    began = time.monotonic()
    stage.declare_lost()
    run = stage.wait(lambda run: run["state"] != "running")
    log = stage.log(1)
    verdict = judge(
        Evidence(
            run=run,
            script=stage.script,
            done=stage.done(),
            file=log,
            received=whole.log(stage.run),
            was_killed=True,
            seconds=time.monotonic() - began,
        ),
        {LOST},
    )
    assert "declared the machine lost" in run["explanation"]
    add(report, "machine never returns, declared lost", verdict)


def test_a_machine_that_never_returns_and_an_owner_who_allows_a_repeat(
    whole: MesosRig, report: Report
) -> None:
    stage = Stage(whole, retry=True)
    whole.lab.kill_machine(stage.agent)
    unreachable(stage)
    began = time.monotonic()
    stage.declare_lost()
    stage.open()
    run = stage.wait(lambda run: run["state"] == "succeeded")
    assert run["attempt"] == 2
    assert not str(run["machine"]).startswith(f"{stage.agent}:")
    # Twice the work, as its owner allowed; of the log only the second attempt counts.
    assert stage.done() == b"1\n2\n"
    verdict = judge(
        Evidence(
            run=run,
            script=QUICK,
            done=b"2\n",
            file=stage.log(2),
            received=whole.log(stage.run),
            seconds=time.monotonic() - began,
        ),
        {("succeeded", "")},
    )
    add(report, "machine never returns, repeated", verdict)


def test_a_machine_that_returns_although_it_was_declared_lost(
    whole: MesosRig, report: Report
) -> None:
    """Its agent was away, the container went on: it is killed, and the second attempt is unharmed."""
    stage = Stage(whole, retry=True)
    whole.lab.kill(stage.agent)
    unreachable(stage)
    old = whole.process_of(stage.run)
    assert old, "the container goes on without its agent"
    stage.declare_lost()
    stage.wait(lambda run: run["state"] == "running" and run["attempt"] == 2)
    until(lambda: b"started" in stage.log(2), "the second attempt to start", seconds=60)
    began = time.monotonic()
    whole.lab.start(stage.agent)
    until(
        lambda: not supervisor.is_alive(old),
        "the first attempt's container to be killed",
        seconds=WITHIN,
    )
    assert stage.log(1) == b"started\n"
    run = stage.now
    assert (run["state"], run["attempt"]) == ("running", 2)
    stage.open()
    run = stage.wait(lambda run: run["state"] != "running")
    verdict = judge(
        Evidence(
            run=run,
            script=stage.script,
            done=b"2\n" if stage.done() == b"1\n2\n" else stage.done(),
            file=stage.log(2),
            received=whole.log(stage.run),
            seconds=time.monotonic() - began,
        ),
        {("succeeded", "")},
    )
    add(report, "machine declared lost returns", verdict)
