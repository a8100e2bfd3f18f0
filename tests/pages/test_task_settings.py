"""The settings of a Task as pages: who sees which part, what is refused beside its field, the bin."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from files import storage
from jobs.models import Role, Task, TaskCopy, TaskMember, UserLimits
from tests.factories import make_run, make_task, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def task(anna: User) -> Task:
    task = make_task(anna)
    storage.create_task_folders(task.public_id)
    return task


def member(task: Task, name: str, role: str) -> User:
    person = make_user(name)
    TaskMember.objects.create(task=task, user=person, role=role, added_by=task.owner)
    return person


def text(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return response.content.decode()


def at(name: str, task: Task) -> str:
    return reverse(name, args=[task.public_id])


POSTS = (
    "task_settings",
    "task_share",
    "task_unshare",
    "task_transfer",
    "task_archive",
    "task_delete",
    "task_copy_act",
)


def test_each_role_sees_its_part(
    anna_client: Client, task: Task, signed_in: Callable[[User], Client]
) -> None:
    page = text(anna_client, at("task_settings", task))
    for part in ("Share with", "Give it away", "Delete the Task", "Duplicate", "Description"):
        assert part in page
    editor = text(signed_in(member(task, "ed", Role.EDITOR)), at("task_settings", task))
    assert "You are an editor" in editor
    assert "Leave this Task" in editor
    assert 'name="description"' in editor
    assert "Delete the Task" not in editor
    viewer = text(signed_in(member(task, "vi", Role.VIEWER)), at("task_settings", task))
    assert "You are a viewer" in viewer
    assert 'name="description"' not in viewer
    console = text(signed_in(User.objects.get(username="vi")), task.get_absolute_url())
    assert "read-only" in console
    assert '"mayEdit": false' in console


def test_what_a_viewer_posts_is_forbidden_and_a_strangers_is_not_there(
    task: Task, signed_in: Callable[[User], Client]
) -> None:
    stranger = signed_in(make_user("stranger"))
    for name in (*POSTS, "task_restore", "task_purge", "task_leave"):
        assert stranger.post(at(name, task)).status_code == 404, name
    viewer = signed_in(member(task, "vi", Role.VIEWER))
    for name in POSTS:
        refused = viewer.post(at(name, task), {"username": "vi", "role": "editor", "name": "x"})
        assert refused.status_code == 403, name
        assert "ask anna" in refused.content.decode().lower(), name
    for name in ("task_restore", "task_purge"):
        assert viewer.post(at(name, task)).status_code == 404, name
    assert viewer.post(at("task_leave", task)).status_code == 302
    assert not task.members.exists()


def test_what_is_refused_is_said_beside_its_form_and_keeps_what_was_typed(
    anna_client: Client, task: Task
) -> None:
    for name, given, told in (
        ("task_settings", {"name": " ", "description": "kept text"}, "Give the Task a name."),
        ("task_share", {"username": "kept text", "role": "viewer"}, "nobody called"),
        ("task_transfer", {"username": "kept text"}, "nobody called"),
        ("task_duplicate", {"name": "kept text\0"}, "can be seen in the name"),
    ):
        refused = anna_client.post(at(name, task), given)
        assert refused.status_code == 422
        page = refused.content.decode()
        assert told in page
        assert "kept text" in page
    assert Task.objects.count() == 1


def test_deleting_offers_to_cancel_what_runs(anna_client: Client, task: Task) -> None:
    make_run(task)
    page = text(anna_client, at("task_settings", task))
    assert "Cancel the Run and delete the Task" in page
    assert anna_client.post(at("task_delete", task)).status_code == 422
    anna_client.post(at("task_delete", task), {"cancel": "1"})
    assert text(anna_client, task.get_absolute_url(), 404)
    assert "Rivers" in text(anna_client, "/?show=bin")
    assert "Rivers" not in text(anna_client, "/?show=all")
    wrong = anna_client.post(at("task_purge", task), {"name": "rivers"})
    assert wrong.status_code == 422
    assert anna_client.post(at("task_restore", task)).headers["Location"] == (
        task.get_absolute_url()
    )


def test_a_task_that_is_still_copied_says_how_far(anna_client: Client, task: Task) -> None:
    TaskCopy.objects.create(task=task, bytes_total=2048, bytes_done=1024)
    for path in (task.get_absolute_url(), at("task_settings", task), at("task_copying", task)):
        assert "1 kB of 2 kB are there" in text(anna_client, path)
    TaskCopy.objects.update(problem="The storage is full.")
    page = text(anna_client, at("task_copying", task))
    assert "Copying its files stopped. The storage is full." in page
    anna_client.post(at("task_copy_act", task))
    assert anna_client.get(at("task_copying", task)).headers["HX-Refresh"] == "true"


def test_what_a_duplicate_lacks_is_said_on_its_page(anna_client: Client, task: Task) -> None:
    code = storage.task_dir(task.public_id) / "code"
    whole = anna_client.post(at("task_duplicate", task), follow=True).content.decode()
    assert "Not copied" not in whole
    for number in range(7):
        (code / f"link{number}").symlink_to("/etc/hostname")
    page = anna_client.post(at("task_duplicate", task), follow=True).content.decode()
    assert "Not copied: code/link0, code/link1" in page
    assert "code/link4 and 2 more. Links, special files" in page


def test_people_are_suggested(anna_client: Client) -> None:
    make_user("bert", email="bert@example.org")
    assert text(anna_client, "/people/?username=be").strip() == '<option value="bert"></option>'
    assert text(anna_client, "/people/?username=b").strip() == ""


def test_the_meter_and_its_warning(anna_client: Client, anna: User) -> None:
    make_task(anna, storage_used=950)
    assert "Your storage" not in text(anna_client, "/")
    UserLimits.objects.create(user=anna, max_storage=10_000)
    assert "It is nearly full" not in text(anna_client, "/")
    UserLimits.objects.update(max_storage=1000)
    assert "It is nearly full" in text(anna_client, "/now/")
    UserLimits.objects.update(max_storage=900)
    assert "It is full: uploads and Runs are refused." in text(anna_client, "/now/")


def test_lists_and_search(anna_client: Client, anna: User, task: Task) -> None:
    other = make_task(make_user("bert"), name="Of Bert")
    TaskMember.objects.create(task=other, user=anna, role=Role.VIEWER, added_by=other.owner)
    make_task(anna, name="Lakes", description="like RIVERS")
    assert "Of Bert" in text(anna_client, "/tasks/?show=shared")
    assert "Rivers" not in text(anna_client, "/tasks/?show=shared")
    assert "Of Bert" not in text(anna_client, "/tasks/?show=mine")
    found = text(anna_client, "/tasks/?q=rivers")
    assert "Lakes" in found
    assert "Of Bert" not in found
    assert "No Task in this list has “nothing”" in text(anna_client, "/tasks/?q=nothing")
    assert "The bin is empty." in text(anna_client, "/tasks/?show=bin")


def test_many_members_cost_no_more_queries(
    anna_client: Client, task: Task, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(12):
        member(task, f"m{number}", Role.VIEWER)
    with django_assert_max_num_queries(17):
        text(anna_client, at("task_settings", task))
