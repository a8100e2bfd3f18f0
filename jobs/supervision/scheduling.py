"""QUEUED -> STARTING: free room goes to the Runs that are next; the others are told why they wait.

One pass costs a fixed number of SQL statements, whatever waits, plus a few per Run that it places.
line.py reads what waits, jobs/queue decides, explaining.py tells, usage.py counts what was used.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import FloatField
from django.db.models.functions import Cast
from django.utils import timezone

from jobs import attempts, queue
from jobs.backends.base import Backend, BackendUnavailable
from jobs.models import Run, UserLimits, UserUsage
from jobs.services import script_name
from jobs.states import Reason, RunState
from jobs.supervision import line
from jobs.supervision.explaining import explain_unsuited, explain_waits
from jobs.supervision.line import FOREVER, Waiting
from jobs.supervision.usage import charge, faded
from jobs.transitions import advance, explain

log = logging.getLogger(__name__)

PLACED_AT_ONCE = 100
"""Runs placed in one pass, so that ends are not observed late; a second later comes the next pass"""
RETRY_AFTER = timedelta(seconds=15)
"""until a Run is tried again after its registry or storage failed it"""


@dataclass
class _Standing:
    """What one person's active Runs hold now, wherever."""

    running: int = 0
    holds: dict[str, float] = field(default_factory=lambda: {"cpus": 0.0, "memory": 0.0})


def schedule(backend: Backend, launch: Callable[[Run], None]) -> None:
    """Place what fits on `backend` and hand it to `launch` (which returns at once)."""
    now = timezone.now()
    waiting = line.read(backend, now)
    if waiting.needs:
        try:
            rooms, people = _rooms_and_people(backend, now, {need.user for need in waiting.needs})
        except BackendUnavailable as error:
            plan = queue.plan(waiting.needs, (), at_most=0)
            explain_waits(plan, waiting, now, instead=f"Waiting: {error}")
        else:
            plan = queue.plan(waiting.needs, rooms, people, at_most=PLACED_AT_ONCE)
            _place_all(plan.placements, waiting, backend, launch)
            explain_waits(plan, waiting, now)
        if len({need.user for need in waiting.needs}) > 1:
            # While one person waits alone nobody is before anybody; it is counted later.
            charge(now)
    if waiting.unsuited:
        explain_unsuited(waiting.unsuited, backend)


# Reading: the machines, the people.


def _rooms_and_people(
    backend: Backend, now: datetime, users: Collection[int]
) -> tuple[list[queue.Room], dict[int, queue.Person]]:
    """What the machines offer with the Runs on them, and how those who wait stand."""
    held: dict[str, list[queue.Held]] = defaultdict(list)
    standing: dict[int, _Standing] = defaultdict(_Standing)
    active = Run.objects.active().order_by()
    for where, machine, user, cpus, memory, placed_at, time_limit in active.values_list(
        "backend",
        "machine",
        "submitted_by",
        Cast("cpus", FloatField()),
        "memory",
        "placed_at",
        "time_limit",
    ):
        if where == backend.name:
            elapsed = (now - placed_at).total_seconds() if placed_at else 0.0
            wants = {"cpus": cpus, "memory": memory}
            held[machine].append(queue.Held(wants, (time_limit or FOREVER) - elapsed))
        own = standing[user]
        own.running += 1
        own.holds["cpus"] += cpus
        own.holds["memory"] += memory
    rooms = [
        queue.Room(
            offer.machine,
            {"cpus": offer.cpus, "memory": offer.memory},
            held.get(offer.machine, ()),
        )
        for offer in backend.offers()
    ]
    return rooms, _people(standing, now, users)


def _people(
    standing: Mapping[int, _Standing], now: datetime, users: Collection[int]
) -> dict[int, queue.Person]:
    limits = {each.user_id: each for each in UserLimits.objects.all()}
    everybody = limits.get(None) or UserLimits()
    lately = {}
    if len(users) > 1:  # Alone, nobody is before anybody.
        lately = {usage.user_id: usage for usage in UserUsage.objects.filter(user__in=users)}
    people = {}
    for user in users:
        now_held, limit = standing.get(user) or _Standing(), limits.get(user) or everybody
        people[user] = queue.Person(
            running=now_held.running,
            holds=now_held.holds,
            lately=faded(lately[user], now) if user in lately else {},
            share=limit.share,
            max_running=limit.max_running,
            most={} if limit.max_cpus is None else {"cpus": float(limit.max_cpus)},
        )
    return people


# Placing.


def _place_all(
    placements: Mapping[int, str],
    waiting: Waiting,
    backend: Backend,
    launch: Callable[[Run], None],
) -> None:
    if not placements:
        return
    runs = waiting.runs
    if runs is None:
        chosen = Run.objects.waiting().filter(pk__in=placements)
        runs = {run.pk: run for run in chosen.select_related("task", "environment")}
    for key, machine in placements.items():
        if key not in runs:
            continue  # Cancelled meanwhile.
        try:
            if _place(runs[key], backend, machine):
                launch(runs[key])
        except attempts.AttemptTaken as error:
            # Another supervision has our lease by now and was faster.
            log.warning("Run %s was not placed: %s", runs[key].public_id, error)
        except OSError as error:
            _storage_refuses(runs[key], error)
            return  # The others would fare no better: the next pass tries the next one.


def _place(run: Run, backend: Backend, machine: str) -> bool:
    """Write the attempt's folder with its permit, then say STARTING. False: somebody cancelled it.

    Raises OSError if the storage refuses: the Run stays in the queue.
    """
    attempts.prepare(
        run.public_id,
        run.attempt + 1,
        script_name=script_name(run),
        script_text=run.script_text,
        stdin=run.stdin,
    )
    return advance(
        run,
        RunState.STARTING,
        since={RunState.QUEUED},
        reason=Reason.LAUNCHING,
        next_attempt=True,
        backend=backend.name,
        machine=machine,
        placed_at=timezone.now(),
        not_before=None,
        ahead=None,
        charge_due=True,
    )


def _storage_refuses(run: Run, error: OSError) -> None:
    log.warning("Run %s: no attempt folder: %s", run.public_id, error)
    sentence = f"Waiting: the storage refuses new files ({error.strerror})."
    explain(run, Reason.STORAGE_UNAVAILABLE, sentence)
    Run.objects.waiting().filter(pk=run.pk).update(
        not_before=timezone.now() + RETRY_AFTER, ahead=None
    )
