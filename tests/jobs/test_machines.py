"""Draining a machine, taking it back, declaring it lost: who may, when, and what is kept."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.machines import HEARD_LATELY, answers, declare_lost, drain, undrain, unfinished_runs
from jobs.models import Machine
from jobs.services import Refused
from jobs.states import RunState
from tests.factories import make_machine, make_run, make_task, make_user

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("act", [drain, undrain, declare_lost])
def test_only_administrators_may(act: object) -> None:
    machine = make_machine(present=False)
    for person in (make_user(), make_user(staff=True, is_active=False)):
        with pytest.raises(Refused, match="Only administrators"):
            act(user=person, machine=machine)  # type: ignore[operator]
    machine.refresh_from_db()
    assert (machine.drained_at, machine.lost_at) == (None, None)


def test_who_drained_it_first_is_kept_until_it_is_taken_back() -> None:
    machine, first, second = make_machine(), make_user(staff=True), make_user(staff=True)
    drained = drain(user=first, machine=machine)
    assert drained.drained_at is not None
    since = drained.drained_at
    assert drain(user=second, machine=machine).drained_by == first
    assert machine.drained_at == since
    undrain(user=second, machine=machine)
    taken = Machine.objects.get()
    assert (taken.drained_at, taken.drained_by) == (None, None)


def test_what_supervision_writes_meanwhile_is_not_undone() -> None:
    known, now = make_machine(), timezone.now()
    Machine.objects.update(present=False, note="Away.", heard_at=now, free_cpus=1)
    drain(user=make_user(staff=True), machine=known)
    kept = Machine.objects.values("present", "note", "heard_at", "free_cpus").get()
    assert kept == {"present": False, "note": "Away.", "heard_at": now, "free_cpus": 1}


@pytest.mark.parametrize(
    ("present", "silent_for", "refused"),
    [
        (True, timedelta(0), True),
        (True, HEARD_LATELY - timedelta(seconds=10), True),
        (True, HEARD_LATELY, False),
        (False, timedelta(0), False),
    ],
)
def test_lost_is_refused_as_long_as_it_answers(
    present: bool, silent_for: timedelta, refused: bool
) -> None:
    machine = make_machine("n7", present=present, heard_at=timezone.now() - silent_for)
    administrator = make_user(staff=True)
    assert answers(machine) is refused
    if refused:
        with pytest.raises(Refused, match="n7 answers, so it is not lost"):
            declare_lost(user=administrator, machine=machine)
        assert machine.lost_at is None
    else:
        lost = declare_lost(user=administrator, machine=machine)
        assert (lost.lost_by, lost.lost_at is not None) == (administrator, True)


def test_a_machine_that_came_back_since_the_page_was_read_is_not_lost() -> None:
    machine = make_machine(present=False)
    Machine.objects.update(present=True, heard_at=timezone.now())
    with pytest.raises(Refused):
        declare_lost(user=make_user(staff=True), machine=machine)


def test_the_runs_at_stake_are_the_unended_ones_that_were_placed_there() -> None:
    machine, task = make_machine("n1"), make_task()
    there = [
        make_run(task, state=state, machine="n1") for state in (RunState.STARTING, RunState.RUNNING)
    ]
    make_run(task, state=RunState.RUNNING, machine="n2")
    make_run(task, state=RunState.RUNNING, machine="n1", backend="docker")
    make_run(task, state=RunState.FAILED, machine="n1")
    make_run(task)
    assert set(unfinished_runs(machine)) == set(there)
