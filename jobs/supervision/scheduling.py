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
from jobs.backends.base import Backend, BackendUnavailable, Offer
from jobs.models import Machine, Run, UserLimits, UserUsage
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
DRAINED = "an administrator drains it"
RETRY_AFTER = timedelta(seconds=15)
"""until a Run is tried again after its registry or storage failed it"""


@dataclass
class _Standing:
    """What one person's active Runs hold now, wherever."""

    running: int = 0
    holds: dict[str, float] = field(default_factory=lambda: {"cpus": 0.0, "memory": 0.0})


@dataclass
class _World:
    """The machines with the Runs on them, and the people who wait."""

    rooms: list[queue.Room]
    people: dict[int, queue.Person]
    nodes: dict[str, str]
    """machine -> the backend's own id of it"""


def _always() -> bool:
    return True


def schedule(
    backend: Backend,
    launch: Callable[[Run], None],
    *,
    may_place: Callable[[], bool] = _always,
    launching: Collection[str] = (),
    tell: bool = True,
) -> None:
    """Place what fits on `backend` and hand it to `launch` (which returns at once).

    `may_place` is asked right before each placement: whether supervision is still ours.
    `launching`: handles that were placed and have not taken their room on the backend yet.
    `tell`: also bring up to date what the others are told of their place in line.
    """
    now = timezone.now()
    waiting = line.read(backend, now)
    if waiting.needs:
        try:
            world = _world(backend, now, {need.user for need in waiting.needs}, launching)
        except BackendUnavailable as error:
            plan = queue.plan(waiting.needs, (), at_most=0)
            explain_waits(plan, waiting, now, instead=f"Waiting: {error}")
        else:
            plan = queue.plan(waiting.needs, world.rooms, world.people, at_most=PLACED_AT_ONCE)
            places = {key: (where, world.nodes[where]) for key, where in plan.placements.items()}
            if not _place_all(places, waiting, backend, launch, may_place):
                return
            if tell:
                explain_waits(plan, waiting, now)
        if len({need.user for need in waiting.needs}) > 1:
            # While one person waits alone nobody is before anybody; it is counted later.
            charge(now)
    if waiting.unsuited:
        explain_unsuited(waiting.unsuited, backend)


# Reading: the machines, the people.


def _world(
    backend: Backend, now: datetime, users: Collection[int], launching: Collection[str]
) -> _World:
    """What the machines offer with the Runs on them, and how those who wait stand."""
    offers = backend.offers()
    held: dict[str, list[queue.Held]] = defaultdict(list)
    still_free: dict[str, list[queue.Held]] = defaultdict(list)
    standing: dict[int, _Standing] = defaultdict(_Standing)
    active = Run.objects.active().order_by()
    for (
        run,
        attempt,
        where,
        machine,
        user,
        cpus,
        memory,
        placed_at,
        time_limit,
    ) in active.values_list(
        "public_id",
        "attempt",
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
            each = queue.Held(wants, (time_limit or FOREVER) - elapsed)
            held[machine].append(each)
            if launching and f"rcluster-{run}-{attempt}" in launching:
                still_free[machine].append(each)
        own = standing[user]
        own.running += 1
        own.holds["cpus"] += cpus
        own.holds["memory"] += memory
    return _World(
        rooms=_rooms(backend.name, offers, held, still_free),
        people=_people(standing, now, users),
        nodes={offer.machine: offer.node for offer in offers},
    )


def _rooms(
    backend: str,
    offers: Collection[Offer],
    held: Mapping[str, list[queue.Held]],
    still_free: Mapping[str, list[queue.Held]],
) -> list[queue.Room]:
    """Every machine that is offered, and those that are closed for a while: Runs may wait for them."""
    rows = Machine.objects.filter(backend=backend)
    rows = rows.exclude(drained_at=None, note="", present=True)
    unusual = {machine.name: machine for machine in rows}
    rooms = []
    for offer in offers:
        machine = unusual.get(offer.machine)
        here = held.get(offer.machine, [])
        rooms.append(
            queue.Room(
                offer.machine,
                {"cpus": offer.cpus, "memory": offer.memory},
                [*here, *_others(offer, here, still_free.get(offer.machine, ()))],
                offer.attributes,
                # It is offered: whatever else was noted of it is over.
                DRAINED if machine and machine.drained_at else "",
            )
        )
    for name in sorted(unusual.keys() - {offer.machine for offer in offers}):
        machine = unusual[name]
        total = {"cpus": float(machine.cpus), "memory": machine.memory}
        why = _why_closed(machine)
        rooms.append(queue.Room(name, total, attributes=machine.attributes, closed=why))
    return rooms


def _others(
    offer: Offer, ours: Collection[queue.Held], still_free: Collection[queue.Held]
) -> list[queue.Held]:
    """What is neither free nor held by Runs of ours: by others, for we don't know how long.

    `still_free`: those of ours whose room the backend counts as free yet.
    """
    used = {}
    for name, total, free in (
        ("cpus", offer.cpus, offer.free_cpus),
        ("memory", offer.memory, offer.free_memory),
    ):
        left = total - sum(held.wants[name] for held in ours)
        spoken_for = sum(held.wants[name] for held in still_free)
        used[name] = max(0.0, left - (free - spoken_for)) if free is not None else 0.0
    return [queue.Held(used, FOREVER)] if any(used.values()) else []


def _why_closed(machine: Machine) -> str:
    if machine.drained_at:
        return DRAINED
    return machine.note.rstrip(".") or "it does not answer"


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
    places: Mapping[int, tuple[str, str]],
    waiting: Waiting,
    backend: Backend,
    launch: Callable[[Run], None],
    may_place: Callable[[], bool],
) -> bool:
    """False: supervision is no longer ours, and nothing more may be written."""
    runs = waiting.runs
    if runs is None and places:
        chosen = Run.objects.waiting().filter(pk__in=places)
        runs = {run.pk: run for run in chosen.select_related("task", "environment")}
    for key, (machine, node) in places.items():
        if runs is None or key not in runs:
            continue  # Cancelled meanwhile.
        if not may_place():
            log.warning("The lease has run out in the middle of a pass: nothing more is placed")
            return False
        try:
            if _place(runs[key], backend, machine, node):
                launch(runs[key])
        except attempts.AttemptTaken as error:
            # Another supervision has our lease by now and was faster.
            log.warning("Run %s was not placed: %s", runs[key].public_id, error)
        except OSError as error:
            _storage_refuses(runs[key], error)
            break  # The others would fare no better: the next pass tries the next one.
    return True


def _place(run: Run, backend: Backend, machine: str, node: str) -> bool:
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
        node=node,
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
