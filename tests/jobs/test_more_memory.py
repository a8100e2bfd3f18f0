"""Twice the memory after an out-of-memory ending: within the largest machine and one's limits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from jobs import services
from jobs.models import GIB, Run, Site, UserLimits
from jobs.more_memory import MoreMemory, more_memory
from jobs.states import Reason, RunState
from tests.factories import make_environment, make_machine, make_run

pytestmark = pytest.mark.django_db


def ran_out(memory: int = 4 * GIB, **fields: Any) -> Run:
    Site.objects.update_or_create(id=1, defaults={"backend": "local"})
    make_environment()
    given = {"reason": Reason.OUT_OF_MEMORY, "memory": memory, **fields}
    return make_run(state=given.pop("state", RunState.FAILED), **given)


def offer(run: Run) -> MoreMemory | None:
    return more_memory(user=run.submitted_by, run=run)


def test_twice_as_much_is_offered_and_granted() -> None:
    run = ran_out(script_text="x <- 1\n", cpus=Decimal("0.5"))
    make_machine(memory=8 * GIB)
    assert offer(run) == MoreMemory(8 * GIB, "")
    again = services.run_again(user=run.submitted_by, run=run, memory=8 * GIB)
    assert (again.memory, again.cpus, again.script_text, again.repeats) == (
        8 * GIB,
        run.cpus,
        run.script_text,
        run,
    )


def test_the_largest_machine_is_offered_where_twice_is_too_much() -> None:
    run = ran_out(6 * GIB)
    make_machine("small", memory=4 * GIB)
    make_machine("large", memory=10 * GIB)
    told = "Twice as much is 12 GB; the largest machine for it has 10 GB."
    assert offer(run) == MoreMemory(10 * GIB, told)


@pytest.mark.parametrize("memory", [8 * GIB, 16 * GIB])
def test_nothing_is_offered_where_there_is_no_more(memory: int) -> None:
    run = ran_out(memory)
    make_machine(memory=8 * GIB)
    told = "There is no larger machine for it: the largest has 8 GB."
    assert offer(run) == MoreMemory(None, told)


def test_a_machine_counts_only_if_it_could_hold_the_run_otherwise() -> None:
    run = ran_out(cpus=4, constraints="disk:ssd")
    make_machine("few CPUs", cpus=2, memory=64 * GIB, attributes={"disk": "ssd"})
    make_machine("slow disk", cpus=8, memory=64 * GIB, attributes={"disk": "hdd"})
    make_machine("elsewhere", backend="docker", cpus=8, memory=64 * GIB, attributes={"disk": "ssd"})
    found = offer(run)
    assert found == MoreMemory(None, "No machine here suits it any more.")
    make_machine("suited", cpus=4, memory=6 * GIB, attributes={"disk": "ssd", "zone": "a"})
    found = offer(run)
    assert found is not None
    assert found.memory == 6 * GIB


def test_a_machine_that_takes_no_runs_counts_only_where_no_other_would_do() -> None:
    run = ran_out(1 * GIB)
    make_machine("away", memory=3 * GIB, present=False)
    make_machine("drained", memory=2 * GIB, drained_at=timezone.now())
    assert offer(run) == MoreMemory(2 * GIB, "")
    make_machine("here", memory=int(1.5 * GIB))
    found = offer(run)
    assert found is not None
    assert found.memory == int(1.5 * GIB)


def test_before_any_machine_is_known_twice_is_offered() -> None:
    assert offer(ran_out()) == MoreMemory(8 * GIB, "")


def test_ones_own_limit_is_told_instead_of_refused_later() -> None:
    run = ran_out(cpus=4)
    make_machine(memory=64 * GIB)
    UserLimits.objects.create(user=run.submitted_by, max_cpus=2)
    told = "It asks for 4 CPUs, and your limit is 2 CPUs at a time."
    assert offer(run) == MoreMemory(None, told)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (RunState.FAILED, Reason.EXIT_CODE),
        (RunState.SUCCEEDED, Reason.NONE),
        (RunState.RUNNING, Reason.NONE),
    ],
)
def test_other_endings_are_not_about_memory(state: RunState, reason: Reason) -> None:
    assert offer(ran_out(state=state, reason=reason)) is None
