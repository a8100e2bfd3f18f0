"""The history of a Task's Runs, in parts: the newest one, and earlier ones on request."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from jobs.models import Task
from jobs.states import RunState
from tests.factories import make_run, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def task(anna: User) -> Task:
    return make_task(anna)


def history(client: Client, task: Task, query: str) -> str:
    response = client.get(reverse("task_history", args=[task.public_id]) + "?" + query)
    assert response.status_code == 200
    return response.content.decode()


def numbers(part: str) -> list[int]:
    return [int(each) for each in re.findall(r'data-number="(\d+)"', part)]


def earlier(part: str) -> str:
    """What the button below asks for."""
    found = re.search(r'/history/\?(before=\d+)"', part)
    assert found
    return found[1]


def test_a_long_history_costs_no_more_queries_and_comes_in_parts(
    anna_client: Client, task: Task, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(1, 76):
        make_run(task, state=RunState.SUCCEEDED, number=number)
    with django_assert_max_num_queries(13):
        shown = anna_client.get(task.get_absolute_url()).content.decode()
    assert numbers(shown) == list(range(75, 45, -1))
    with django_assert_max_num_queries(5):
        more = history(anna_client, task, earlier(shown))
    assert numbers(more) == list(range(45, 15, -1))
    last = history(anna_client, task, earlier(more))
    assert numbers(last) == list(range(15, 0, -1))
    assert "Earlier Runs" not in last


def test_parts_of_a_history_refresh_without_a_gap(anna_client: Client, task: Task) -> None:
    for number in range(1, 62):
        make_run(task, state=RunState.QUEUED if number == 5 else RunState.SUCCEEDED, number=number)
    shown = anna_client.get(task.get_absolute_url()).content.decode()
    make_run(task, state=RunState.SUCCEEDED, number=62)
    # The newest part asks for what it showed, and gets what is newer with it, without a button.
    newest = history(anna_client, task, "since=32")
    assert 'name="since" value="32"' in shown
    assert numbers(newest) == list(range(62, 31, -1))
    assert "Earlier Runs" not in newest
    assert numbers(history(anna_client, task, earlier(shown)))[0] == 31
    # One of an earlier part whose Runs have all ended does not ask again; one that waits does.
    assert "data-live" not in history(anna_client, task, "before=5")
    asks = history(anna_client, task, "before=32")
    assert "?before=32&amp;since=2" in asks
    again = history(anna_client, task, "before=32&since=2")
    assert numbers(again) == list(range(31, 1, -1))
    assert "Earlier Runs" not in again


def test_a_history_that_grew_too_long_is_had_in_parts_again(
    anna_client: Client, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.views.tasks.LONGEST", 40)
    for number in range(1, 62):
        make_run(task, state=RunState.SUCCEEDED, number=number)
    newest = history(anna_client, task, "since=2")
    assert numbers(newest) == list(range(61, 21, -1))
    assert numbers(history(anna_client, task, earlier(newest)))[0] == 21
    for nonsense in ("before=-1", "before=x", "before=" + "9" * 40, "since=%C2%B2", "before=1"):
        history(anna_client, task, nonsense)
