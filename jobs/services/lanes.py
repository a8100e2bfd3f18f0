"""Which way a Run goes, and what it gets there: a short command is quick, all else waits its turn."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from jobs.models import Lane, Run, RunKind, Task, UserLimits
from jobs.queue import amount, size
from jobs.queue.words import runs
from jobs.quick import WAITING_EACH, QuickLane, quick_lane
from jobs.services import checks
from jobs.services.refused import Refused

if TYPE_CHECKING:
    from accounts.models import User


class Request(Protocol):
    """The part of a RunRequest that matters here."""

    @property
    def kind(self) -> str: ...
    @property
    def lane(self) -> str | None: ...
    @property
    def cpus(self) -> Decimal | float | None: ...
    @property
    def memory(self) -> int | None: ...
    @property
    def time_limit(self) -> int | None: ...


@dataclass(frozen=True)
class Share:
    """What one Run gets."""

    lane: Lane
    cpus: Decimal
    memory: int
    """bytes"""
    time_limit: int
    """seconds; 0: none"""


def share_of(*, user: User, task: Task, request: Request) -> Share:
    """Lane and resources of what is asked. Raises Refused.

    A command for which no CPUs, memory and time are asked is quick, unless the person has too many of
    those waiting. One that asks for some is quick only by name, within what the lane gives.
    """
    if request.lane not in (None, *Lane.values):
        raise Refused("Choose “quick” or “queue”.", field="lane")
    if request.lane == Lane.QUICK and request.kind != RunKind.COMMAND:
        raise Refused("Only a command can be quick: a script goes through the queue.", field="lane")
    if request.lane == Lane.QUICK:
        return _quick(user, request)
    asks = (request.cpus, request.memory, request.time_limit) != (None, None, None)
    if request.kind != RunKind.COMMAND or request.lane == Lane.QUEUE or asks:
        return _in_queue(task, request)
    if not quick_lane().is_open or _waiting(user) >= WAITING_EACH:
        return _in_queue(task, request)
    return _of_lane(quick_lane(), request)


def _in_queue(task: Task, request: Request) -> Share:
    """As the Task usually does, but for what is asked."""
    return Share(
        Lane.QUEUE,
        checks.cpus(task.cpus if request.cpus is None else request.cpus),
        checks.memory(task.memory if request.memory is None else request.memory),
        checks.time_limit(task.time_limit if request.time_limit is None else request.time_limit),
    )


def _quick(user: User, request: Request) -> Share:
    lane = quick_lane()
    if not lane.is_open:
        raise Refused("There are no quick commands here: send it through the queue.", field="lane")
    share = _of_lane(lane, request)
    most = f"Quick commands get at most {amount(float(lane.cpus))}, {size(lane.memory)} and "
    most += f"{lane.time_limit} seconds: ask for less, or send it through the queue."
    if share.cpus > lane.cpus:
        raise Refused(most, field="cpus")
    if share.memory > lane.memory:
        raise Refused(most, field="memory")
    if not 0 < share.time_limit <= lane.time_limit:
        raise Refused(most, field="time_limit")
    if (waiting := _waiting(user)) >= WAITING_EACH:
        raise Refused(
            f"You have {waiting} quick commands waiting: send this one through the queue.",
            field="lane",
        )
    return share


def _of_lane(lane: QuickLane, request: Request) -> Share:
    return Share(
        Lane.QUICK,
        checks.cpus(lane.cpus if request.cpus is None else request.cpus),
        checks.memory(lane.memory if request.memory is None else request.memory),
        checks.time_limit(lane.time_limit if request.time_limit is None else request.time_limit),
    )


def _waiting(user: User) -> int:
    return Run.objects.waiting().filter(submitted_by=user, lane=Lane.QUICK).count()


def refuse_beyond_limits(run: Run) -> None:
    """What the person's own limits would never let start, or let wait. Quick commands are few and
    small anyway: no limit but "nothing at all" holds them back."""
    limits = UserLimits.of(run.submitted_by)
    if run.lane == Lane.QUICK:
        if limits.max_running == 0:
            raise Refused("Your limit is 0 Runs at a time: ask your administrator.")
        return
    if limits.max_cpus is not None and run.cpus > limits.max_cpus:
        most = amount(float(limits.max_cpus))
        raise Refused(f"Your limit is {most} at a time: ask for at most {most}.", field="cpus")
    if limits.max_memory is not None and run.memory > limits.max_memory:
        most = size(limits.max_memory)
        raise Refused(f"Your limit is {most} at a time: ask for at most {most}.", field="memory")
    if limits.max_queued is not None:
        queued = Run.objects.waiting().filter(submitted_by=run.submitted_by, lane=Lane.QUEUE)
        waiting = queued.count()
        if waiting >= limits.max_queued:
            raise Refused(
                f"You have {runs(waiting)} waiting, which is your limit. Submit this one when "
                "some have started, or cancel some."
            )
