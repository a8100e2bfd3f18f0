"""The lane of quick commands: what one may take, and how many there may be at a time."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.conf import settings

from jobs.models import Lane, Run
from jobs.states import Reason

WAITING_EACH = 20
"""quick commands of one person that may wait; further ones go through the queue"""


@dataclass(frozen=True)
class QuickLane:
    """What one quick command gets, and the places for them."""

    cpus: Decimal
    memory: int
    """bytes"""
    time_limit: int
    """seconds, never 0"""
    at_once: int
    """on one machine; 0: the site has no such lane"""

    @property
    def is_open(self) -> bool:
        return self.at_once > 0

    @property
    def for_a_person(self) -> int:
        """At a time. All but one, so that nobody has all of them."""
        return max(1, self.at_once - 1)

    @property
    def memory_set_aside(self) -> int:
        """Bytes of each machine that are kept from the line, as far as it is large enough."""
        return self.at_once * self.memory

    def holds(self, *, cpus: Decimal, memory: int, time_limit: int) -> bool:
        return cpus <= self.cpus and memory <= self.memory and 0 < time_limit <= self.time_limit


def quick_lane() -> QuickLane:
    """As the settings say."""
    longest = settings.RCLUSTER_TIME_LIMIT
    time_limit = settings.RCLUSTER_QUICK_TIME_LIMIT
    return QuickLane(
        cpus=Decimal(str(settings.RCLUSTER_QUICK_CPUS)).quantize(Decimal("0.01")),
        memory=settings.RCLUSTER_QUICK_MEMORY,
        time_limit=min(time_limit, longest) if longest else time_limit,
        at_once=settings.RCLUSTER_QUICK_AT_ONCE,
    )


def ran_out_of_time(run: Run) -> bool:
    """A quick command that the lane's time limit ended: the queue gives it more."""
    return run.lane == Lane.QUICK and run.is_final and run.reason == Reason.TIME_LIMIT
