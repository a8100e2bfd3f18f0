"""What holds for any line and any machines."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from hypothesis import assume, given
from hypothesis import strategies as st

from jobs.constraints import Constraints, matches
from jobs.queue import EPSILON, LEVELS, NEAR, Held, Need, Person, Room, plan
from jobs.queue.line import Line

MB = 1024**2
NAMES = ("cpus", "memory")

# Few different amounts, in the smallest steps there are: sums often come out exactly full.
cpus = st.integers(1, 15).map(lambda hundredths: hundredths / 100)
memory = st.integers(1, 15).map(lambda count: count * MB)
wants = st.fixed_dictionaries({"cpus": cpus, "memory": memory})
helds = st.lists(st.builds(Held, wants, st.floats(0, 1e5)), max_size=4)
totals = st.fixed_dictionaries(
    {"cpus": cpus.map(lambda n: 2 * n), "memory": memory.map(lambda n: 2 * n)}
)
attributes: st.SearchStrategy[Mapping[str, str]] = st.sampled_from(
    ({}, {"disk": "ssd"}, {"disk": "hdd", "zone": "a"}, {"disk": "ssd", "zone": "a"})
)
constraints: st.SearchStrategy[Constraints] = st.sampled_from(
    ((), (), (("disk", "ssd"),), (("zone", "a"),), (("disk", "ssd"), ("zone", "a")))
)
closed = st.sampled_from(("", "", "an administrator drains it"))
rooms = st.lists(st.tuples(totals, helds, attributes, closed), max_size=5).map(
    lambda found: [Room(f"m{at}", *each) for at, each in enumerate(found)]
)
needs = st.lists(
    st.tuples(wants, st.integers(0, 3), st.integers(0, 1), st.floats(1, 1e5), constraints),
    max_size=25,
).map(lambda found: [Need(key, *each) for key, each in enumerate(found)])
persons = st.builds(
    Person,
    running=st.integers(0, 3),
    holds=wants | st.just({}),
    lately=wants | st.just({}),
    share=st.sampled_from((0.5, 1.0, 3.0)),
    max_running=st.none() | st.integers(0, 6),
    most=st.just({}) | st.fixed_dictionaries({"cpus": cpus}),
)
people = st.dictionaries(st.integers(0, 3), persons)


def free(room: Room) -> dict[str, float]:
    return {name: room.total[name] - sum(held.wants[name] for held in room.held) for name in NAMES}


def fits(asked: Mapping[str, float], there: Mapping[str, float]) -> bool:
    return all(asked[name] <= there[name] + 2 * EPSILON for name in NAMES)


def suits(room: Room, need: Need) -> bool:
    return not room.closed and matches(need.on, room.attributes)


def takes(there: dict[str, float], asked: Mapping[str, float]) -> None:
    for name in NAMES:
        there[name] -= asked[name]


@given(needs, rooms, people, st.none() | st.integers(0, 5))
def test_never_gives_more_than_there_is_and_forgets_nobody(
    needs: list[Need], rooms: list[Room], people: dict[int, Person], at_most: int | None
) -> None:
    placed = plan(needs, rooms, people, at_most=at_most)
    parts = [set(placed.placements), set(placed.waits), set(placed.behind)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(needs)
    assert at_most is None or len(placed.placements) <= at_most
    for room in rooms:
        here = [each for each in needs if placed.placements.get(each.key) == room.machine]
        there = free(room)
        for each in here:
            assert suits(room, each)
            assert fits(each.wants, there)
            takes(there, each.wants)
        assert not (room.closed and room.machine in placed.kept)


@given(needs, rooms, people)
def test_nobody_uses_more_than_their_limits(
    needs: list[Need], rooms: list[Room], people: dict[int, Person]
) -> None:
    placed = plan(needs, rooms, people)
    for user, person in people.items():
        own = [each for each in needs if each.user == user and each.key in placed.placements]
        if person.max_running is not None and own:
            assert person.running + len(own) <= person.max_running
        if person.most and own:
            used = person.holds.get("cpus", 0) + sum(each.wants["cpus"] for each in own)
            assert used <= person.most["cpus"] + EPSILON


@given(needs, rooms)
def test_nothing_waits_that_fits_beside_what_is_kept(needs: list[Need], rooms: list[Room]) -> None:
    placed = plan(needs, rooms)
    for room in rooms:
        there = free(room)
        for each in needs:
            if placed.placements.get(each.key) == room.machine:
                takes(there, each.wants)
        if room.machine not in placed.kept:
            there = {name: count - 4 * EPSILON for name, count in there.items()}
            for each in needs:
                assert (
                    each.key in placed.placements
                    or not suits(room, each)
                    or not fits(each.wants, there)
                )


@given(st.lists(st.integers(1, 12), max_size=12), st.lists(st.integers(1, 20), min_size=1))
def test_each_goes_where_it_leaves_the_least(asked: list[int], sizes: list[int]) -> None:
    rooms = [Room(str(at), {"cpus": count}) for at, count in enumerate(sizes)]
    placed = plan([Need(key, {"cpus": count}) for key, count in enumerate(asked)], rooms)
    left = list(sizes)
    for key, count in enumerate(asked):
        fitting = [there for there in left if there >= count]
        if not fitting:
            break  # From here on room is kept for this one.
        chosen = int(placed.placements[key])
        assert left[chosen] == min(fitting)
        left[chosen] -= count


@given(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from("ab")), max_size=20),
    st.lists(
        st.tuples(
            st.integers(1, 12), st.lists(st.integers(1, 6), max_size=3), st.sampled_from("ab")
        ),
        max_size=6,
    ),
)
def test_runs_for_other_machines_change_nothing(
    asked: list[tuple[int, str]], there: list[tuple[int, list[int], str]]
) -> None:
    """Two halves of a cluster under one queue are served as two queues would serve them."""
    needs = [Need(key, {"cpus": n}, on=(("half", half),)) for key, (n, half) in enumerate(asked)]
    rooms = [
        Room(str(at), {"cpus": n}, [Held({"cpus": each}) for each in held], {"half": half})
        for at, (n, held, half) in enumerate(there)
    ]
    together = plan(needs, rooms)
    placements: dict[int, str] = {}
    kept: set[str] = set()
    for half in "ab":
        alone = plan(
            [each for each in needs if each.on == (("half", half),)],
            [room for room in rooms if room.attributes["half"] == half],
        )
        placements |= alone.placements
        kept |= set(alone.kept)
    assert together.placements == placements
    assert set(together.kept) == kept


@given(needs, rooms, people)
def test_every_sentence_is_about_machines_that_the_run_may_use(
    needs: list[Need], rooms: list[Room], people: dict[int, Person]
) -> None:
    for key, wait in plan(needs, rooms, people).waits.items():
        (need,) = (each for each in needs if each.key == key)
        could = [
            room
            for room in rooms
            if matches(need.on, room.attributes) and fits(need.wants, room.total)
        ]
        said = wait.explanation
        for room in rooms:
            if f"on {room.machine} is kept" in said or f"; {room.machine} has" in said:
                assert room in could
                assert not room.closed
            if f"; {room.machine} takes no new Runs" in said:
                assert could == [room]
                assert room.closed
        if "is that large now" in said or "no machine has" in said:
            assert not could


@given(needs, rooms, people, st.randoms(use_true_random=False))
def test_the_same_line_gets_the_same_plan_in_whatever_order_it_is_read(
    needs: list[Need], rooms: list[Room], people: dict[int, Person], luck: random.Random
) -> None:
    shuffled = [each._replace(wants=dict(each.wants)) for each in needs]
    luck.shuffle(shuffled)
    assert plan(shuffled, rooms, people) == plan(needs, rooms, people)


@given(needs, people)
def test_the_line_is_the_one_that_the_rules_say(
    needs: list[Need], people: dict[int, Person]
) -> None:
    """Against the rules written down plainly: look at everybody's next Run before each choice."""
    total = {"cpus": 1.0, "memory": 90.0 * MB}
    unlimited = {
        user: Person(holds=each.holds, lately=each.lately, share=each.share)
        for user, each in people.items()
    }
    used = {
        user: {
            name: unlimited.get(user, Person()).holds.get(name, 0.0)
            + unlimited.get(user, Person()).lately.get(name, 0.0)
            for name in NAMES
        }
        for user in range(4)
    }

    def due(each: Need) -> tuple[float, ...]:
        share = unlimited.get(each.user, Person()).share
        part = max(used[each.user][name] / total[name] for name in NAMES) / share
        return -each.priority, round(part, 9), each.key

    left, expected = list(needs), []
    while left:
        nexts = [
            min((e for e in left if e.user == user), key=lambda e: (-e.priority, e.key))
            for user in {each.user for each in left}
        ]
        first = min(nexts, key=due)
        assume(
            all(abs(due(e)[1] - due(first)[1]) > 1e-7 for e in nexts if e is not first)
            or len({used[e.user]["cpus"] for e in nexts}) == 1
        )
        left.remove(first)
        expected.append(first.key)
        for name in NAMES:
            used[first.user][name] += first.wants[name]
    line = Line(needs, unlimited, NAMES, tuple(total.values()))
    assert [need.key for need, _ in line] == expected


@given(st.integers(2, 5), st.integers(1, 60))
def test_equal_people_get_equal_parts(people: int, machine: int) -> None:
    ask = {"cpus": 1.0, "memory": 1.0 * MB}
    needs = [Need(key, ask, user=key * people // 300) for key in range(300)]
    placed = plan(needs, [Room("vm", {"cpus": machine, "memory": 1024 * MB})]).placements
    counts = [sum(needs[key].user == user for key in placed) for user in range(people)]
    assert sum(counts) == machine
    assert max(counts) - min(counts) <= 1


# Room kept for the first in line, over time.


@dataclass
class Job:
    """A Run with the time that it will take, which the queue can't know."""

    wants: Mapping[str, float]
    takes: float
    at_most: float
    on: Constraints = ()


jobs = st.builds(
    lambda asked, takes, spare, on: Job(asked, takes, takes + spare, on),
    wants,
    st.integers(1, 150).map(float),
    st.integers(0, 150).map(float),
    constraints,
)


@dataclass
class World:
    """Machines on which Runs start as planned and end in their time."""

    machines: Sequence[Room]
    """empty ones"""
    unlimited: bool = False
    now: float = 0.0
    active: list[tuple[float, float, int, Mapping[str, float]]] = field(default_factory=list)
    """end, end at the latest, machine, wants"""

    def start(self, job: Job, machine: int) -> None:
        at_most = 1e9 if self.unlimited else job.at_most
        self.active.append((self.now + job.takes, self.now + at_most, machine, job.wants))

    def rooms(self) -> list[Room]:
        return [
            replace(
                machine,
                held=[Held(w, latest - self.now) for _, latest, m, w in self.active if m == at],
            )
            for at, machine in enumerate(self.machines)
        ]

    def fill(self, running: Sequence[Job]) -> None:
        for job in running:
            for at, room in enumerate(self.rooms()):
                if fits(job.wants, free(room)):
                    self.start(job, at)
                    break

    def run_until_started(self, head: Job, others: list[Job], *, flood: bool = False) -> float:
        """When `head` starts, with `others` behind it; `flood`: they come again for ever."""
        waiting = dict(enumerate([head, *others]))
        more = itertools.cycle(others) if flood and others else None
        fresh = itertools.count(len(waiting))
        for _ in range(400):  # Ends come at whole seconds, the last of them after 300.
            needs = [
                Need(key, job.wants, lasts=1e9 if self.unlimited else job.at_most, on=job.on)
                for key, job in waiting.items()
            ]
            for key, machine in plan(needs, self.rooms()).placements.items():
                self.start(waiting.pop(key), int(machine))
            if 0 not in waiting:
                return self.now
            while more and len(waiting) < 6:
                waiting[next(fresh)] = next(more)
            self.now = min(end for end, *_ in self.active)
            self.active = [each for each in self.active if each[0] > self.now]
        raise AssertionError("it never started")


machine = st.builds(lambda total, has: Room("0", total, (), has), totals, attributes)
clusters = st.lists(st.tuples(totals, attributes, closed), min_size=2, max_size=4).map(
    lambda found: [
        Room(str(at), total, (), has, closed) for at, (total, has, closed) in enumerate(found)
    ]
)
running_jobs = st.lists(jobs, min_size=1, max_size=12)


def could_hold(room: Room, head: Job) -> bool:
    return suits(room, Need(0, head.wants, on=head.on)) and fits(head.wants, room.total)


def possible(head: Job, machines: Sequence[Room]) -> bool:
    return any(could_hold(room, head) for room in machines)


@given(machine, running_jobs, jobs, st.lists(jobs, max_size=8), st.booleans())
def test_on_one_machine_later_runs_never_delay_the_first_in_line(
    machine: Room, running: list[Job], head: Job, later: list[Job], flood: bool
) -> None:
    assume(possible(head, [machine]))
    alone, crowded = World([machine]), World([machine])
    alone.fill(running)
    crowded.fill(running)
    assert crowded.run_until_started(head, later, flood=flood) == alone.run_until_started(head, [])


@given(clusters, running_jobs, jobs, st.lists(jobs, max_size=6))
def test_a_flood_of_later_runs_never_delays_the_first_beyond_the_time_limits_ahead_of_it(
    machines: list[Room], running: list[Job], head: Job, later: list[Job]
) -> None:
    assume(possible(head, machines))
    world = World(machines)
    world.fill(running)
    promised = []
    for at, room in enumerate(machines):
        ends = [(latest, w) for _, latest, m, w in world.active if m == at]
        there, soonest = free(world.rooms()[at]), 0.0
        for latest, asked in sorted(ends, key=lambda each: each[0]):
            if fits(head.wants, there):
                break
            takes(there, {name: -count for name, count in asked.items()})
            soonest = latest
        if could_hold(room, head):
            promised.append(soonest)
    assert world.run_until_started(head, later, flood=True) <= min(promised)


@given(clusters, running_jobs, jobs, st.lists(jobs, max_size=6))
def test_without_time_limits_the_first_in_line_starts_once_those_before_it_have_ended(
    machines: list[Room], running: list[Job], head: Job, later: list[Job]
) -> None:
    assume(possible(head, machines))
    world = World(machines, unlimited=True)
    world.fill(running)
    last = max((end for end, *_ in world.active), default=0.0)
    assert world.run_until_started(head, later, flood=True) <= last


@given(st.integers(0, 1200))
def test_every_waiting_run_is_told_a_bound_that_is_true(count: int) -> None:
    ask = {"cpus": 1.0, "memory": 1.0 * MB}
    placed = plan(
        [Need(key, ask) for key in range(count)], [Room("vm", {"cpus": 1.0, "memory": 0})]
    )
    for key in range(count):
        if key < NEAR:
            assert placed.waits[key].ahead == key
        else:
            assert placed.behind.get(key, LEVELS[-1]) <= key
