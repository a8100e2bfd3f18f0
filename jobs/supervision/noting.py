"""What the backend says of its machines, noted for pages and for what submit() refuses."""

from __future__ import annotations

from django.utils import timezone

from jobs.backends.base import Backend, BackendUnavailable, MachineReport
from jobs.models import Machine

TOLD = (
    "node",
    "cpus",
    "memory",
    "free_cpus",
    "free_memory",
    "attributes",
    "present",
    "note",
    "advice",
)
"""Columns that only supervision writes; those of administrators stay as they are."""


def note_machines(backend: Backend) -> None:
    """Write down every machine, in three statements however many there are."""
    try:
        reports = backend.machines()
    except BackendUnavailable:
        return
    _write(backend, [each for each in reports if each.present], (*TOLD, "heard_at"))
    # When an absent one was last heard stays as it was.
    absent = [each for each in reports if not each.present]
    _write(backend, [each for each in absent if each.cpus], TOLD)
    _keep_size(backend, [each for each in absent if not each.cpus])
    names = [report.name for report in reports]
    gone = Machine.objects.filter(backend=backend.name, present=True).exclude(name__in=names)
    gone.update(present=False, free_cpus=None, free_memory=None)


def _keep_size(backend: Backend, reports: list[MachineReport]) -> None:
    """Its size is not known until it is back: what was noted of it stays, and one that never was
    is none that a Run could be measured by."""
    for note in {each.note for each in reports}:
        names = [each.name for each in reports if each.note == note]
        Machine.objects.filter(backend=backend.name, name__in=names).update(
            present=False, note=note, free_cpus=None, free_memory=None
        )


def _write(backend: Backend, reports: list[MachineReport], columns: tuple[str, ...]) -> None:
    now = timezone.now()
    machines = [
        Machine(
            backend=backend.name,
            name=report.name,
            heard_at=now,
            **{name: getattr(report, name) for name in TOLD if name != "attributes"},
            attributes=dict(report.attributes),
        )
        for report in {report.name: report for report in reports}.values()
    ]
    Machine.objects.bulk_create(
        machines,
        update_conflicts=True,
        unique_fields=("backend", "name"),
        update_fields=columns,
        batch_size=500,
    )
