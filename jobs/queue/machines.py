"""What is free on which machine, the best fit for a Run, and room kept for the Run that is next."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from jobs.queue.line import EPSILON, Line, Resources, Vector

GRAINS = {"cpus": 0.01, "memory": 2.0**20}
"""the amounts that people ask in; 1 for any other resource"""
FAILURES = 32
"""remembered requests that found no room"""


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


class Machines:
    """The machines of one pass. Room only shrinks."""

    def __init__(self, rooms: Sequence[Room], line: Line) -> None:
        self._line = line
        self.rooms = rooms
        self._totals = [tuple(each + EPSILON for each in line.vector(room.total)) for room in rooms]
        self._sizes = set(self._totals)
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
        self.kept: tuple[int, Vector] | None = None
        """the machine with room kept for the Run that is next, and how much of its free room"""
        asked = list(zip(*line.vectors(), strict=True))
        self._smallest = tuple(map(min, asked))
        """no Run asks for less of anything"""
        self._tightest = self._scarcest(asked)
        self._order: list[tuple[float, ...]] = []
        """(free of each resource, the scarcest first, index) of machines with any use, sorted"""
        self._failed: list[Vector] = []
        """requests that found no room: room only shrinks, so no larger one will"""
        for at in range(len(rooms)):
            self._file(at)

    @property
    def full(self) -> bool:
        """Nothing that waits can fit any more."""
        return not self._order

    def best(self, wants: Vector) -> int | None:
        """The machine on which the least is left over, so that large gaps stay large."""
        for failed in self._failed:
            for each, too_much in zip(wants, failed, strict=True):
                if each < too_much:
                    break
            else:
                return None
        order, every = self._order, self.free
        for position in range(bisect_left(order, (wants[self._tightest],)), len(order)):
            index = int(order[position][-1])
            for have, each in zip(every[index], wants, strict=True):
                if have < each:
                    break
            else:
                return index
        self._fail(wants)
        return None

    def take(self, index: int, wants: Vector, lasts: float) -> None:
        self._unfile(index)
        free = self.free[index]
        for at, each in enumerate(wants):
            free[at] -= each
        self._held[index].append((wants, lasts))
        self._file(index)

    def keep(self, wants: Vector) -> int | None:
        """Keep room where `wants` fits soonest; None if no machine is that large.

        From then on that machine gives away only what can't delay the Run, whoever ends first.
        """
        if not any(_within(wants, size) for size in self._sizes):
            return None
        index = min(
            (self._fits_in(index, wants), index)
            for index, total in enumerate(self._totals)
            if _within(wants, total)
        )[1]
        self._unfile(index)
        held = [each for each, _ in self._held[index]]
        free = self.free[index]
        for at, total in enumerate(self._totals[index]):
            beside = _beside(total - wants[at], [each[at] for each in held], self._grain(at))
            before = free[at]
            free[at] = min(before, beside)
            self._kept_back(index, at, before - free[at])
        self._file(index)
        return index

    def really_free(self, index: int) -> Vector:
        """With what is kept for the Run that is next."""
        free = self.free[index]
        if self.kept is None or self.kept[0] != index:
            return tuple(free)
        return tuple(a + b for a, b in zip(free, self.kept[1], strict=True))

    def nearest(self, wants: Vector) -> int | None:
        """Of the machines that are large enough, the one on which least is missing."""
        scale = self._line.scale

        def missing(index: int) -> float:
            free = self.really_free(index)
            return max((a - b) * c for a, b, c in zip(wants, free, scale, strict=True))

        large = [at for at, total in enumerate(self._totals) if _within(wants, total)]
        return min(large, key=missing, default=None)

    def fits_in_kept_room(self, wants: Vector) -> bool:
        return self.kept is not None and _within(wants, self.really_free(self.kept[0]))

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

    def _fail(self, wants: Vector) -> None:
        smaller = [failed for failed in self._failed if not _within(wants, failed)]
        self._failed = [wants, *smaller][:FAILURES]

    def _kept_back(self, index: int, at: int, count: float) -> None:
        so_far = self.kept[1] if self.kept else (0.0,) * len(self._totals[index])
        self.kept = index, (*so_far[:at], so_far[at] + count, *so_far[at + 1 :])

    def _grain(self, at: int) -> float:
        return GRAINS.get(self._line.names[at], 1.0)

    def _scarcest(self, asked: Sequence[Sequence[float]]) -> int:
        """The resource of which a Run takes the largest part of what is free, on average."""
        free = [sum(column) for column in zip(*self.free, strict=True)]
        parts = [sum(ask) / max(have, EPSILON) for ask, have in zip(asked, free, strict=False)]
        return parts.index(max(parts)) if parts else 0

    def _filed(self, index: int) -> tuple[float, ...]:
        free = self.free[index]
        return (*free[self._tightest :], *free[: self._tightest], index)

    def _file(self, index: int) -> None:
        if _within(self._smallest, self.free[index]):
            insort(self._order, self._filed(index))

    def _unfile(self, index: int) -> None:
        filed = self._filed(index)
        position = bisect_left(self._order, filed)
        if position < len(self._order) and self._order[position] == filed:
            del self._order[position]


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
