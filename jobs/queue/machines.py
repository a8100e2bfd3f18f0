"""What is free on which machine, the best fit for a Run, and room kept for Runs that are next."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import lt

from jobs.constraints import Constraints, matches
from jobs.queue.line import EPSILON, Line, Resources, Vector

GRAINS = {"cpus": 0.01, "memory": 2.0**20}
"""the amounts that people ask in; 1 for any other resource"""
FAILURES = 32
"""remembered requests that found no room"""
KEPT_AT_ONCE = 8
"""machines that keep room at a time: waiting Runs that name their machines don't lay all of them idle"""


@dataclass(frozen=True)
class Held:
    """What one active Run holds of its machine."""

    wants: Resources
    lasts: float = float("inf")
    """seconds from now at most"""


@dataclass(frozen=True)
class Room:
    """One machine: what it has in all, and the active Runs on it."""

    machine: str
    total: Resources
    held: Sequence[Held] = field(default=())
    attributes: Mapping[str, str] = field(default_factory=dict)
    closed: str = ""
    """Why it takes no new Runs. It counts only where a Run is told what it waits for."""

    @property
    def has_some(self) -> bool:
        """Is there something left of each resource, so that a small Run may fit?"""
        return not self.closed and all(
            total - sum(held.wants.get(name, 0.0) for held in self.held) > EPSILON
            for name, total in self.total.items()
        )


class Shelf:
    """The open machines that suit some of the Runs, sorted by what is free. Room only shrinks."""

    __slots__ = ("failed", "members", "order", "settled", "sizes")

    def __init__(self, members: Sequence[int], sizes: set[Vector]) -> None:
        self.members = members
        self.sizes = sizes
        """their totals"""
        self.order: list[tuple[float, ...]] = []
        """(free of each resource, the scarcest first, index) of machines with any use, sorted"""
        self.failed: list[Vector] = []
        """requests that found no room: room only shrinks, so no larger one will"""
        self.settled = False
        """the first of its Runs that fits nowhere now has been dealt with: see Machines.keep()"""

    def fail(self, wants: Vector) -> None:
        if len(self.order) <= FAILURES:
            return  # Looking at the machines themselves is as quick.
        smaller = [failed for failed in self.failed if not _within(wants, failed)]
        self.failed = [wants, *smaller][:FAILURES]

    def remove(self, filed: tuple[float, ...]) -> None:
        position = bisect_left(self.order, filed)
        if position < len(self.order) and self.order[position] == filed:
            del self.order[position]


class Machines:
    """The machines of one pass."""

    def __init__(self, rooms: Sequence[Room], line: Line) -> None:
        self._line = line
        self.rooms = rooms
        self._totals = [tuple(each + EPSILON for each in line.vector(room.total)) for room in rooms]
        self._held: list[list[tuple[Vector, float]]] = [
            [(line.vector(held.wants), held.lasts) for held in room.held] for room in rooms
        ]
        self.free: list[list[float]] = []
        """what may still be given away (and the tolerance); below zero where a machine has shrunk"""
        for total, held in zip(self._totals, self._held, strict=True):
            free = list(total)
            for wants, _ in held:
                for at, each in enumerate(wants):
                    free[at] -= each
            self.free.append(free)
        self.kept: dict[int, Vector] = {}
        """machines with room kept for a Run that is next, and how much of their free room"""
        asked = list(zip(*line.vectors(), strict=True))
        self._smallest = tuple(map(min, asked))
        """no Run asks for less of anything"""
        self._open = sum(1 << at for at, room in enumerate(rooms) if not room.closed)
        """as bits, like every set of machines here: two sets meet at once, however large"""
        self._tightest = self._scarcest(asked)
        self._having: dict[tuple[str, str], int] | None = None
        """the open machines with an attribute; made when the first Run asks for one"""
        self._suiting: dict[Constraints, Shelf] = {}
        self._shelves: dict[int, Shelf] = {}
        self._shelves_of: list[list[Shelf]] = [[] for _ in rooms]
        self.everything = self._shelf(self._open)
        """the shelf of Runs without constraints"""

    @property
    def full(self) -> bool:
        """Nothing that waits can fit any more."""
        return not self.everything.order

    def suiting(self, on: Constraints) -> Shelf:
        """The open machines with these attributes. Equal sets of machines share one shelf."""
        if not on:
            return self.everything
        found = self._suiting.get(on)
        if found is None:
            if self._having is None:
                self._having = self._index_attributes()
            machines = self._open
            for each in on:
                machines &= self._having.get(each, 0)
            found = self._suiting[on] = self._shelves.get(machines) or self._shelf(machines)
        return found

    def best(self, wants: Vector, shelf: Shelf) -> int | None:
        """The machine on which the least is left over, so that large gaps stay large."""
        order, every = shelf.order, self.free
        if not order:
            return None
        for failed in shelf.failed:
            if not any(map(lt, wants, failed)):
                return None
        for position in range(bisect_left(order, (wants[self._tightest],)), len(order)):
            index = int(order[position][-1])
            if not any(map(lt, every[index], wants)):
                return index
        shelf.fail(wants)
        return None

    def take(self, index: int, wants: Vector, lasts: float) -> None:
        self._unfile(index)
        free = self.free[index]
        for at, each in enumerate(wants):
            free[at] -= each
        self._held[index].append((wants, lasts))
        self._file(index)

    def keep(self, wants: Vector, shelf: Shelf) -> int | None:
        """Keep room where `wants` fits soonest; from then on that machine gives away only what can't
        delay the Run, whoever ends first.

        Once per shelf: for the first of its Runs that fits nowhere now and that one of its machines
        could hold. None: this is not the one, or the machines for it are kept for Runs before it.
        """
        if shelf.settled or len(self.kept) >= KEPT_AT_ONCE:
            return None
        if not any(_within(wants, size) for size in shelf.sizes):
            return None
        shelf.settled = True
        large = [at for at in self._large(wants, shelf) if at not in self.kept]
        if not large:
            return None
        index = min((self._fits_in(at, wants), at) for at in large)[1]
        self._unfile(index)
        held = [each for each, _ in self._held[index]]
        free = self.free[index]
        kept = []
        for at, total in enumerate(self._totals[index]):
            beside = _beside(total - wants[at], [each[at] for each in held], self._grain(at))
            before = free[at]
            free[at] = min(before, beside)
            kept.append(before - free[at])
        self.kept[index] = tuple(kept)
        self._file(index)
        return index

    def really_free(self, index: int) -> Vector:
        """With what is kept for the Run that is next."""
        free = self.free[index]
        kept = self.kept.get(index)
        return (
            tuple(free) if kept is None else tuple(a + b for a, b in zip(free, kept, strict=True))
        )

    def nearest(self, wants: Vector, shelf: Shelf) -> int | None:
        """Of the machines that are large enough, the one on which least is missing."""
        scale = self._line.scale

        def missing(index: int) -> float:
            free = self.really_free(index)
            return max((a - b) * c for a, b, c in zip(wants, free, scale, strict=True))

        return min(self._large(wants, shelf), key=missing, default=None)

    def in_kept_room(self, wants: Vector, shelf: Shelf, *, but: int | None) -> int | None:
        """A machine, `but` this one, where it would fit, were its room not kept for another Run."""
        for index in self.kept:
            if index == but or index not in shelf.members:
                continue
            if _within(wants, self.really_free(index)):
                return index
        return None

    def closed(self, wants: Vector, on: Constraints) -> list[Room]:
        """Those that could hold it but take no new Runs."""
        return [
            room
            for room, total in zip(self.rooms, self._totals, strict=True)
            if room.closed and matches(on, room.attributes) and _within(wants, total)
        ]

    def _large(self, wants: Vector, shelf: Shelf) -> list[int]:
        return [at for at in shelf.members if _within(wants, self._totals[at])]

    def _fits_in(self, index: int, wants: Vector) -> float:
        """Seconds until enough has ended there, if every Run takes the time that it may."""
        free = list(self.free[index])
        at_most = 0.0
        for ended, lasts in sorted(self._held[index], key=_lasts):
            if _within(wants, free):
                break
            for at, each in enumerate(ended):
                free[at] += each
            at_most = lasts
        return at_most

    def _grain(self, at: int) -> float:
        return GRAINS.get(self._line.names[at], 1.0)

    def _scarcest(self, asked: Sequence[Sequence[float]]) -> int:
        """The resource of which a Run takes the largest part of what is free, on average."""
        there = [free for at, free in enumerate(self.free) if self._open >> at & 1]
        free = [sum(column) for column in zip(*there, strict=True)]
        parts = [sum(ask) / max(have, EPSILON) for ask, have in zip(asked, free, strict=False)]
        return parts.index(max(parts)) if parts else 0

    def _index_attributes(self) -> dict[tuple[str, str], int]:
        having: dict[tuple[str, str], int] = {}
        for at, room in enumerate(self.rooms):
            if not room.closed:
                for each in room.attributes.items():
                    having[each] = having.get(each, 0) | 1 << at
        return having

    def _shelf(self, machines: int) -> Shelf:
        members = list(_each(machines))
        shelf = self._shelves[machines] = Shelf(members, {self._totals[at] for at in members})
        for at in members:
            self._shelves_of[at].append(shelf)
            if _within(self._smallest, self.free[at]):
                shelf.order.append(self._filed(at))
        shelf.order.sort()
        return shelf

    def _filed(self, index: int) -> tuple[float, ...]:
        free = self.free[index]
        return (*free[self._tightest :], *free[: self._tightest], index)

    def _file(self, index: int) -> None:
        if _within(self._smallest, self.free[index]):
            filed = self._filed(index)
            for shelf in self._shelves_of[index]:
                insort(shelf.order, filed)

    def _unfile(self, index: int) -> None:
        filed = self._filed(index)
        for shelf in self._shelves_of[index]:
            shelf.remove(filed)


def _each(machines: int) -> Iterator[int]:
    """The indices of the bits that are set, the lowest first."""
    while machines:
        lowest = machines & -machines
        yield lowest.bit_length() - 1
        machines ^= lowest


def _lasts(held: tuple[Vector, float]) -> float:
    return held[1]


def _within(wants: Iterable[float], free: Iterable[float]) -> bool:
    return all(each <= have for each, have in zip(wants, free, strict=True))


def _beside(room: float, held: Sequence[float], grain: float) -> float:
    """How much of one resource may be given away without ever delaying a Run that needs the rest.

    `room` is what others may hold while that Run runs. The Run can start as soon as what is still
    held is within `room`. So the most that any of the held amounts can add up to within `room` must
    go on fitting beside what is given away: then the gift is never what the Run waits for, in
    whatever order the others end. Counted in grains; odd amounts are rounded to the safe side.
    """
    grains = int(room / grain + EPSILON)
    sums, odd = 1, 0
    for each in held:
        whole = int(each / grain + EPSILON)
        odd += abs(each / grain - whole) > EPSILON * 10
        sums |= sums << whole
    sums &= (1 << (grains + 1)) - 1
    return max(0.0, room - (sums.bit_length() - 1 + odd) * grain)
