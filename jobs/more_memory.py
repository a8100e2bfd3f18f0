"""What a Run that ran out of memory can be given when it runs again: twice as much, within caps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs import constraints
from jobs.models import Machine, Run, Site, UserLimits
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
    limit = UserLimits.of(user).max_cpus
    if limit is not None and run.cpus > limit:
        asks, most = amount(float(run.cpus)), amount(float(limit))
        return MoreMemory(None, f"It asks for {asks}, and your limit is {most} at a time.")
    twice = 2 * run.memory
    largest = _largest(run)
    if largest is None or twice <= largest:
        return MoreMemory(twice, "")
    if not largest:
        return MoreMemory(None, "No machine here suits it any more.")
    if largest <= run.memory:
        told = f"There is no larger machine for it: the largest has {size(largest)}."
        return MoreMemory(None, told)
    told = f"Twice as much is {size(twice)}; the largest machine for it has {size(largest)}."
    return MoreMemory(largest, told)


def _largest(run: Run) -> int | None:
    """Bytes of the largest machine that could hold the Run otherwise; 0 if none could, None if no
    machine is known yet. One that is away or drained counts only where no other would do."""
    machines = list(Machine.objects.filter(backend=Site.load().backend))
    if not machines:
        return None
    wanted = constraints.stored(run.constraints)
    suited = [
        each
        for each in machines
        if run.cpus <= each.cpus and constraints.matches(wanted, each.attributes)
    ]
    usable = [each for each in suited if each.present and each.drained_at is None]
    return max((each.memory for each in usable or suited), default=0)
