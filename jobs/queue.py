"""Who is next, and what fits where. Pure: no database, no clock, no backend.

First come, first served within a priority. The first Run that finds no room holds back those
behind it that would take what it waits for, so that big Runs do not starve.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jobs.states import Reason


@dataclass(frozen=True)
class Need:
    """One waiting Run, as far as placing it goes."""

    key: int
    cpus: float
    memory: int
    """bytes"""


@dataclass(frozen=True)
class Room:
    """One machine: what it has in all, and what is free now."""

    machine: str
    cpus: float
    memory: int
    free_cpus: float
    free_memory: int

    def fits(self, need: Need) -> bool:
        return need.cpus <= self.free_cpus + EPSILON and need.memory <= self.free_memory

    def could_fit(self, need: Need) -> bool:
        return need.cpus <= self.cpus + EPSILON and need.memory <= self.memory


@dataclass(frozen=True)
class Wait:
    reason: Reason
    explanation: str


@dataclass(frozen=True)
class Plan:
    placements: Mapping[int, str]
    """key of a Run -> machine"""
    waits: Mapping[int, Wait]


EPSILON = 1e-6


def plan(needs: Iterable[Need], rooms: Iterable[Room]) -> Plan:
    """Place `needs`, given in queue order, on `rooms`; explain why the others wait."""
    free = {room.machine: room for room in rooms}
    placements: dict[int, str] = {}
    waits: dict[int, Wait] = {}
    ahead = 0
    for need in needs:
        machine = None if ahead else _best(need, free.values())
        if machine is None:
            waits[need.key] = Wait(Reason.NO_ROOM, _sentence(need, list(free.values()), ahead))
            ahead += 1
            continue
        room = free[machine]
        free[machine] = Room(
            machine,
            room.cpus,
            room.memory,
            room.free_cpus - need.cpus,
            room.free_memory - need.memory,
        )
        placements[need.key] = machine
    return Plan(placements, waits)


def _best(need: Need, rooms: Iterable[Room]) -> str | None:
    """The machine on which the least is left over, so that large gaps stay large."""
    fitting = [room for room in rooms if room.fits(need)]
    if not fitting:
        return None
    return min(
        fitting, key=lambda room: (room.free_cpus - need.cpus, room.free_memory - need.memory)
    ).machine


def _sentence(need: Need, rooms: list[Room], ahead: int) -> str:
    """Why this Run waits, in the user's words."""
    queue = f"; {ahead} {'Run' if ahead == 1 else 'Runs'} ahead" if ahead else ""
    wants = f"Needs {amount(need.cpus)} and {size(need.memory)}"
    possible = [room for room in rooms if room.could_fit(need)]
    if not possible:
        return f"{wants}; no machine is that large now{queue}."
    if any(room.fits(need) for room in possible):
        return f"{wants}{queue}."
    best = max(possible, key=lambda room: (room.free_cpus, room.free_memory))
    return f"{wants}; {amount(max(0.0, best.free_cpus))} and {size(max(0, best.free_memory))} are free{queue}."


def amount(cpus: float) -> str:
    """1 CPU, 2.5 CPUs"""
    text = f"{cpus:.2f}".rstrip("0").rstrip(".")
    return f"{text} CPU" if text == "1" else f"{text} CPUs"


def size(count: int) -> str:
    """512 MB, 1.5 GB: powers of 1024 under their usual names."""
    if count >= 1024**3:
        return f"{count / 1024**3:.1f}".removesuffix(".0") + " GB"
    if count >= 1024**2:
        return f"{count / 1024**2:.0f} MB"
    return f"{count / 1024:.0f} kB"
