"""What may be announced, when, and how much of it at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from jobs.services import Refused, announcements
from tests.factories import make_user

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)


@pytest.fixture
def boss() -> User:
    return make_user("boss", staff=True)


@pytest.mark.parametrize(
    "text",
    [
        "Maintenance \N{HEAVY BLACK HEART}\N{VARIATION SELECTOR-16}\N{ZERO WIDTH JOINER}\N{FIRE}",
        "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL} day",
        "Tie\N{COMBINING CIRCUMFLEX ACCENT}\N{COMBINING DOT BELOW}ng Viet",
    ],
)
def test_signs_that_are_made_of_several(boss: User, text: str) -> None:
    assert announcements.announce(by=boss, text=text).text == text


@pytest.mark.parametrize(
    "text",
    [
        "Z" + 5 * "\N{COMBINING ACUTE ACCENT}",
        "\N{ZERO WIDTH JOINER}",
        "a \N{ZERO WIDTH JOINER}b",
        "a\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}b",
        "the end\N{ZERO WIDTH JOINER}",
        "to the \N{RIGHT-TO-LEFT OVERRIDE}left",
    ],
)
def test_towers_of_marks_and_what_nobody_sees(boss: User, text: str) -> None:
    with pytest.raises(Refused, match="can be seen") as no:
        announcements.announce(by=boss, text=text)
    assert no.value.field == "text"


@pytest.mark.parametrize("field", ["shown_from", "shown_until"])
@pytest.mark.parametrize("year", [1, 1999, 3000, 9999])
def test_years_that_some_time_zone_can_not_write(boss: User, field: str, year: int) -> None:
    moment = datetime(year, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12)))
    given: dict[str, Any] = {field: moment}
    with pytest.raises(Refused, match="from 2000 to 2999") as no:
        announcements.announce(by=boss, text="Hello", **given)
    assert no.value.field == field
    made = announcements.announce(by=boss, text="Hello")
    given = {"shown_from": made.shown_from, "shown_until": None, field: moment}
    with pytest.raises(Refused, match="from 2000 to 2999"):
        announcements.change(by=boss, announcement=made, text="Hello", is_warning=False, **given)


def test_an_administrator_sees_what_no_page_shows_any_more(boss: User) -> None:
    office, theirs = Client(), Client()
    office.force_login(boss)
    theirs.force_login(make_user())
    for number in range(announcements.SHOWN + 2):
        if number == announcements.SHOWN:
            assert "not shown" not in office.get("/manage/announcements/").content.decode()
        announcements.announce(by=boss, text=f"Number {number}.")
    shown = theirs.get("/notices/").content.decode()
    assert [number for number in range(7) if f"Number {number}." in shown] == [2, 3, 4, 5, 6]
    told = office.get("/manage/announcements/").content.decode()
    assert "2 of these are not shown" in told
    assert told.count("not shown: too many are") == 2
