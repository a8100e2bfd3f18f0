"""The pure part of the lane of quick commands: caps, fairness, and no place left empty for nothing."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import constraints, queue
from jobs.states import Reason

NEEDS = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["", "disk:ssd"])), min_size=1, max_size=30
)
ROOMS = st.lists(
    st.tuples(
        st.integers(0, 3), st.booleans(), st.booleans(), st.integers(0, 8), st.integers(0, 4)
    ),
    max_size=5,
)


@settings(deadline=None)  # The first example pays for a cold start, on a busy machine for longer.
@given(NEEDS, ROOMS, st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_caps_are_kept_and_no_place_stays_empty_for_nothing(
    asked: list[tuple[int, str]],
    there: list[tuple[int, bool, bool, int, int]],
    on_a_machine: int,
    for_a_person: int,
    beside: bool,
) -> None:
    wants = {"cpus": 0.1, "memory": 1.0}
    needs = [
        queue.Need(key, wants, user, on=constraints.parse(on))
        for key, (user, on) in enumerate(asked)
    ]
    rooms = [
        queue.Room(
            f"m{at}",
            {"cpus": 1.0, "memory": 100.0},
            [queue.Held({"cpus": 1.0, "memory": 100.0 - free + own})],
            {"disk": "ssd"} if ssd else {},
            "drained" if closed else "",
        )
        for at, (_, ssd, closed, free, own) in enumerate(there)
    ]
    memory = {
        f"m{at}": queue.Memory(free, min(free, own))
        for at, (_, _, _, free, own) in enumerate(there)
    }
    taken = {f"m{at}": min(count, on_a_machine) for at, (count, _, _, _, _) in enumerate(there)}
    places = queue.Places(on_a_machine, for_a_person, taken, {0: 1}, None if beside else memory)
    plan = queue.plan_quick(needs, rooms, places)
    assert plan.placements.keys() | plan.waits.keys() == set(range(len(needs)))
    assert not plan.placements.keys() & plan.waits.keys()
    by_machine = Counter(taken) + Counter(plan.placements.values())
    assert all(count <= on_a_machine for count in by_machine.values())
    holds = Counter({0: 1})
    for key in plan.placements:
        holds[needs[key].user] += 1
    assert all(holds[user] <= max(for_a_person, 1) for user in holds)
    new = Counter(plan.placements.values())
    for before, room in zip(rooms, plan.rooms, strict=True):
        given = sum(held.wants["memory"] for held in room.held[len(before.held) :])
        there_for_them = memory[room.machine]
        if not beside:
            assert new[room.machine] <= there_for_them.free
        # What is their own they take first, and of CPUs nothing.
        assert given == (0 if beside else max(0.0, new[room.machine] - there_for_them.own))
    for key, wait in plan.waits.items():
        assert wait.explanation.endswith(".")
        if wait.reason == Reason.USER_LIMIT:
            assert holds[needs[key].user] >= for_a_person
            continue
        for room in plan.rooms:
            has_room = beside or memory[room.machine].free - new[room.machine] >= 1
            assert (
                room.closed
                or by_machine[room.machine] >= on_a_machine
                or not constraints.matches(needs[key].on, room.attributes)
                or not has_room
            )
    # One person's own go in order, where they ask for the same.
    for key in plan.placements:
        for other in plan.waits:
            same = (needs[other].user, needs[other].on) == (needs[key].user, needs[key].on)
            assert not same or other > key


def test_whoever_has_fewest_goes_first_and_then_they_take_turns() -> None:
    wants = {"cpus": 0.1, "memory": 1.0}
    needs = [queue.Need(key, wants, user) for key, user in enumerate((1, 1, 1, 2, 2, 2))]
    room = queue.Room("vm", {"cpus": 1, "memory": 10})
    nobody_has_any = queue.Places(4, 3, {}, {})
    assert list(queue.plan_quick(needs, [room], nobody_has_any).placements) == [0, 3, 1, 4]
    one_has_two = queue.Places(3, 3, {}, {1: 2})
    assert list(queue.plan_quick(needs, [room], one_has_two).placements) == [3, 4, 0]
