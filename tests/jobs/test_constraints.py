"""Attributes of machines as people write them."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs import constraints
from jobs.constraints import BadConstraints, matches, parse, stored, text, union, words

names = st.text(string.ascii_letters + string.digits + "._/-", min_size=1, max_size=20)
pairs = st.dictionaries(names, names, max_size=constraints.MOST)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("", ""),
        ("  ", ""),
        ("disk:ssd", "disk:ssd"),
        (" zone:a ,disk:ssd", "disk:ssd, zone:a"),
        ("disk:ssd, disk:ssd", "disk:ssd"),
        ("cpu/kind:x86_64".replace("_", "-"), "cpu/kind:x86-64"),
    ],
)
def test_there_is_one_way_to_write_them(written: str, kept: str) -> None:
    assert text(parse(written)) == kept


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("ssd", "“ssd” names no attribute"),
        ("disk:", "names no attribute"),
        (":ssd", "names no attribute"),
        ("disk:ssd,", "“” names no attribute"),
        ("disk:ssd zone:a", "a comma between two"),
        ("disk:a:b", "names no attribute"),
        ("disk:s\nd", "names no attribute"),
        ("ort:küche", "names no attribute"),
        ("disk:ssd, disk:hdd", "both disk:ssd and disk:hdd: choose one"),
        (", ".join(f"a{n}:b" for n in range(11)), "at most 10 attributes"),
        ("disk:" + "x" * 500, "at most 500 characters"),
        (",".join(f"{n}:{'x' * 47}" for n in range(10)), "at most 500 characters"),
    ],
)
def test_bad_ones_are_refused_with_a_sentence(written: str, says: str) -> None:
    with pytest.raises(BadConstraints) as bad:
        parse(written)
    assert says in str(bad.value)
    assert str(bad.value).endswith(".")


@given(pairs)
def test_what_is_kept_is_read_as_it_was_meant(found: dict[str, str]) -> None:
    written = ",".join(f"{name}:{value}" for name, value in found.items())
    if len(written) > constraints.LONGEST - 2 * constraints.MOST:
        return
    parsed = parse(written)
    assert dict(parsed) == found
    assert stored(text(parsed)) == parse(text(parsed)) == parsed


@given(st.text(max_size=50))
def test_rows_are_always_readable_and_nonsense_suits_no_machine(kept: str) -> None:
    try:
        parse(kept)
    except BadConstraints:
        read = stored(kept)
        assert not read or not all(name and value for name, value in read) or not _plain(read)
    else:
        assert stored(kept) == parse(kept)


def _plain(read: constraints.Constraints) -> bool:
    """Could one machine have all of them?"""
    try:
        return text(union(read)) == text(parse(text(read)))
    except BadConstraints:
        return False


@given(pairs, pairs)
def test_a_machine_will_do_if_it_has_them_all(asked: dict[str, str], there: dict[str, str]) -> None:
    on = tuple(sorted(asked.items()))
    assert matches(on, asked | there) == all((asked | there)[n] == v for n, v in asked.items())
    assert matches(on, there) == (asked.items() <= there.items())


def test_an_environment_that_asks_for_another_value_today_has_its_way() -> None:
    assert constraints.again("disk:ssd, zone:a", "disk:nvme") == "zone:a"
    assert constraints.again("disk:ssd, zone:a", "") == "disk:ssd, zone:a"


def test_they_read_as_words() -> None:
    assert words(parse("disk:ssd")) == "disk:ssd"
    assert words(parse("disk:ssd, gpu:a100, zone:a")) == "disk:ssd, gpu:a100 and zone:a"
