"""What is noted of machines while their master has forgotten half of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import cast

import pytest

from jobs.backends.base import Backend, MachineReport
from jobs.models import Machine
from jobs.supervision.noting import note_machines

pytestmark = pytest.mark.django_db
GIB = 1024**3
HERE = MachineReport(
    "agent1", 4.0, 8 * GIB, "S1", free_cpus=4.0, free_memory=8 * GIB, attributes={"disk": "ssd"}
)
AWAY = replace(
    HERE, cpus=0.0, memory=0, free_cpus=None, free_memory=None, present=False, note="Expected back."
)


class Lister:
    name = "mesos"

    def __init__(self, *reports: MachineReport) -> None:
        self.reports: Sequence[MachineReport] = reports

    def machines(self) -> list[MachineReport]:
        return list(self.reports)


def note(*reports: MachineReport) -> None:
    note_machines(cast(Backend, Lister(*reports)))


def test_a_machine_that_is_expected_back_keeps_its_size() -> None:
    """Else every Run would be refused as too large, for as long as a master takes to recover."""
    note(HERE)
    note(AWAY)
    machine = Machine.objects.get()
    assert (machine.cpus, machine.memory) == (Decimal(4), 8 * GIB)
    assert (machine.present, machine.note, machine.free_cpus) == (False, "Expected back.", None)
    assert machine.attributes == {"disk": "ssd"}
    note(HERE)
    machine.refresh_from_db()
    assert (machine.present, machine.note, machine.free_cpus) == (True, "", Decimal(4))


def test_one_whose_size_was_never_known_is_no_measure() -> None:
    note(AWAY)
    assert not Machine.objects.exists()
