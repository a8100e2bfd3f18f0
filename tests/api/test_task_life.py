"""A Task's life over the API: archive, bin, duplicate, transfer, members, lists, quota."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import ApiToken, Scope, User
from files import storage
from jobs.models import Role, Task, TaskCopy, TaskMember, UserLimits
from jobs.states import RunState
from tests.api.conftest import client_of
from tests.factories import make_run, make_task, make_user

JSON = "application/json"


def send(api: Client, method: str, address: str, body: Any = None) -> Any:
    call = getattr(api, method)
    return call(f"/api/v1/{address}", body if body is not None else {}, content_type=JSON)


def share(task: Task, person: User, role: str) -> None:
    TaskMember.objects.create(task=task, user=person, role=role, added_by=task.owner)


@pytest.fixture
def member(task: Task) -> User:
    person = make_user("member")
    share(task, person, Role.VIEWER)
    return person


def test_a_task_is_described_and_archived(api: Client, task: Task) -> None:
    address = f"tasks/{task.public_id}"
    shown = send(api, "patch", address, {"description": "Flow\nof rivers", "archived": True})
    assert shown.status_code == 200
    assert shown.json()["description"] == "Flow\nof rivers"
    assert shown.json()["archived_at"] is not None
    refused = send(api, "post", f"{address}/runs", {"command": "true"})
    assert refused.status_code == 400
    assert "in the archive" in refused.json()["detail"]
    assert send(api, "patch", address, {"archived": False}).json()["archived_at"] is None
    made = send(api, "post", "tasks", {"name": "Old", "archived": True, "description": "x"})
    assert made.status_code == 201
    assert made.json()["archived_at"] is not None


def test_the_bin(api: Client, task: Task, member: User) -> None:
    address = f"tasks/{task.public_id}"
    make_run(task, state=RunState.RUNNING)
    going = api.delete(f"/api/v1/{address}")
    assert going.status_code == 409
    assert going.json()["detail"].startswith("1 Run of this Task is not over.")
    assert api.delete(f"/api/v1/{address}?cancel=perhaps").status_code == 400
    assert api.delete(f"/api/v1/{address}?cancel=true").status_code == 204
    assert api.get(f"/api/v1/{address}").status_code == 404
    assert api.get(f"/api/v1/{address}/members").status_code == 404
    assert api.get("/api/v1/tasks").json()["results"] == []
    (binned,) = api.get("/api/v1/tasks?deleted=true").json()["results"]
    assert binned["id"] == task.public_id
    assert binned["goes_at"] > binned["deleted_at"]
    theirs = client_of(member)
    assert theirs.get("/api/v1/tasks?deleted=true").json()["results"] == []
    for act in ("restore", "purge"):
        assert send(theirs, "post", f"{address}/{act}").status_code == 404
    assert send(api, "post", f"{address}/restore").json()["deleted_at"] is None
    assert send(api, "post", f"{address}/restore").status_code == 200
    assert send(api, "post", f"{address}/purge").status_code == 404
    assert api.delete(f"/api/v1/{address}?cancel=true").status_code == 204
    assert send(api, "post", f"{address}/purge").status_code == 202
    assert api.get("/api/v1/tasks?deleted=true").json()["results"] == []
    assert send(api, "post", f"{address}/restore").status_code == 404


def test_duplicate(
    api: Client, task: Task, member: User, put: Callable[[str, bytes], None]
) -> None:
    put("code/a.R", b"1")
    theirs = client_of(member)
    made = send(theirs, "post", f"tasks/{task.public_id}/duplicate", {"name": "Mine"})
    assert made.status_code == 201
    shown = made.json()
    assert (shown["name"], shown["owner"], shown["role"], shown["copying"]) == (
        "Mine",
        "member",
        "owner",
        None,
    )
    assert made.headers["Location"] == f"/api/v1/tasks/{shown['id']}"
    listed = theirs.get(f"/api/v1/tasks/{shown['id']}/files/code").json()["entries"]
    assert [entry["name"] for entry in listed] == ["a.R"]
    assert shown["left_out"] == []
    assert send(api, "post", f"tasks/{task.public_id}/duplicate", {"name": ""}).status_code == 400


def test_a_duplicate_names_what_it_left_out(
    api: Client, task: Task, put: Callable[[str, bytes], None]
) -> None:
    put("code/a.R", b"1")
    (storage.area(task.public_id, "code").path / "link").symlink_to("a.R")
    made = send(api, "post", f"tasks/{task.public_id}/duplicate")
    assert made.json()["left_out"] == ["code/link"]


def test_a_copy_that_stopped_goes_on_or_is_given_up(api: Client, task: Task) -> None:
    address = f"tasks/{task.public_id}/copy"
    assert send(api, "post", address).json()["copying"] is None, "it is complete"
    copy = TaskCopy.objects.create(task=task, source=make_task(task.owner), problem="No room.")
    shown = send(api, "post", address)
    copy.refresh_from_db()
    assert (shown.status_code, copy.problem) == (200, "")
    assert shown.json()["copying"]["problem"] == ""
    for _ in range(2):
        assert send(api, "delete", address).status_code == 204
    assert not TaskCopy.objects.filter(pk=copy.pk).exists()


def test_transfer(api: Client, task: Task, stranger: User) -> None:
    address = f"tasks/{task.public_id}/transfer"
    assert send(api, "post", address, {"to": "nobody"}).json()["errors"]["to"]
    assert send(client_of(stranger), "post", address, {"to": "stranger"}).status_code == 404
    given = send(api, "post", address, {"to": "stranger"})
    assert given.status_code == 200
    assert (given.json()["owner"], given.json()["role"]) == ("stranger", "editor")
    assert send(api, "post", address, {"to": "owner"}).status_code == 403


def test_members(api: Client, task: Task, stranger: User) -> None:
    members = f"tasks/{task.public_id}/members"
    put = send(api, "put", f"{members}/stranger", {"role": "viewer"})
    assert put.status_code == 200
    assert {key: put.json()[key] for key in ("username", "role", "added_by")} == {
        "username": "stranger",
        "role": "viewer",
        "added_by": "owner",
    }
    theirs = client_of(stranger)
    assert theirs.get(f"/api/v1/tasks/{task.public_id}").json()["role"] == "viewer"
    assert [each["username"] for each in theirs.get(f"/api/v1/{members}").json()["results"]] == [
        "stranger"
    ]
    assert send(theirs, "put", f"{members}/stranger", {"role": "editor"}).status_code == 403
    assert send(theirs, "patch", f"tasks/{task.public_id}", {"name": "x"}).status_code == 403
    assert theirs.delete(f"/api/v1/{members}/owner").status_code == 403
    assert send(api, "put", f"{members}/stranger", {"role": "editor"}).json()["role"] == "editor"
    assert send(theirs, "patch", f"tasks/{task.public_id}", {"name": "x"}).status_code == 200
    assert send(api, "put", f"{members}/stranger", {"role": "boss"}).status_code == 400
    assert send(api, "put", f"{members}/nobody", {"role": "viewer"}).status_code == 400
    assert api.delete(f"/api/v1/{members}/nobody").status_code == 404
    assert theirs.delete(f"/api/v1/{members}/stranger").status_code == 204
    assert theirs.get(f"/api/v1/tasks/{task.public_id}").status_code == 404


def test_somebody_who_is_switched_off_can_be_taken_out(
    api: Client, task: Task, member: User
) -> None:
    member.is_active = False
    member.save()
    assert api.delete(f"/api/v1/tasks/{task.public_id}/members/member").status_code == 204
    assert not task.members.exists()


def test_people_are_suggested_without_their_addresses(api: Client, db: None) -> None:
    make_user("bert", email="bert@example.org", first_name="Bert", last_name="Brecht")
    found = api.get("/api/v1/people?q=brecht").json()["results"]
    assert found == [{"username": "bert", "name": "Bert Brecht"}]
    assert api.get("/api/v1/people?q=b").json()["results"] == []
    assert api.get("/api/v1/people").json()["results"] == []
    assert Client().get("/api/v1/people?q=brecht").status_code == 401


def test_lists(api: Client, task: Task, owner: User, stranger: User) -> None:
    archived = make_task(owner, name="Old rivers", archived_at=timezone.now())
    theirs = make_task(stranger, name="Theirs")
    share(theirs, owner, Role.EDITOR)
    make_task(stranger, name="Hidden")

    def listed(query: str) -> set[str]:
        return {each["name"] for each in api.get(f"/api/v1/tasks{query}").json()["results"]}

    assert listed("") == {"Rivers", "Old rivers", "Theirs"}
    assert listed("?archived=true") == {archived.name}
    assert listed("?archived=false") == {"Rivers", "Theirs"}
    assert listed("?shared=true") == {"Theirs"}
    assert listed("?shared=false&archived=false") == {"Rivers"}
    assert listed("?name=RIV") == {"Rivers", "Old rivers"}
    assert listed("?name=%00") == {"Rivers", "Old rivers", "Theirs"}
    assert api.get("/api/v1/tasks?archived=maybe").status_code == 400


def test_a_longer_list_costs_no_more_queries(
    api: Client, owner: User, stranger: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(30):
        each = make_task(stranger if number % 2 else owner, name=f"{number}")
        if number % 2:
            share(each, owner, Role.VIEWER)
    with django_assert_max_num_queries(5):
        shown = api.get("/api/v1/tasks").json()["results"]
    assert {each["role"] for each in shown} == {"owner", "viewer"}
    with django_assert_max_num_queries(4):
        api.get(f"/api/v1/tasks/{shown[0]['id']}")


def test_what_a_token_needs(task: Task, owner: User) -> None:
    text = ApiToken.issue(user=owner, name="run", scopes=[Scope.READ, Scope.RUN])[1]
    api = Client(headers={"Authorization": f"Bearer {text}"})
    address = f"tasks/{task.public_id}"
    assert send(api, "patch", address, {"name": "New"}).status_code == 200
    for refused in (
        send(api, "patch", address, {"archived": True}),
        send(api, "post", "tasks", {"name": "x", "archived": True}),
        send(api, "post", f"{address}/transfer", {"to": "x"}),
        send(api, "put", f"{address}/members/x", {"role": "viewer"}),
        api.delete(f"/api/v1/{address}"),
    ):
        assert refused.status_code == 403
        assert "manage" in refused.json()["detail"]


def test_an_upload_beyond_the_quota_is_refused_and_one_within_is_counted(
    api: Client, task: Task, owner: User
) -> None:
    address = f"/api/v1/tasks/{task.public_id}/files/input/data.bin"

    def upload(content: bytes) -> Any:
        return api.put(address, content, content_type="application/octet-stream")

    UserLimits.objects.create(user=owner, max_storage=5000)
    assert upload(b"x" * 3000).status_code == 201
    task.refresh_from_db()
    assert task.storage_used == 3000
    other = address.replace("data", "other")
    full = api.put(other, b"x" * 3000, content_type="application/octet-stream")
    assert full.status_code == 507
    assert "Your storage has 2 kB left and this needs 3 kB" in full.json()["detail"]
    # What is replaced makes room for what replaces it.
    assert upload(b"x" * 4900).status_code == 200
    task.refresh_from_db()
    assert task.storage_used == 4900
    Task.objects.update(storage_used=6000)
    assert upload(b"y" * 4900).status_code == 507
    assert upload(b"less").status_code == 200
