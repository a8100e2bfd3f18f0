"""One pass: the line meets the machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from jobs import constraints
from jobs.queue import words
from jobs.queue.line import NOBODY, Line, Need, Person, Vector
from jobs.queue.machines import Machines, Room, Shelf
from jobs.states import Reason

NEAR = 20
"""Runs with fewer ahead are told exactly how many, and what is missing"""
LEVELS = (NEAR, 50, 100, 200, 500)
"""others are told that there are at least so many, which stays true for long"""


@dataclass(frozen=True)
class Wait:
    reason: Reason
    explanation: str
    ahead: int
    """Runs before it in line; for one that its person's limits hold back, of that person's"""


@dataclass(frozen=True)
class Plan:
    placements: Mapping[int, str]
    """key of a Run -> machine, in the order in which they are due"""
    waits: Mapping[int, Wait]
    """those with fewer than NEAR ahead"""
    behind: Mapping[int, int]
    """key of a Run with more ahead -> the highest of LEVELS not above that. Runs in none of the
    three have at least the last level ahead (in line, or waiting for their person's limits)."""
    kept: tuple[str, ...] = ()
    """the machines on which room is kept, the one for the first in line first"""


def behind(ahead: int) -> str:
    """The sentence of a Run with at least `ahead` (one of LEVELS) before it."""
    return f"In line; at least {ahead} Runs ahead."


def plan(
    needs: Iterable[Need],
    rooms: Sequence[Room],
    people: Mapping[int, Person] | None = None,
    *,
    at_most: int | None = None,
) -> Plan:
    """Place Runs on machines, at most `at_most` of them, and explain why the others wait.

    The first in line that fits nowhere now gets room kept on the machine where it fits soonest;
    others go past it only where that can't delay it. So does, on another machine, the first of each
    kind that needs certain attributes: nobody starves behind Runs that wait for other machines.
    """
    people = people or {}
    needs = list(needs)
    if not needs:
        return Plan({}, {}, {})
    names = _names(needs, rooms)
    total = tuple(sum(room.total.get(name, 0.0) for room in rooms) for name in names)
    line = Line(needs, people, names, total)
    machines = Machines(rooms, line)
    placements: dict[int, str] = {}
    waiting: list[tuple[Need, Vector]] = []
    room_left = len(needs) if at_most is None else at_most
    kept_for: dict[int, int] = {}
    everything = machines.everything
    for need, wants in line:
        if room_left:
            shelf = machines.suiting(need.on) if need.on else everything
            index = machines.best(wants, shelf)
            if index is not None:
                machines.take(index, wants, need.lasts)
                placements[need.key] = rooms[index].machine
                room_left -= 1
                continue
            if not shelf.settled and (index := machines.keep(wants, shelf)) is not None:
                kept_for[need.key] = index
        if len(waiting) < LEVELS[-1]:
            waiting.append((need, wants))
        elif machines.full or not room_left:
            break
    waits = {
        need.key: Wait(
            Reason.NO_ROOM,
            _sentence(need, wants, machines, line, ahead, kept_for.get(need.key)),
            ahead,
        )
        for ahead, (need, wants) in enumerate(waiting[:NEAR])
    }
    levels = {need.key: level(ahead) for ahead, (need, _) in enumerate(waiting) if ahead >= NEAR}
    for user, limited in line.limited.items():
        person = people.get(user, NOBODY)
        for ahead, need in enumerate(limited[:NEAR]):
            waits[need.key] = Wait(Reason.USER_LIMIT, _limited(need, person, ahead), ahead)
        levels |= {need.key: level(ahead) for ahead, need in enumerate(limited) if ahead >= NEAR}
    kept = tuple(rooms[index].machine for index in machines.kept)
    return Plan(placements, waits, levels, kept)


def level(ahead: int) -> int:
    """The highest of LEVELS not above `ahead`, which is at least NEAR."""
    return max(each for each in LEVELS if each <= ahead)


def _names(needs: Iterable[Need], rooms: Iterable[Room]) -> tuple[str, ...]:
    """Every resource that plays a part, at least one."""
    found = {"cpus": None}
    for room in rooms:
        found |= dict.fromkeys(room.total)
    for need in needs:
        if not found.keys() >= need.wants.keys():
            found |= dict.fromkeys(need.wants)
    return tuple(found)


def _sentence(
    need: Need, wants: Vector, machines: Machines, line: Line, ahead: int, own: int | None
) -> str:
    """Why a Run in line waits, in the user's words. `own`: where room is kept for it."""
    after = f"; {words.runs(ahead)} ahead." if ahead else "."
    asked = {name: count for name, count in line.amounts(wants).items() if count}
    needs = f"Needs {words.resources(asked)}"
    if need.on:
        needs += f" on a machine with {constraints.words(need.on)}"
    shelf = machines.suiting(need.on)
    nearest = machines.nearest(wants, shelf)
    if nearest is None:
        return f"{needs}; {_nowhere(need, wants, machines, shelf)}{after}"
    kept = machines.in_kept_room(wants, shelf, but=own)
    if kept is not None:
        where = machines.rooms[kept].machine
        return f"{needs}; the room on {where} is kept for a larger Run that is next{after}"
    free = machines.really_free(nearest)
    if all(each <= have for each, have in zip(wants, free, strict=True)):
        return f"{needs}; it starts in a moment{after}"
    there = words.resources({name: line.amounts(free)[name] for name in asked})
    if len(machines.rooms) == 1:
        return f"{needs}; {there} are free{after}"
    if len(shelf.members) == 1:
        return f"{needs}; {machines.rooms[nearest].machine} has {there} free{after}"
    return f"{needs}; the machine with most room for it has {there} free{after}"


def _nowhere(need: Need, wants: Vector, machines: Machines, shelf: Shelf) -> str:
    """Why no machine that takes new Runs could ever hold it."""
    closed = machines.closed(wants, need.on)
    if len(closed) == 1:
        return f"{closed[0].machine} takes no new Runs ({closed[0].closed})"
    if closed:
        first = f"{closed[0].machine}: {closed[0].closed}"
        return f"the {len(closed)} machines that could hold it take no new Runs ({first})"
    if not need.on:
        return "no machine is that large now"
    if any(constraints.matches(need.on, room.attributes) for room in machines.rooms):
        return "no such machine is that large now"
    return f"no machine has {constraints.words(need.on)} now"


def _limited(need: Need, person: Person, ahead: int) -> str:
    """Why a Run waits that its person's limits hold back."""
    after = f"; {words.runs(ahead)} of yours ahead." if ahead else "."
    if person.max_running is not None and person.running >= person.max_running:
        return f"You have {words.runs(person.running)} running, which is your limit{after}"
    for name, most in person.most.items():
        if need.wants.get(name, 0.0) > most:
            return (
                f"Needs {words.resources({name: need.wants[name]})}; your limit is "
                f"{words.resources({name: most})} at a time{after} Cancel it and ask for less."
            )
    limits = [] if person.max_running is None else [words.runs(person.max_running)]
    limits += [words.resources({name: most}) for name, most in person.most.items()]
    return (
        f"Your limit is {' and '.join(limits)} at a time, which your Runs that run or are ahead "
        f"take{after}"
    )
