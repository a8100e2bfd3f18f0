"""What administrators can do with a machine: drain it, take it back, declare it lost."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.audit import Action
from jobs import notify
from jobs.models import Machine, Run, RunQuerySet
from jobs.services import Refused
from jobs.services.rights import staff_only

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from accounts.models import User

HEARD_LATELY = timedelta(seconds=60)
"""A machine that was heard within this answers; supervision asks every few seconds."""


def answers(machine: Machine) -> bool:
    """Its backend knows it and had word of it lately."""
    return machine.present and timezone.now() - machine.heard_at < HEARD_LATELY


def unfinished_runs(machine: Machine) -> RunQuerySet:
    """The Runs that were placed there and whose end nobody saw."""
    return Run.objects.active().filter(backend=machine.backend, machine=machine.name)


def drain(*, user: User, machine: Machine) -> Machine:
    """It gets no new Runs; those on it go on. Safe to repeat: the first who did it is kept."""
    staff_only(user, "change what a machine is used for")
    rows = Machine.objects.filter(drained_at=None)
    _set(user, machine, Action.MACHINE_DRAINED, rows, drained_at=timezone.now(), drained_by=user)
    return machine


def undrain(*, user: User, machine: Machine) -> Machine:
    """It gets Runs again. Safe to repeat."""
    staff_only(user, "change what a machine is used for")
    rows = Machine.objects.filter(drained_at__isnull=False)
    _set(user, machine, Action.MACHINE_UNDRAINED, rows, drained_at=None, drained_by=None)
    return machine


def declare_lost(*, user: User, machine: Machine) -> Machine:
    """The Runs that were placed there so far are gone: supervision ends them, or starts those again
    whose owner allowed it. Refused while the machine answers."""
    staff_only(user, "change what a machine is used for")
    machine.refresh_from_db()
    if reason := why_not_lost(machine):
        raise Refused(reason)
    rows = Machine.objects.all()
    _set(user, machine, Action.MACHINE_LOST, rows, lost_at=timezone.now(), lost_by=user)
    return machine


def why_not_lost(machine: Machine) -> str:
    """A sentence while it can't be declared lost; "" once it can."""
    if not answers(machine):
        return ""
    return (
        f"{machine.name} answers, so it is not lost. Drain it if it shall get no new Runs; if it was "
        f"just switched off, try again in {HEARD_LATELY.seconds} seconds."
    )


def _set(
    user: User, machine: Machine, action: Action, rows: QuerySet[Machine], **changes: object
) -> None:
    """Change these columns alone, if it is one of `rows`: supervision writes the others all the time."""
    with transaction.atomic():
        if rows.filter(pk=machine.pk).update(**changes):
            audit.note(user, action, subject=machine.name, subject_id=f"machine-{machine.pk}")
            transaction.on_commit(notify.wake_supervision)
    machine.refresh_from_db()
