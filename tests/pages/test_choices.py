"""The presets that pages offer: none that would only be refused."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import User
from files import storage
from jobs.models import GIB, Machine, Site
from jobs.states import RunState
from jobs.views import choices
from tests.factories import make_run, make_task


def labels(found: list[choices.Choice]) -> list[str]:
    return [each.label for each in found]


def test_up_to_the_largest_machine_and_all_of_it() -> None:
    assert labels(choices.cpus(Decimal(1), Decimal(6))) == [
        *("0.5 CPUs", "1 CPU", "2 CPUs", "4 CPUs", "6 CPUs"),
    ]
    found = choices.memory(GIB, 3 * GIB)
    assert labels(found)[-2:] == ["2 GB", "3 GB"]
    assert [each.label for each in found if each.chosen] == ["1 GB"]


def test_what_was_chosen_stays_though_no_machine_has_it() -> None:
    found = choices.cpus(Decimal(64), Decimal(2))
    assert labels(found)[-2:] == ["2 CPUs", "64 CPUs"]
    assert [each.value for each in found if each.chosen] == ["64"]


def test_as_long_as_no_machine_is_known_all_are_offered() -> None:
    assert labels(choices.cpus(Decimal(1), None))[-1] == "32 CPUs"


@pytest.mark.parametrize("page", ["/tasks/{task}/", "/runs/{run}/change/"])
def test_pages_offer_what_the_machines_have(anna_client: Client, anna: User, page: str) -> None:
    task = make_task(anna)
    storage.create_task_folders(task.public_id)
    run = make_run(task, state=RunState.SUCCEEDED)
    backend = Site.load().backend
    for name, cpus, memory in (("n1", 3, 2), ("n2", 2, 6)):
        Machine.objects.create(
            name=name, backend=backend, cpus=cpus, memory=memory * GIB, heard_at=timezone.now()
        )
    address = page.format(task=task.public_id, run=run.public_id)
    shown = anna_client.get(address).content.decode()
    assert ">3 CPUs</option>" in shown
    assert ">4 CPUs</option>" not in shown
    assert ">6 GB</option>" in shown
    assert ">8 GB</option>" not in shown
