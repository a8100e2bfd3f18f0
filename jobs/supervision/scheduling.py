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
from jobs.models import Lane, Machine, Run, UserLimits, UserUsage
from jobs.quick import quick_lane
from jobs.services import script_name
from jobs.states import Reason, RunState
from jobs.supervision import line
from jobs.supervision.explaining import Hold, explain_near, explain_unsuited, explain_waits
from jobs.supervision.line import FOREVER
from jobs.supervision.quick_memory import Commands, divide
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
    """The machines with the Runs on them, and what people hold."""

    rooms: list[queue.Room]
    standing: Mapping[int, _Standing]
    """of people with Runs of the queue"""
    nodes: dict[str, str]
    """machine -> the backend's own id of it"""
    quick_on: Mapping[str, int]
    """machine -> quick commands on it"""
    quick_of: Mapping[int, int]
    """person -> their quick commands that start or run"""
    quick_memory: Mapping[str, queue.Memory] | None
    """machine -> what there is for them; None: theirs lies beside all that is offered"""


def _always() -> bool:
    return True


def schedule(
    backend: Backend,
    launch: Callable[[Run], None],
    *,
    may_place: Callable[[], bool] = _always,
    launching: Collection[str] = (),
    tell: bool = True,
    hold: Hold | None = None,
) -> None:
    """Place what fits on `backend` and hand it to `launch` (which returns at once).

    `may_place` is asked right before each placement: whether supervision is still ours.
    `launching`: handles that were placed and have not taken their room on the backend yet.
    `tell`: also bring up to date what the others are told of their place in line.
    `hold`: nothing may start just now, and why.
    """
    now = timezone.now()
    quick, waiting = line.read(backend, now)
    world = None
    if hold is None and (quick.needs or waiting is None or waiting.needs):
        try:
            world = _world(backend, now, launching)
        except BackendUnavailable as error:
            hold = Hold(Reason.BACKEND_UNAVAILABLE, f"Waiting: {error}")
    # Quick commands start before the line is even read: there may be much of it.
    placed = _Placing(backend, launch, may_place)
    if not _quick_ones(quick, world, placed, hold, tell=tell):
        return
    if world is not None and not tell and not any(room.has_some for room in world.rooms):
        return  # As after most wakes of a full machine: the line need not even be read.
    if waiting is None:
        waiting = line.read_many(backend, now)
    if waiting.needs:
        users = {need.user for need in waiting.needs}
        if world is None:
            plan = queue.plan(waiting.needs, (), at_most=0)
            explain_waits(plan, waiting, now, hold=hold)
        else:
            people = _people(world.standing, now, users)
            plan = queue.plan(waiting.needs, world.rooms, people, at_most=PLACED_AT_ONCE)
            if not placed.all(plan.placements, waiting.runs, world.nodes):
                return
            if tell:
                explain_waits(plan, waiting, now)
        if len(users) > 1:
            # While one person waits alone nobody is before anybody; it is counted later.
            charge(now)
    if waiting.unsuited:
        explain_unsuited(waiting.unsuited, backend)


def _quick_ones(
    quick: line.Quick, world: _World | None, placed: _Placing, hold: Hold | None, *, tell: bool
) -> bool:
    """Place quick commands; what they take of the machines is noted in `world`. False: the lease
    is gone."""
    if not quick.needs:
        return True
    lane = quick_lane()
    places = queue.Places(
        on_a_machine=max(1, lane.at_once),  # Those of before the lane was closed go on.
        for_a_person=lane.for_a_person,
        taken=world.quick_on if world else {},
        held=world.quick_of if world else {},
        memory=world.quick_memory if world else None,
    )
    plan = queue.plan_quick(quick.needs, world.rooms if world else (), places)
    if world:
        world.rooms = list(plan.rooms)
        if not placed.all(plan.placements, quick.runs, world.nodes):
            return False
    if tell or hold:
        explain_near(plan.waits, quick.runs, hold)
    return True


# Reading: the machines, the people.


def _world(backend: Backend, now: datetime, launching: Collection[str]) -> _World:
    """What the machines offer with the Runs on them, and what everybody holds."""
    offers = list(backend.offers())
    held: dict[str, list[queue.Held]] = defaultdict(list)
    still_free: dict[str, list[queue.Held]] = defaultdict(list)
    standing: dict[int, _Standing] = defaultdict(_Standing)
    quick_on: dict[str, int] = defaultdict(int)
    quick_of: dict[int, int] = defaultdict(int)
    commands: dict[str, Commands] = defaultdict(Commands)
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
        lane,
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
        "lane",
    ):
        if lane == Lane.QUICK:  # Commands count neither against shares nor against limits.
            quick_of[user] += 1
            if where == backend.name:
                quick_on[machine] += 1
                starting = f"rcluster-{run}-{attempt}" in launching
                commands[machine].add(memory, starting=starting)
            continue
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
    quick_memory: dict[str, queue.Memory] | None = None
    if not backend.capabilities.lends:
        offers, quick_memory = _divided(offers, commands, held, still_free)
    return _World(
        rooms=_rooms(backend.name, offers, held, still_free),
        standing=standing,
        nodes={offer.machine: offer.node for offer in offers},
        quick_on=quick_on,
        quick_of=quick_of,
        quick_memory=quick_memory,
    )


def _divided(
    offers: list[Offer],
    commands: Mapping[str, Commands],
    held: Mapping[str, list[queue.Held]],
    still_free: Mapping[str, list[queue.Held]],
) -> tuple[list[Offer], dict[str, queue.Memory]]:
    """What the line gets of each offer, and what quick commands do; what those hold of the line's
    part is added to `held`."""
    for_the_line, quick_memory = [], {}
    for offer in offers:
        name = offer.machine
        rest, quick_memory[name], theirs = divide(
            offer, commands[name], held[name], still_free[name]
        )
        held[name].extend(theirs)
        for_the_line.append(rest)
    return for_the_line, quick_memory


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
            most=_most(limit),
        )
    return people


def _most(limit: UserLimits) -> dict[str, float]:
    most: dict[str, float] = {}
    if limit.max_cpus is not None:
        most["cpus"] = float(limit.max_cpus)
    if limit.max_memory is not None:
        most["memory"] = limit.max_memory
    return most


# Placing.


@dataclass(frozen=True)
class _Placing:
    backend: Backend
    launch: Callable[[Run], None]
    may_place: Callable[[], bool]

    def all(
        self, places: Mapping[int, str], runs: Mapping[int, Run] | None, nodes: Mapping[str, str]
    ) -> bool:
        """Place each Run on its machine; `runs`: the rows, where they are at hand.

        False: supervision is no longer ours, and nothing more may be written.
        """
        if runs is None and places:
            chosen = Run.objects.waiting().filter(pk__in=places)
            runs = {run.pk: run for run in chosen.select_related("task", "environment")}
        for key, machine in places.items():
            if runs is None or key not in runs:
                continue  # Cancelled meanwhile.
            if not self.may_place():
                log.warning("The lease has run out in the middle of a pass: nothing more is placed")
                return False
            try:
                if _place(runs[key], self.backend, machine, nodes[machine]):
                    self.launch(runs[key])
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
        charge_due=run.lane == Lane.QUEUE,
    )


def _storage_refuses(run: Run, error: OSError) -> None:
    log.warning("Run %s: no attempt folder: %s", run.public_id, error)
    sentence = f"Waiting: the storage refuses new files ({error.strerror})."
    explain(run, Reason.STORAGE_UNAVAILABLE, sentence)
    Run.objects.waiting().filter(pk=run.pk).update(
        not_before=timezone.now() + RETRY_AFTER, ahead=None
    )
