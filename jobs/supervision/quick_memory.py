"""A machine's memory between quick commands and the line, where the backend counts every byte."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from jobs import queue
from jobs.backends.base import Offer
from jobs.supervision.line import FOREVER


@dataclass
class Commands:
    """What the quick commands on one machine hold of its memory; bytes."""

    held: int = 0
    starting: int = 0
    """of those whose room the backend counts as free yet"""

    def add(self, memory: int, *, starting: bool) -> None:
        self.held += memory
        self.starting += memory * starting


def divide(
    offer: Offer,
    commands: Commands,
    ours: Collection[queue.Held],
    still_free: Collection[queue.Held],
) -> tuple[Offer, queue.Memory, list[queue.Held]]:
    """What the line may have of a machine, what there is for commands, and what those that are there
    hold of the line's part (there was less set aside when they started, or is now).

    `ours`: Runs of the line there; `still_free`: those of them whose room counts as free yet.
    """
    own = max(0, offer.set_aside - commands.held)
    beyond = max(0, commands.held - offer.set_aside)
    theirs = [queue.Held({"cpus": 0.0, "memory": beyond}, FOREVER)] if beyond else []
    if offer.free_memory is None:
        free = offer.memory + offer.set_aside - commands.held - _memory(ours)
        return offer, queue.Memory(free, own), theirs
    free = offer.free_memory - commands.starting
    left = replace(offer, free_memory=max(0, free - own))
    return left, queue.Memory(free - _memory(still_free), own), theirs


def _memory(held: Collection[queue.Held]) -> int:
    return int(sum(each.wants["memory"] for each in held))
