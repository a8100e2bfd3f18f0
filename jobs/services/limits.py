"""What people may use at a time: for everybody, and for somebody alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Count, FloatField, Q, Sum
from django.db.models.functions import Cast

from accounts import audit
from accounts.audit import Action
from accounts.models import User
from files.models import Dataset
from jobs.models import Run, Task, UserLimits
from jobs.queue import size
from jobs.services.people import subject_id
from jobs.services.refused import Refused
from jobs.services.rights import staff_only
from jobs.states import ACTIVE, RunState

FIELDS = ("max_running", "max_queued", "max_cpus", "max_memory", "max_storage", "share")
_NAMES = {
    "max_running": "Runs at a time",
    "max_queued": "Runs that wait",
    "max_cpus": "CPUs",
    "max_memory": "memory",
    "max_storage": "storage",
    "share": "share",
}
_MOST = {"max_running": 10**6, "max_queued": 10**6, "max_memory": 2**60, "max_storage": 2**62}


@dataclass(frozen=True)
class PresentUse:
    """What somebody has now."""

    running: int = 0
    queued: int = 0
    cpus: float = 0.0
    memory: int = 0
    """bytes"""
    storage: int = 0
    """bytes, as last measured"""


NOTHING = PresentUse()


def own_limits(person: User | None) -> UserLimits | None:
    """Those of this person alone; of everybody for None."""
    return UserLimits.objects.filter(user=person).first()


def set_limits(*, by: User, person: User | None, limits: Mapping[str, Any]) -> UserLimits:
    """Set the limits of `person`, or with None those of everybody without limits of their own.

    What is left out stays; None means no limit. What runs and waits now goes on.
    """
    staff_only(by)
    changes = {name: _checked(name, value) for name, value in limits.items()}
    with transaction.atomic():
        found = UserLimits.objects.select_for_update().filter(user=person).first()
        is_new = found is None
        if found is None:
            # What held until now: everybody's, for a person who had none of their own. Otherwise
            # who gives somebody one limit would free them of all the others.
            found = UserLimits(user=person)
            usual = UserLimits.of(person) if person else found
            for name in FIELDS:
                setattr(found, name, getattr(usual, name))
        told = [
            f"{_NAMES[name]}: {_words(name, value)} instead of {_words(name, getattr(found, name))}"
            for name, value in changes.items()
            if getattr(found, name) != value
        ]
        for name, value in changes.items():
            setattr(found, name, value)
        if told or is_new:
            found.save()
            _note(by, person, ", ".join(told) or "as they were, of their own")
    return found


def clear_limits(*, by: User, person: User | None) -> None:
    """From now on everybody's hold for them; for everybody: none. Safe to repeat."""
    staff_only(by)
    with transaction.atomic():
        found = UserLimits.objects.select_for_update().filter(user=person).first()
        if found is not None:
            were = [(name, getattr(found, name)) for name in FIELDS]
            told = ", ".join(f"{_NAMES[name]}: {_words(name, value)}" for name, value in were)
            found.delete()
            _note(by, person, f"none{' of their own' if person else ''} instead of {told}")


def present_use(people: list[int] | None = None) -> dict[int, PresentUse]:
    """By key of the person, without those who have nothing. Three statements, whoever is asked for."""
    runs = Run.objects.unfinished().order_by()
    tasks, datasets = Task.objects.order_by(), Dataset.objects.filter(path="").order_by()
    if people is not None:
        runs = runs.filter(submitted_by__in=people)
        tasks, datasets = tasks.filter(owner__in=people), datasets.filter(owner__in=people)
    active = Q(state__in=ACTIVE)
    held = runs.values_list("submitted_by").annotate(
        running=Count("pk", filter=active),
        queued=Count("pk", filter=Q(state=RunState.QUEUED)),
        all_cpus=Sum(Cast("cpus", FloatField()), filter=active),
        all_memory=Sum("memory", filter=active),
    )
    stored: dict[int, int] = {}
    for key, filled in [
        *tasks.values_list("owner").annotate(Sum("storage_used")),
        *datasets.values_list("owner").annotate(Sum("size")),
    ]:
        stored[key] = stored.get(key, 0) + (filled or 0)
    found = {
        key: PresentUse(running, queued, cpus or 0.0, memory or 0, stored.get(key, 0))
        for key, running, queued, cpus, memory in held
    }
    for key, filled in stored.items():
        found.setdefault(key, PresentUse(storage=filled))
    return found


def _checked(name: str, value: Any) -> Any:
    if name not in FIELDS:
        raise TypeError(f"there is no limit {name}")
    if name == "share":
        if value is None or not (math.isfinite(value) and 0.01 <= value <= 1000):
            raise Refused("Give the share as a number from 0.01 to 1000; 1 is usual.", field=name)
        return float(value)
    if value is None:
        return None
    if name == "max_cpus":
        if not (math.isfinite(value) and 0.05 <= value <= 999_999):
            raise Refused(
                "Give the CPUs as a number from 0.05, or nothing for no limit.", field=name
            )
        return Decimal(str(value)).quantize(Decimal("0.01"))
    least = 0 if name in ("max_running", "max_queued") else 1
    if not least <= value <= _MOST[name]:
        raise Refused(f"Give a whole number from {least}, or nothing for no limit.", field=name)
    return int(value)


def _words(name: str, value: Any) -> str:
    if value is None:
        return "no limit"
    return size(value) if name in ("max_memory", "max_storage") else f"{float(value):g}"


def _note(by: User, person: User | None, detail: str) -> None:
    audit.note(
        by,
        Action.LIMITS_CHANGED,
        subject=person.get_username() if person else "everybody",
        subject_id=subject_id(person) if person else "",
        detail=detail,
    )
