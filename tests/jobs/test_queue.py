"""Placing waiting Runs on machines: what people are promised, example by example."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from jobs import constraints, queue
from jobs.queue import LEVELS, NEAR, Held, Need, Person, Plan, Room, plan, size
from jobs.queue.machines import KEPT_AT_ONCE
from jobs.states import Reason

GB = 1024**3


def need(key: int, cpus: float, gigabytes: float = 1, on: str = "", **more: Any) -> Need:
    wants = {"cpus": cpus, "memory": gigabytes * GB}
    return Need(key, wants, on=constraints.parse(on), **more)


def room(
    cpus: float = 4,
    gigabytes: float = 8,
    *held: Held,
    machine: str = "vm",
    has: str = "",
    closed: str = "",
    **more: float,
) -> Room:
    total = {"cpus": cpus, "memory": gigabytes * GB, **more}
    return Room(machine, total, held, dict(constraints.parse(has)), closed)


def held(cpus: float, gigabytes: float = 1, lasts: float = 60) -> Held:
    return Held({"cpus": cpus, "memory": gigabytes * GB}, lasts)


def said(placed: Plan, key: int) -> str:
    return placed.waits[key].explanation


# Order.


def test_takes_the_line_in_order_until_the_machine_is_full() -> None:
    placed = plan([need(1, 2), need(2, 2), need(3, 1)], [room()])
    assert placed.placements == {1: "vm", 2: "vm"}
    assert set(placed.waits) == {3}


def test_a_higher_priority_goes_first_whoever_is_older() -> None:
    assert plan([need(1, 4), need(2, 4, priority=1)], [room()]).placements == {2: "vm"}


def test_one_persons_flood_does_not_keep_others_waiting() -> None:
    flood = [need(key, 1) for key in range(1000)]
    assert plan([*flood, need(1000, 1, user=7)], [room()]).placements.keys() == {0, 1, 2, 1000}


@pytest.mark.parametrize(
    "ada", [Person(holds={"cpus": 2, "memory": GB}), Person(lately={"memory": 4 * GB})]
)
def test_who_uses_or_used_less_goes_first(ada: Person) -> None:
    needs = [need(1, 4, user=1), need(2, 4, user=2)]
    assert plan(needs, [room()]).placements == {1: "vm"}
    assert plan(needs, [room()], {1: ada}).placements == {2: "vm"}


def test_a_larger_share_may_use_more() -> None:
    needs = [need(key, 1, user=key % 2) for key in range(100)]
    placed = plan(needs, [room(9, 100)], {1: Person(share=2)}).placements
    assert sum(key % 2 for key in placed) == 6


# Machines.


def test_leaves_the_largest_gap_whole() -> None:
    rooms = [room(8, machine="big"), room(2, machine="small")]
    assert plan([need(1, 2)], rooms).placements == {1: "small"}


def test_tenths_of_a_cpu_add_up() -> None:
    assert len(plan([need(key, 0.1) for key in range(10)], [room(1, 64)]).placements) == 10


def test_any_resource_counts() -> None:
    graphic = Need(1, {"cpus": 1, "memory": GB, "gpus": 1})
    placed = plan([graphic], [room(), room(8, gpus=1, machine="gpu")])
    assert placed.placements == {1: "gpu"}
    assert "1 gpus" in said(plan([graphic], [room()]), 1)


def test_a_pass_places_no_more_than_asked() -> None:
    placed = plan([need(1, 1), need(2, 1)], [room()], at_most=1)
    assert placed.placements == {1: "vm"}
    assert said(placed, 2) == "Needs 1 CPU and 1 GB; it starts in a moment."


# Room kept for the first in line.


def test_a_small_run_does_not_slip_past_a_big_one_for_ever() -> None:
    placed = plan([need(1, 4), need(2, 1)], [room(4, 8, held(1), held(1))])
    assert placed.placements == {}
    assert said(placed, 1) == "Needs 4 CPUs and 1 GB; 2 CPUs and 6 GB are free."
    assert said(placed, 2) == (
        "Needs 1 CPU and 1 GB; the room on vm is kept for a larger Run that is next; 1 Run ahead."
    )


def test_others_slip_in_where_they_cannot_delay_it() -> None:
    """Once the Run of 4 CPUs ends, 6 and 2 fit together; before that neither order helps."""
    one_big = room(8, 64, held(4))
    assert plan([need(1, 6), need(2, 2), need(3, 1)], [one_big]).placements == {2: "vm"}
    many_small = room(8, 64, held(1), held(1), held(1), held(1))
    assert plan([need(1, 6), need(2, 2)], [many_small]).placements == {}


def test_room_is_kept_where_it_comes_soonest_and_other_machines_go_on() -> None:
    rooms = [
        room(4, 8, held(3, lasts=900), machine="late"),
        room(4, 8, held(3, lasts=100), machine="soon"),
        room(2, 8, held(1), machine="small"),
    ]
    placed = plan([need(1, 4), need(2, 1), need(3, 1), need(4, 1)], rooms)
    assert placed.kept == ("soon",)
    assert set(placed.placements.values()) == {"late", "small"}


def test_soonest_counts_all_that_must_end_first_and_what_this_pass_placed() -> None:
    two = room(4, 8, held(2, lasts=900), held(2, lasts=10), machine="two")
    empty = room(4, 8, machine="empty")
    placed = plan([need(1, 3, lasts=100), need(2, 4, lasts=1)], [two, empty])
    assert placed.placements == {1: "empty"}
    assert placed.kept == ("empty",)
    assert plan([need(1, 3, lasts=1000), need(2, 4)], [two, empty]).kept == ("two",)


def test_far_behind_the_big_ones_small_runs_still_find_their_gap() -> None:
    rooms = [room(8, 64, held(4), machine="big"), room(1, 8, machine="small")]
    placed = plan([*(need(key, 8) for key in range(1000)), need(1000, 1)], rooms)
    assert placed.placements == {1000: "small"}


def test_what_fits_no_machine_holds_nobody_up() -> None:
    placed = plan([need(1, 2, 64), need(2, 1)], [room()])
    assert placed.placements == {2: "vm"}
    assert placed.waits[1].reason is Reason.NO_ROOM
    assert said(placed, 1) == "Needs 2 CPUs and 64 GB; no machine is that large now."


def test_without_any_machine_everything_waits() -> None:
    assert set(plan([need(1, 1)], []).waits) == {1}


# Runs for certain machines.


def test_goes_only_where_the_machine_has_all_that_is_asked_for() -> None:
    rooms = [
        room(machine="plain"),
        room(machine="a", has="disk:ssd, zone:a"),
        room(8, machine="b", has="disk:ssd, zone:b"),
    ]
    needs = [need(1, 1, on="disk:ssd, zone:b"), need(2, 1, on="disk:ssd"), need(3, 4)]
    assert plan(needs, rooms).placements == {1: "b", 2: "a", 3: "plain"}


def test_a_run_that_no_machine_suits_now_says_so_and_holds_nobody_up() -> None:
    placed = plan([need(1, 1, on="gpu:a100, zone:a"), need(2, 1)], [room(has="zone:a")])
    assert placed.placements == {2: "vm"}
    assert said(placed, 1) == (
        "Needs 1 CPU and 1 GB on a machine with gpu:a100 and zone:a; "
        "no machine has gpu:a100 and zone:a now."
    )


def test_a_run_too_large_for_the_machines_that_suit_it_says_so() -> None:
    rooms = [room(machine="small", has="disk:ssd"), room(64, 512, machine="large")]
    assert said(plan([need(1, 8, on="disk:ssd")], rooms), 1) == (
        "Needs 8 CPUs and 1 GB on a machine with disk:ssd; no such machine is that large now."
    )


def test_it_is_told_what_is_free_where_it_may_go() -> None:
    rooms = [
        room(4, 8, held(3), machine="ssd", has="disk:ssd"),
        room(64, 512, held(63), machine="plain"),
    ]
    placed = plan([need(1, 2, on="disk:ssd"), need(2, 2, on="disk:ssd")], rooms)
    assert said(placed, 1) == (
        "Needs 2 CPUs and 1 GB on a machine with disk:ssd; ssd has 1 CPU and 7 GB free."
    )


def test_it_is_not_told_of_room_kept_where_it_may_not_go() -> None:
    rooms = [
        room(4, 8, held(1), machine="plain"),
        room(4, 8, held(4), machine="ssd", has="disk:ssd"),
    ]
    placed = plan([need(1, 4), need(2, 1, on="disk:ssd")], rooms)
    assert placed.kept == ("plain", "ssd")
    assert "; ssd has 0 CPUs and 7 GB free" in said(placed, 2)


def test_what_found_no_room_on_certain_machines_may_find_it_on_others() -> None:
    """And the other way round: what is remembered of one kind of Run says nothing of another."""
    rooms = [room(4, 8, held(4), machine="ssd", has="disk:ssd"), room(4, machine="plain")]
    needs = [need(1, 1, on="disk:ssd"), need(2, 1), need(3, 2)]
    assert plan(needs, rooms).placements == {2: "plain", 3: "plain"}


def test_room_is_kept_only_where_the_run_may_go() -> None:
    rooms = [
        room(4, 8, held(1, lasts=1), machine="soon"),
        room(4, 8, held(1, lasts=900), machine="ssd", has="disk:ssd"),
    ]
    placed = plan([need(1, 4, on="disk:ssd"), need(2, 2), need(3, 2)], rooms)
    assert placed.kept == ("ssd", "soon")
    assert placed.placements == {2: "soon"}
    assert said(placed, 3) == (
        "Needs 2 CPUs and 1 GB; the room on ssd is kept for a larger Run that is next; 1 Run ahead."
    )


def test_a_run_for_a_busy_machine_does_not_let_large_runs_for_others_starve() -> None:
    """It may wait for days at the head of the line; meanwhile others need room kept as before."""
    rooms = [
        room(4, 8, held(4), machine="ssd", has="disk:ssd"),
        room(4, 8, held(2), machine="plain"),
    ]
    placed = plan([need(1, 4, on="disk:ssd"), need(2, 4), need(3, 1)], rooms)
    assert placed.kept == ("ssd", "plain")
    assert placed.placements == {}


def test_no_machine_keeps_room_for_two() -> None:
    rooms = [room(4, 8, held(1), machine="ssd", has="disk:ssd"), room(1, 1, machine="tiny")]
    placed = plan([need(1, 4, on="disk:ssd"), need(2, 4), need(3, 4, on="disk:ssd")], rooms)
    assert placed.kept == ("ssd",)


def test_runs_that_name_their_machine_do_not_lay_the_whole_cluster_idle() -> None:
    rooms = [room(4, 8, held(1), machine=f"m{n}", has=f"host:m{n}") for n in range(40)]
    greedy = [need(n, 4, on=f"host:m{n}", user=1) for n in range(40)]
    placed = plan([*greedy, *(need(100 + n, 1, user=2) for n in range(200))], rooms)
    assert len(placed.kept) == KEPT_AT_ONCE
    given = Counter(placed.placements.values())
    assert {given[each.machine] for each in rooms if each.machine not in placed.kept} == {3}


# Closed machines.


def test_a_closed_machine_gets_nothing_and_keeps_nothing() -> None:
    rooms = [room(machine="old", closed="an administrator drains it"), room(2, machine="vm")]
    placed = plan([need(1, 2), need(2, 4), need(3, 1)], rooms)
    assert placed.placements == {1: "vm"}
    assert placed.kept == ("vm",)
    assert said(placed, 2) == (
        "Needs 4 CPUs and 1 GB; old takes no new Runs (an administrator drains it)."
    )


def test_several_closed_machines_are_summed_up() -> None:
    rooms = [room(machine=name, has="disk:ssd", closed="it does not answer") for name in "ab"]
    assert said(plan([need(1, 1, on="disk:ssd")], rooms), 1) == (
        "Needs 1 CPU and 1 GB on a machine with disk:ssd; the 2 machines that could hold it take no "
        "new Runs (a: it does not answer)."
    )


def test_a_closed_machine_that_is_too_small_is_not_what_it_waits_for() -> None:
    assert "no machine is that large now" in said(plan([need(1, 9)], [room(closed="so")]), 1)


# Limits per person.


def test_a_limit_on_running_runs_holds_and_says_so() -> None:
    ada = Person(running=2, max_running=2)
    placed = plan([need(1, 1), need(2, 1), need(3, 1, user=2)], [room()], {0: ada})
    assert placed.placements == {3: "vm"}
    assert said(placed, 1) == "You have 2 Runs running, which is your limit."
    assert said(placed, 2) == "You have 2 Runs running, which is your limit; 1 Run of yours ahead."


def test_a_limit_counts_what_is_placed_in_the_same_pass() -> None:
    ada = Person(max_running=1, most={"cpus": 8})
    placed = plan([need(1, 1), need(2, 1)], [room()], {0: ada})
    assert placed.placements == {1: "vm"}
    assert said(placed, 2) == (
        "Your limit is 1 Run and 8 CPUs at a time, which your Runs that run or are ahead take."
    )


def test_a_limit_on_cpus_keeps_the_persons_own_order() -> None:
    ada = Person(running=1, holds={"cpus": 2, "memory": GB}, most={"cpus": 4})
    placed = plan([need(1, 3), need(2, 1)], [room(16, 64)], {0: ada})
    assert placed.placements == {}, "the large one would starve behind small ones"


def test_what_a_limit_never_allows_holds_nobody_up() -> None:
    placed = plan([need(1, 8), need(2, 1)], [room(16, 64)], {0: Person(most={"cpus": 4})})
    assert placed.placements == {2: "vm"}
    assert said(placed, 1) == (
        "Needs 8 CPUs; your limit is 4 CPUs at a time. Cancel it and ask for less."
    )


def test_who_is_at_a_limit_is_not_ahead_of_others() -> None:
    full = room(1, 8, held(1))
    placed = plan([need(1, 1), need(2, 1, user=2)], [full], {0: Person(max_running=0)})
    assert placed.waits[2].ahead == 0


# What they are told.


def test_several_machines_are_summed_up_by_the_nearest() -> None:
    rooms = [room(4, 8, held(4, 4), machine="a"), room(8, 16, held(5, 8), machine="b")]
    assert said(plan([need(1, 4, 12)], rooms), 1) == (
        "Needs 4 CPUs and 12 GB; the machine with most room for it has 3 CPUs and 8 GB free."
    )


def test_far_back_in_line_only_a_bound_is_told() -> None:
    placed = plan([need(key, 1) for key in range(1000)], [room(1, 8, held(1))])
    assert sorted(placed.waits) == list(range(NEAR))
    assert said(placed, NEAR - 1).endswith(f"; {NEAR - 1} Runs ahead.")
    assert sorted(placed.behind) == list(range(NEAR, LEVELS[-1]))
    assert placed.behind[NEAR] == NEAR
    assert placed.behind[199] == 100
    assert placed.behind[200] == 200
    assert queue.behind(50) == "In line; at least 50 Runs ahead."


def test_sizes_read_as_people_write_them() -> None:
    assert [size(n) for n in (512 * 1024**2, GB, 3 * GB // 2)] == ["512 MB", "1 GB", "1.5 GB"]
