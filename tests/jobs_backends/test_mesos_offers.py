"""Offers in hand, what they add up to, and what a task takes of them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from jobs.backends.mesos_offers import MIB, Amount, OfferBook, attributes_of, machine_name


def resource(name: str, value: float, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}, **more}


def offer(number: int, *resources: dict[str, Any], node: str = "n1", **more: Any) -> dict[str, Any]:
    return {
        "id": {"value": f"o{number}"},
        "agent_id": {"value": node},
        "hostname": "vm1",
        "url": {"address": {"ip": "10.0.0.1", "port": 5051}},
        "resources": list(resources),
        **more,
    }


def reserved(role: str) -> dict[str, Any]:
    return {"reservations": [{"type": "STATIC", "role": role}]}


def amounts(resources: list[dict[str, Any]], name: str) -> float:
    return float(round(sum(r["scalar"]["value"] for r in resources if r["name"] == name), 3))


def test_all_offers_of_a_machine_count_together_and_are_spent_together() -> None:
    book = OfferBook("*")
    book.add(offer(1, resource("cpus", 1.5), resource("mem", 100.0)), 0)
    book.add(offer(2, resource("cpus", 1.0), resource("mem", 50.5)), 0)
    assert book.free("n1") == Amount(2500, 150_500)
    ids, (first, second) = book.take("n1", [Amount(2000, 120_000), Amount(600, 1000)])
    assert sorted(ids) == ["o1", "o2"]
    assert first is not None
    assert (amounts(first, "cpus"), amounts(first, "mem")) == (2.0, 120.0)
    assert second is None, "0.5 CPUs are left"
    assert book.free("n1") == Amount()
    assert len(book) == 0


def test_where_nothing_fits_nothing_is_spent() -> None:
    book = OfferBook("*")
    book.add(offer(1, resource("cpus", 1.0), resource("mem", 100.0)), 0)
    assert book.take("n1", [Amount(1001, 1), Amount(1, 100_001)]) == ([], [None, None])
    assert len(book) == 1


def test_what_is_reserved_for_others_or_may_be_taken_back_is_left_alone() -> None:
    book = OfferBook("r")
    book.add(
        offer(
            1,
            resource("cpus", 4.0, **reserved("other")),
            resource("cpus", 2.0, revocable={}),
            resource("cpus", 1.0, **reserved("r")),
            resource("cpus", 1.0),
            resource("mem", 100.0),
            resource("disk", 9999.0),
            {"name": "ports", "type": "RANGES", "ranges": {}},
        ),
        0,
    )
    assert book.free("n1") == Amount(2000, 100_000)


def test_our_own_reservation_goes_first_and_is_named() -> None:
    book = OfferBook("r")
    ours = resource("cpus", 1.0, **reserved("r"))
    book.add(offer(1, resource("cpus", 4.0), ours, resource("mem", 100.0)), 0)
    _, (taken,) = book.take("n1", [Amount(1500, 1000)])
    assert taken is not None
    cpus = [(r["scalar"]["value"], "reservations" in r) for r in taken if r["name"] == "cpus"]
    assert cpus == [(1.0, True), (0.5, False)]


def test_rescinded_and_old_offers() -> None:
    book = OfferBook("*")
    book.add(offer(1, resource("cpus", 1.0)), 10.0)
    book.add(offer(2, resource("cpus", 1.0), node="n2"), 20.0)
    assert book.older_than(15.0) == ["o1"]
    book.drop("o1")
    book.drop("o1")
    assert book.nodes() == ["n2"]
    assert book.free("n1") == Amount()


def test_a_machine_is_called_by_its_name_and_by_its_port_where_that_is_unusual() -> None:
    assert machine_name("vm1", 5051) == "vm1"
    assert machine_name("vm1", 5052) == "vm1:5052"


def test_attributes_of_every_type_are_text() -> None:
    listed = [
        {"name": "disk", "type": "TEXT", "text": {"value": "ssd"}},
        {"name": "rack", "type": "SCALAR", "scalar": {"value": 7.0}},
        {"name": "ports", "type": "RANGES", "ranges": {"range": []}},
    ]
    assert attributes_of(listed) == {"disk": "ssd", "rack": "7"}


@given(st.integers(1, 640), st.integers(1, 2**40))
def test_a_run_never_gets_less_than_it_asked_for(hundredths: int, memory: int) -> None:
    cpus = hundredths / 100
    asked = Amount.asked(cpus, memory)
    assert asked.cpus / 1000 >= cpus - 1e-9
    assert asked.memory >= memory - MIB // 1000
    assert Amount.asked(asked.cpus / 1000, asked.memory).cpus == asked.cpus


@given(
    st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 9000)), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 5000)), min_size=1, max_size=6),
)
def test_carving_gives_exactly_what_is_asked_and_never_more_than_there_is(
    offered: list[tuple[int, int]], wanted: list[tuple[int, int]]
) -> None:
    book = OfferBook("*")
    for number, (cpus, mem) in enumerate(offered):
        book.add(offer(number, resource("cpus", cpus / 1000), resource("mem", mem / 1000)), 0)
    wants = [Amount(cpus, mem) for cpus, mem in wanted]
    _, given_out = book.take("n1", wants)
    got = [(want, taken) for want, taken in zip(wants, given_out, strict=True) if taken is not None]
    for want, taken in got:
        assert amounts(taken, "cpus") == want.cpus / 1000
        assert amounts(taken, "mem") == want.mem / 1000
    assert sum(want.cpus for want, _ in got) <= sum(cpus for cpus, _ in offered)
    assert sum(want.mem for want, _ in got) <= sum(mem for _, mem in offered)
