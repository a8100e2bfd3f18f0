"""What a Run that ran out of memory can be given when it runs again: twice as much, within caps."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from jobs import constraints
from jobs.models import Lane, Machine, Run, Site, UserLimits
from jobs.queue import amount, size
from jobs.states import Reason

if TYPE_CHECKING:
    from accounts.models import User


@dataclass(frozen=True)
class MoreMemory:
    memory: int | None
    """bytes to run again with, always more than before; None: there is no more to give"""
    sentence: str
    """why it is not twice as much; "" where it is"""


def more_memory(*, user: User, run: Run) -> MoreMemory | None:
    """What `user` can offer `run` with one click. None: memory is not what it ended for."""
    if run.reason != Reason.OUT_OF_MEMORY or not run.is_final:
        return None
    quick = run.lane == Lane.QUICK
    # A quick command gets the Task's usual settings when it goes through the queue.
    cpus = run.task.cpus if quick else run.cpus
    limits = UserLimits.of(user)
    if limits.max_cpus is not None and cpus > limits.max_cpus:
        asks, most = amount(float(cpus)), amount(float(limits.max_cpus))
        return MoreMemory(None, f"It asks for {asks}, and your limit is {most} at a time.")
    wanted = max(2 * run.memory, run.task.memory) if quick else 2 * run.memory
    largest = _largest(run, cpus)
    if largest == 0:
        return MoreMemory(None, "No machine here suits it any more.")
    caps = [
        *([] if largest is None else [(largest, "the largest machine for it has")]),
        *([] if limits.max_memory is None else [(limits.max_memory, "your limit is")]),
    ]
    if not caps or wanted <= min(caps)[0]:
        return MoreMemory(wanted, "")
    cap, why = min(caps)
    if cap <= run.memory:
        told = f"There is no larger machine for it: the largest has {size(cap)}."
        if cap == limits.max_memory:
            told = f"Your limit is {size(cap)} at a time: there is no more to give."
        return MoreMemory(None, told)
    twice = wanted == 2 * run.memory
    more = "Twice as much is" if twice else "The Task's usual memory is"
    return MoreMemory(cap, f"{more} {size(wanted)}; {why} {size(cap)}.")


def _largest(run: Run, cpus: Decimal) -> int | None:
    """Bytes of the largest machine that could hold the Run otherwise; 0 if none could, None if no
    machine is known yet. One that is away or drained counts only where no other would do."""
    machines = list(Machine.objects.filter(backend=Site.load().backend))
    if not machines:
        return None
    wanted = constraints.stored(run.constraints)
    suited = [
        each
        for each in machines
        if cpus <= each.cpus and constraints.matches(wanted, each.attributes)
    ]
    usable = [each for each in suited if each.present and each.drained_at is None]
    return max((each.memory for each in usable or suited), default=0)
