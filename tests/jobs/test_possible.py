"""What submit() refuses because it could never start, or may not wait."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from jobs import services
from jobs.models import Environment, Machine, Run, Site, UserLimits
from jobs.services import Refused, RunRequest
from tests.factories import make_environment, make_user

pytestmark = pytest.mark.django_db

GB = 1024**3


@pytest.fixture
def submit() -> Callable[..., Run]:
    Site.load()
    make_environment()
    task = services.create_task(user=make_user(), name="Rivers")

    def submit_(**more: Any) -> Run:
        request = RunRequest(kind="command", command="ls", **more)
        return services.submit(user=task.owner, task=task, request=request)

    return submit_


def limits(**fields: Any) -> None:
    UserLimits.objects.create(user=User.objects.get(), **fields)


def test_the_largest_possible_request_is_one_that_a_machine_can_hold(
    submit: Callable[..., Run],
) -> None:
    for name, cpus, gigabytes in (("a", 8, 16), ("b", 2, 64), ("c", 2, 16)):
        Machine.objects.create(
            name=name,
            backend=Site.load().backend,
            cpus=cpus,
            memory=gigabytes * GB,
            heard_at=timezone.now(),
        )
    with pytest.raises(Refused, match=r"at most 8 CPUs and 16 GB, or 2 CPUs and 64 GB\.") as no:
        submit(cpus=8, memory=32 * GB)
    assert no.value.field == "memory"
    with pytest.raises(Refused) as no:
        submit(cpus=9, memory=GB)
    assert no.value.field == "cpus"
    submit(cpus=2, memory=64 * GB)


def test_waiting_runs_are_limited_per_person(submit: Callable[..., Run]) -> None:
    limits(max_queued=1)
    run = submit(cpus=1)
    with pytest.raises(Refused, match="You have 1 Run waiting, which is your limit"):
        submit(cpus=1)
    services.cancel(user=run.submitted_by, run=run)
    submit(cpus=1)


def test_what_the_own_limit_never_lets_start_is_refused(submit: Callable[..., Run]) -> None:
    limits(max_cpus=2)
    with pytest.raises(Refused, match="at most 2 CPUs") as no:
        submit(cpus=3)
    assert no.value.field == "cpus"
    submit(cpus=2)


def test_there_is_one_row_of_limits_for_everybody_and_one_each() -> None:
    user = make_user()
    UserLimits.objects.create(max_running=1)
    assert UserLimits.of(user).max_running == 1
    UserLimits.objects.create(user=user, max_running=2)
    assert UserLimits.of(user).max_running == 2
    with pytest.raises(IntegrityError), transaction.atomic():
        UserLimits.objects.create(max_running=3)


# Attributes of machines.


def machine(name: str, cpus: int = 4, **attributes: str) -> Machine:
    return Machine.objects.create(
        name=name,
        backend=Site.load().backend,
        cpus=cpus,
        memory=8 * GB,
        attributes=attributes,
        heard_at=timezone.now(),
    )


def test_a_run_keeps_its_environments_constraints_and_its_own(submit: Callable[..., Run]) -> None:
    Environment.objects.update(constraints="disk:ssd")
    run = submit(constraints="zone:a ,  disk:ssd")
    Environment.objects.update(constraints="disk:nvme")
    run.refresh_from_db()
    assert run.constraints == "disk:ssd, zone:a", "as it was asked for, whatever changes later"
    again = services.run_again(user=run.submitted_by, run=run)
    assert again.constraints == "disk:nvme, zone:a", "the Environment has its way today"
    assert submit().constraints == "disk:nvme"


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("ssd", "“ssd” names no attribute of a machine: write name:value"),
        ("disk:hdd", "both disk:ssd and disk:hdd"),
        (", ".join(f"a{n}:b" for n in range(10)), "at most 10"),
    ],
)
def test_bad_constraints_are_refused(submit: Callable[..., Run], written: str, says: str) -> None:
    Environment.objects.update(constraints="disk:ssd")
    with pytest.raises(Refused, match=says) as no:
        submit(constraints=written)
    assert no.value.field == "constraints"
    assert not Run.objects.exists()


def test_attributes_that_no_machine_has_are_refused_naming_those_there_are(
    submit: Callable[..., Run],
) -> None:
    submit(constraints="disk:ssd")  # No machine is known yet.
    machine("a", disk="hdd")
    machine("b", disk="hdd", zone="b")
    with pytest.raises(Refused) as no:
        submit(constraints="zone:a, disk:hdd")
    assert str(no.value) == "No machine has disk:hdd and zone:a. There is disk:hdd, zone:b."
    assert no.value.field == "constraints"
    submit(constraints="zone:b, disk:hdd")
    Machine.objects.update(attributes={})
    with pytest.raises(Refused, match="The machines here have no attributes: leave it empty"):
        submit(constraints="disk:hdd")
    Machine.objects.update(attributes={f"a{n:02}": "b" for n in range(20)})
    with pytest.raises(Refused, match=r"There is a00:b, .*, a11:b and 8 more\."):
        submit(constraints="disk:hdd")


def test_an_environment_that_no_machine_suits_is_named(submit: Callable[..., Run]) -> None:
    machine("a", disk="hdd")
    Environment.objects.update(name="Fast R", constraints="disk:ssd")
    with pytest.raises(Refused) as no:
        submit(constraints="disk:ssd")
    assert str(no.value) == (
        "The environment “Fast R” needs a machine with disk:ssd, and there is none. "
        "Choose another one, or tell your administrator."
    )
    assert no.value.field == "environment"


def test_the_largest_machine_is_looked_for_among_those_that_suit(
    submit: Callable[..., Run],
) -> None:
    machine("plain", cpus=64)
    machine("ssd", cpus=4, disk="ssd")
    with pytest.raises(Refused) as no:
        submit(constraints="disk:ssd", cpus=8)
    assert str(no.value) == (
        "No machine with disk:ssd has 8 CPUs and 1 GB: ask for at most 4 CPUs and 8 GB."
    )
    assert no.value.field == "cpus"
    submit(cpus=8)


def test_a_machine_that_is_drained_or_away_may_come_back(submit: Callable[..., Run]) -> None:
    machine("ssd", disk="ssd")
    Machine.objects.update(present=False, drained_at=timezone.now())
    submit(constraints="disk:ssd")


def test_administrators_write_constraints_in_the_one_way() -> None:
    environment = make_environment()
    root = make_user(staff=True)
    change = partial(services.change_environment, user=root, environment=environment)
    assert change(constraints="zone:a,disk:ssd").constraints == "disk:ssd, zone:a"
    with pytest.raises(Refused, match="names no attribute of a machine"):
        change(constraints="ssd")
