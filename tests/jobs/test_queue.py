"""Placing waiting Runs on machines."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobs.queue import EPSILON, Need, Room, plan, size
from jobs.states import Reason

GB = 1024**3


def room(
    cpus: float = 4, memory: int = 8 * GB, free_cpus: float | None = None, machine: str = "m1"
) -> Room:
    return Room(machine, cpus, memory, cpus if free_cpus is None else free_cpus, memory)


def test_takes_the_queue_in_order_until_the_machine_is_full() -> None:
    placed = plan([Need(1, 2, GB), Need(2, 2, GB), Need(3, 1, GB)], [room()])
    assert placed.placements == {1: "m1", 2: "m1"}
    assert set(placed.waits) == {3}


def test_a_small_run_does_not_slip_past_a_big_one_for_ever() -> None:
    placed = plan([Need(1, 4, GB), Need(2, 1, GB)], [room(free_cpus=2)])
    assert placed.placements == {}
    assert placed.waits[1].explanation == "Needs 4 CPUs and 1 GB; 2 CPUs and 8 GB are free."
    assert placed.waits[2].explanation == "Needs 1 CPU and 1 GB; 1 Run ahead."


def test_says_so_when_no_machine_could_ever_hold_it() -> None:
    wait = plan([Need(1, 2, 64 * GB)], [room()]).waits[1]
    assert wait.reason is Reason.NO_ROOM
    assert wait.explanation == "Needs 2 CPUs and 64 GB; no machine is that large now."


def test_without_any_machine_everything_waits() -> None:
    assert set(plan([Need(1, 1, GB)], []).waits) == {1}


def test_leaves_the_largest_gap_whole() -> None:
    assert plan(
        [Need(1, 2, GB)], [room(8, machine="big"), room(2, machine="small")]
    ).placements == {1: "small"}


needs = st.lists(
    st.tuples(st.floats(0.05, 16, allow_nan=False), st.integers(1, 32 * GB)), max_size=30
).map(lambda found: [Need(key, cpus, memory) for key, (cpus, memory) in enumerate(found)])
rooms = st.lists(
    st.tuples(st.floats(0, 16, allow_nan=False), st.integers(0, 32 * GB)), max_size=6
).map(
    lambda found: [
        Room(f"m{at}", cpus, memory, cpus, memory) for at, (cpus, memory) in enumerate(found)
    ]
)


@given(needs, rooms)
def test_never_gives_more_than_there_is_and_forgets_nobody(
    needs: list[Need], rooms: list[Room]
) -> None:
    placed = plan(needs, rooms)
    assert set(placed.placements) | set(placed.waits) == {need.key for need in needs}
    assert not set(placed.placements) & set(placed.waits)
    for each in rooms:
        here = [need for need in needs if placed.placements.get(need.key) == each.machine]
        assert sum(need.cpus for need in here) <= each.free_cpus + EPSILON * (len(here) + 1)
        assert sum(need.memory for need in here) <= each.free_memory
    # First come, first served: whoever is placed has nobody waiting ahead.
    first_waiting = min(placed.waits, default=len(needs))
    assert all(key < first_waiting for key in placed.placements)


def test_sizes_read_as_people_write_them() -> None:
    assert [size(n) for n in (512 * 1024**2, GB, 3 * GB // 2)] == ["512 MB", "1 GB", "1.5 GB"]
