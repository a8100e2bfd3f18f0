"""Home: what runs and waits with why, what ended, my Tasks; the empty page; new Tasks."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from files import storage
from jobs.models import Run, Task
from jobs.states import Reason, RunState
from tests.factories import make_run, make_task, make_user

pytestmark = pytest.mark.django_db


def text(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def test_an_empty_home_offers_examples(anna_client: Client) -> None:
    page = text(anna_client, "/")
    assert "Start with an example" in page
    assert page.count('class="choice"') == 3
    assert "Nothing of yours runs or waits." in page


def test_an_example_is_made_and_queued_in_one_click(anna_client: Client, anna: User) -> None:
    response = anna_client.post("/tasks/examples/pi/")
    task = Task.objects.get(owner=anna)
    assert response.headers["Location"] == f"/tasks/{task.public_id}/"
    assert Run.objects.get(task=task).state == RunState.QUEUED
    assert [entry.kind for entry in storage.area(task.public_id, "code").entries()] == ["file"]


def test_an_unknown_example_is_refused_with_a_sentence(anna_client: Client) -> None:
    page = anna_client.post("/tasks/examples/nothing/", follow=True).content.decode()
    assert "There is no such example." in page


def test_what_waits_says_why_and_what_ended_says_how(anna_client: Client, anna: User) -> None:
    task = make_task(anna, name="Rivers")
    make_run(
        task, reason=Reason.NO_ROOM, explanation="Needs 12 CPUs and 1 GB; 2 CPUs and 8 GB are free."
    )
    make_run(
        task,
        state=RunState.FAILED,
        number=7,
        explanation="Ended with exit status 3.",
        exit_code=3,
        reason=Reason.EXIT_CODE,
    )
    page = text(anna_client, "/")
    assert "Waiting" in page
    assert "Needs 12 CPUs and 1 GB; 2 CPUs and 8 GB are free." in page
    assert "Ended with exit status 3." in page
    assert 'href="#s-failed"' in page


def test_nobody_elses_rows_are_there(anna_client: Client) -> None:
    make_run(make_task(make_user(), name="Secret rivers"))
    for path in ("/", "/now/", "/tasks/"):
        assert "Secret rivers" not in text(anna_client, path)


def test_staff_have_their_own_home(client: Client, anna: User) -> None:
    make_task(anna, name="Of Anna")
    client.force_login(make_user(staff=True))
    assert "Of Anna" not in text(client, "/")


def test_many_rows_cost_no_more_queries(
    anna_client: Client, anna: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(1, 30):
        make_run(
            make_task(anna, name=f"Task {number}"),
            state=RunState.RUNNING if number % 2 else RunState.SUCCEEDED,
        )
    with django_assert_max_num_queries(13):
        text(anna_client, "/")
    with django_assert_max_num_queries(11):
        text(anna_client, "/now/")


def test_a_long_list_of_tasks_comes_in_parts(anna_client: Client, anna: User) -> None:
    for number in range(60):
        make_task(anna, name=f"Task {number:02}")
    first = text(anna_client, "/")
    assert "Task 59" in first
    assert "Task 05" not in first
    assert "/tasks/?show=all&amp;q=&amp;count=100" in first
    assert "Task 05" in text(anna_client, "/tasks/?count=100")


def test_a_new_task_opens_its_console(anna_client: Client, anna: User) -> None:
    response = anna_client.post("/tasks/new/", {"name": "  Sales   forecast "})
    task = Task.objects.get(owner=anna, name="Sales forecast")
    assert response.headers["Location"] == task.get_absolute_url()


def test_a_task_without_a_name_is_refused_beside_the_field(anna_client: Client) -> None:
    response = anna_client.post("/tasks/new/", {"name": "  "})
    assert response.status_code == 422
    assert "Give the Task a name." in response.content.decode()


def test_names_are_text_never_markup(anna_client: Client, anna: User) -> None:
    make_run(make_task(anna, name="<script>alert(1)</script>"))
    page = text(anna_client, "/")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
