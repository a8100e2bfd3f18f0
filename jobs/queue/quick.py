"""The lane of quick commands: outside of the line, first at any room, few at a time and per person."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heapreplace

from jobs import constraints
from jobs.constraints import Constraints
from jobs.queue import words
from jobs.queue.line import EPSILON, Need
from jobs.queue.machines import Held, Room
from jobs.queue.planning import Wait
from jobs.states import Reason

MEMORY = "memory"
"""the resource that they hold"""


@dataclass(frozen=True)
class Memory:
    """Bytes of one machine that quick commands may take now."""

    free: float
    own: float
    """the part of `free` that nobody else may take"""


@dataclass(frozen=True)
class Places:
    """How many quick commands there may be at a time, and how many there are."""

    on_a_machine: int
    for_a_person: int
    taken: Mapping[str, int]
    """machine -> quick commands on it"""
    held: Mapping[int, int]
    """person -> their quick commands that start or run"""
    memory: Mapping[str, Memory] | None = None
    """machine -> what there is for them; None: theirs lies beside all that machines offer. Of CPUs they
    take nothing: those are lent."""


@dataclass(frozen=True)
class QuickPlan:
    placements: Mapping[int, str]
    """key of a Run -> machine, in the order in which they are due"""
    waits: Mapping[int, Wait]
    """all others"""
    rooms: Sequence[Room]
    """with what the placed ones hold there of others' room"""


def plan_quick(needs: Iterable[Need], rooms: Sequence[Room], places: Places) -> QuickPlan:
    """Place quick commands: next is whose person has fewest at a time, then the oldest.

    Each goes to the machine with the fewest of them. One that fits nowhere delays nobody.
    """
    own: dict[int, list[Need]] = defaultdict(list)
    for need in sorted(needs, key=lambda each: -each.key):
        own[need.user].append(need)
    machines = _Machines(rooms, places)
    held = {user: places.held.get(user, 0) for user in own}
    heap = [(held[user], waiting[-1].key, user) for user, waiting in own.items()]
    heapify(heap)
    placements: dict[int, str] = {}
    waits: dict[int, Wait] = {}
    ahead = 0
    while heap:
        _, _, user = heap[0]
        if held[user] >= places.for_a_person:
            for before, need in enumerate(reversed(own[user])):
                waits[need.key] = Wait(Reason.USER_LIMIT, _limited(places, before), before)
            heappop(heap)
            continue
        need = own[user].pop()
        index = machines.best(need)
        if index is None:
            told = machines.why(need)
            after = f"; {words.runs(ahead)} ahead." if ahead else "."
            waits[need.key] = Wait(Reason.NO_ROOM, told + after, ahead)
            ahead += 1
        else:
            machines.take(index, need)
            placements[need.key] = rooms[index].machine
            held[user] += 1
        if own[user]:
            heapreplace(heap, (held[user], own[user][-1].key, user))
        else:
            heappop(heap)
    return QuickPlan(placements, waits, machines.rooms())


class _Machines:
    def __init__(self, rooms: Sequence[Room], places: Places) -> None:
        self._rooms = rooms
        self._places = places
        self._taken = [places.taken.get(room.machine, 0) for room in rooms]
        self._given: dict[int, list[Held]] = defaultdict(list)
        memory = places.memory
        self._memory = (
            None if memory is None else [memory.get(room.machine, Memory(0, 0)) for room in rooms]
        )
        self._full: set[tuple[Constraints, float]] = set()
        """what found no room before: there only gets less"""

    def best(self, need: Need) -> int | None:
        asked = (need.on, need.wants[MEMORY])
        if asked in self._full:
            return None
        fitting = [at for at in range(len(self._rooms)) if self._takes(at, need)]
        if not fitting:
            self._full.add(asked)
            return None
        return min(fitting, key=lambda at: (self._taken[at], at))

    def take(self, at: int, need: Need) -> None:
        self._taken[at] += 1
        if self._memory is not None:
            before, wanted = self._memory[at], need.wants[MEMORY]
            own = max(0.0, before.own - wanted)
            self._memory[at] = Memory(before.free - wanted, own)
            if (of_others := wanted - (before.own - own)) > 0:
                self._given[at].append(Held({MEMORY: of_others}, need.lasts))

    def rooms(self) -> list[Room]:
        return [
            replace(room, held=[*room.held, *self._given[at]]) if at in self._given else room
            for at, room in enumerate(self._rooms)
        ]

    def why(self, need: Need) -> str:
        """Why it fits nowhere now, without the full stop."""
        suiting = [
            at
            for at, room in enumerate(self._rooms)
            if constraints.matches(need.on, room.attributes)
        ]
        there = [at for at in suiting if not self._rooms[at].closed]
        if not suiting and need.on:
            return f"No machine has {constraints.words(need.on)} now"
        if not there:
            closed = [self._rooms[at] for at in suiting]
            if len(closed) == 1:
                return f"{closed[0].machine} takes no new Runs ({closed[0].closed})"
            return "No machine takes new Runs now"
        most = self._places.on_a_machine
        if all(self._taken[at] >= most for at in there):
            if len(there) > 1:
                return f"All {most * len(there)} places for quick commands are taken"
            return (
                f"All {most} places for quick commands are taken"
                if most > 1
                else ("Another quick command runs, and there is one place for them")
            )
        wanted = words.resources({MEMORY: need.wants[MEMORY]})
        return f"No machine has {wanted} free; it is first at what ends next"

    def _takes(self, at: int, need: Need) -> bool:
        room = self._rooms[at]
        if room.closed or self._taken[at] >= self._places.on_a_machine:
            return False
        if not constraints.matches(need.on, room.attributes):
            return False
        return self._memory is None or need.wants[MEMORY] <= self._memory[at].free + EPSILON


def _limited(places: Places, before: int) -> str:
    after = f"; {words.runs(before)} of yours ahead." if before else "."
    commands = "command" if places.for_a_person == 1 else "commands"
    return (
        f"You have {places.for_a_person} quick {commands} running, which is all that one person may "
        f"have at a time{after}"
    )
