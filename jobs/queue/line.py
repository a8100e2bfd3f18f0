"""The line: waiting Runs in the order in which they are due."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

from jobs.constraints import Constraints

Resources = Mapping[str, float]
"""name -> amount: "cpus" in CPUs, "memory" in bytes; others may join"""
Vector = tuple[float, ...]
"""the same as numbers in a fixed order"""


class Need(NamedTuple):
    """One waiting Run, as far as placing it goes."""

    key: int
    """grows with time: the older Run has the smaller key"""
    wants: Resources
    user: int = 0
    priority: int = 0
    """higher goes first"""
    lasts: float = float("inf")
    """seconds at most, its time limit"""
    on: Constraints = ()
    """attributes that its machine must have"""


@dataclass(frozen=True)
class Person:
    """How somebody stands before the pass, and what they may have at a time."""

    running: int = 0
    holds: Resources = field(default_factory=dict)
    """of their active Runs"""
    lately: Resources = field(default_factory=dict)
    """of their ended Runs, fading"""
    share: float = 1.0
    """2: may use twice as much as others before they go first"""
    max_running: int | None = None
    most: Resources = field(default_factory=dict)
    """resources that their active Runs may hold together"""


NOBODY = Person()


EPSILON = 1e-6
"""Sums of fractions of CPUs are compared with this tolerance."""


class Line:
    """Iterating gives (Need, what it wants) in order. Whoever has been given counts as served at once.

    Highest priority first; then the person who holds (or lately held, or is ahead in line with) the
    smallest part of the scarcest resource; then the oldest. One person's Runs keep their own order.
    Runs above their person's limits are not in line: `limited` has them, in order, per person.
    """

    def __init__(
        self,
        needs: Iterable[Need],
        people: Mapping[int, Person],
        names: tuple[str, ...],
        total: Vector,
    ) -> None:
        self.names = names
        self._scale = tuple(1 / each if each > 0 else 0.0 for each in total)
        self._people = people
        self._vectors: dict[int, Vector] = {}
        """by the identity of the mapping: equal requests usually share one"""
        self._waiting: dict[int, list[Need]] = {}
        self.limited: dict[int, list[Need]] = {}
        vectors, waiting = self._vectors, self._waiting
        for need in needs:
            wants, user = need.wants, need.user
            if user in waiting:
                waiting[user].append(need)
            else:
                waiting[user] = [need]
            if id(wants) not in vectors:
                vectors[id(wants)] = self.vector(wants)
        for own in self._waiting.values():
            own.sort(key=_own_order)

    def vectors(self) -> Collection[Vector]:
        """All that is asked for, nearly without repetitions."""
        return self._vectors.values()

    def __iter__(self) -> Iterator[tuple[Need, Vector]]:
        served = {user: _Served(self._people.get(user, NOBODY), self) for user in self._waiting}
        heap = []
        for user in self._waiting:
            head = self._next(user, served[user])
            if head is not None:
                heap.append((-head.priority, served[user].score, head.key, user, head))
        heapify(heap)
        vectors = self._vectors
        while heap:
            _, _, _, user, need = heap[0]
            standing = served[user]
            wants = vectors[id(need.wants)]
            yield need, wants
            standing.serve(wants)
            head = self._next(user, standing)
            if head is None:
                heappop(heap)
            else:
                heapreplace(heap, (-head.priority, standing.score, head.key, user, head))

    def _next(self, user: int, standing: _Served) -> Need | None:
        """Take the person's next Run that their limits allow; note those that they don't."""
        own = self._waiting[user]
        if not standing.has_limits:
            return own.pop() if own else None
        while own:
            need = own.pop()
            wants = self._vectors[id(need.wants)]
            if standing.allows(wants):
                return need
            limited = self.limited.setdefault(user, [])
            limited.append(need)
            if standing.could_allow(wants):
                # Those behind it wait for it, so that a person's small Runs don't starve the large.
                limited.extend(reversed(own))
                own.clear()
        return None

    def amounts(self, vector: Sequence[float]) -> dict[str, float]:
        return dict(zip(self.names, vector, strict=True))

    def vector(self, amounts: Resources, default: float = 0.0) -> Vector:
        if tuple(amounts) == self.names:
            return tuple(amounts.values())
        return tuple([amounts.get(name, default) for name in self.names])

    @property
    def scale(self) -> Vector:
        return self._scale


def _own_order(need: Need) -> tuple[int, int]:
    """The next one last, where a list gives it away cheaply."""
    return need.priority, -need.key


class _Served:
    """One person during a pass."""

    __slots__ = (
        "_held",
        "_max_running",
        "_most",
        "_parts",
        "_per_share",
        "_running",
        "_scale",
        "has_limits",
        "score",
    )

    def __init__(self, person: Person, line: Line) -> None:
        holds, lately = line.vector(person.holds), line.vector(person.lately)
        self._parts = [(a + b) * c for a, b, c in zip(holds, lately, line.scale, strict=True)]
        self._scale = line.scale
        self._per_share = 1 / max(person.share, 1e-3)
        self.score = max(self._parts) * self._per_share
        self.has_limits = person.max_running is not None or bool(person.most)
        self._running = person.running
        self._max_running = float("inf") if person.max_running is None else person.max_running
        self._held = list(holds)
        self._most = line.vector(person.most, float("inf"))

    def allows(self, wants: Vector) -> bool:
        return self._running < self._max_running and all(
            held + each <= most + EPSILON
            for held, each, most in zip(self._held, wants, self._most, strict=True)
        )

    def could_allow(self, wants: Vector) -> bool:
        """Once enough of the person's other Runs have ended."""
        return self._max_running > 0 and all(
            each <= most + EPSILON for each, most in zip(wants, self._most, strict=True)
        )

    def serve(self, wants: Vector) -> None:
        parts, scale = self._parts, self._scale
        for at, each in enumerate(wants):
            parts[at] += each * scale[at]
        self.score = max(parts) * self._per_share
        if self.has_limits:
            self._running += 1
            for at, each in enumerate(wants):
                self._held[at] += each
