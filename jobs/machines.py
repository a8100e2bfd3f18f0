"""What administrators can do with a machine: drain it, take it back, declare it lost."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from jobs import notify
from jobs.models import Machine, Run, RunQuerySet
from jobs.services import Refused

if TYPE_CHECKING:
    from accounts.models import User

log = logging.getLogger(__name__)

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
    _staff_only(user)
    _set(machine, drained_at=timezone.now(), drained_by=user, only_if={"drained_at": None})
    log.info("%s drained %s", user, machine)
    return machine


def undrain(*, user: User, machine: Machine) -> Machine:
    """It gets Runs again. Safe to repeat."""
    _staff_only(user)
    _set(machine, drained_at=None, drained_by=None)
    log.info("%s took %s back", user, machine)
    return machine


def declare_lost(*, user: User, machine: Machine) -> Machine:
    """The Runs that were placed there so far are gone: supervision ends them, or starts those again
    whose owner allowed it. Refused while the machine answers."""
    _staff_only(user)
    machine.refresh_from_db()
    if reason := why_not_lost(machine):
        raise Refused(reason)
    _set(machine, lost_at=timezone.now(), lost_by=user)
    log.warning("%s declared %s lost", user, machine)
    return machine


def why_not_lost(machine: Machine) -> str:
    """A sentence while it can't be declared lost; "" once it can."""
    if not answers(machine):
        return ""
    return (
        f"{machine.name} answers, so it is not lost. Drain it if it shall get no new Runs; if it was "
        f"just switched off, try again in {HEARD_LATELY.seconds} seconds."
    )


def _staff_only(user: User) -> None:
    if not (user.is_active and user.is_staff):
        raise Refused("Only administrators may change what a machine is used for.")


def _set(machine: Machine, *, only_if: dict[str, None] | None = None, **changes: object) -> None:
    """Change these columns alone: supervision writes the others all the time."""
    with transaction.atomic():
        Machine.objects.filter(pk=machine.pk, **(only_if or {})).update(**changes)
        transaction.on_commit(notify.wake_supervision)
    machine.refresh_from_db()
