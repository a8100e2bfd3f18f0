"""Datasets over the API: who gets what answer, and that their files are as safe as a Task's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import ApiToken, User
from files.models import Dataset
from jobs import services
from jobs.models import Task
from tests.api.conftest import client_of
from tests.api.test_files import body
from tests.factories import make_run, make_task, make_user

ALL = "/api/v1/datasets"


@pytest.fixture
def rivers(owner: User) -> Dataset:
    return services.create_dataset(user=owner, name="rivers")


@pytest.fixture
def one(rivers: Dataset) -> str:
    return f"{ALL}/{rivers.public_id}"


def member(rivers: Dataset, role: str) -> Client:
    person = make_user(f"the-{role}")
    services.share_dataset(user=rivers.owner, dataset=rivers, person=person, role=role)
    return client_of(person)


def put(api: Client, address: str, content: bytes, **headers: str) -> Any:
    return api.put(address, content, content_type="application/octet-stream", headers=headers)


def send(api: Client, method: str, address: str, content: Any) -> Any:
    return api.generic(
        method,
        address,
        data="" if content is None else json.dumps(content),
        content_type="application/json",
    )


# The Dataset itself.


def test_from_making_it_to_the_bin_and_back(api: Client, owner: User) -> None:
    made = send(api, "POST", ALL, {"name": "rivers", "description": "of Europe"})
    assert made.status_code == 201
    address = made["Location"]
    shown = api.get(address).json()
    assert (shown["name"], shown["mount"], shown["owner"]) == ("rivers", "/data/rivers", "owner")
    assert (shown["role"], shown["in_place"], shown["measured_at"]) == ("owner", False, None)
    assert shown["used_by"] == {"tasks": [], "other_tasks": 0, "runs": [], "other_runs": 0}
    changed = send(api, "PATCH", address, {"for_everybody": True, "description": "all"})
    assert (changed.json()["for_everybody"], changed.json()["description"]) == (True, "all")
    assert api.delete(address).status_code == 204
    assert api.delete(address).status_code == 404
    deleted = api.get(address).json()
    assert deleted["deleted_at"] and deleted["goes_at"] > deleted["deleted_at"]
    assert api.get(ALL).json()["results"] == []
    binned = api.get(f"{ALL}?deleted=true").json()["results"]
    assert [each["name"] for each in binned] == ["rivers"]
    assert api.get(f"{ALL}?deleted=perhaps").status_code == 400
    assert api.post(f"{address}/restore").json()["deleted_at"] is None
    assert api.post(f"{address}/restore").json()["deleted_at"] is None
    assert [each["name"] for each in api.get(ALL).json()["results"]] == ["rivers"]


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("POST", {"name": "Rivers"}),
        ("POST", {"name": "rivers", "colour": "blue"}),
        ("POST", {"name": 7}),
        ("POST", {}),
        ("PATCH", {"name": "lakes"}),
        ("PATCH", {"for_everybody": "yes"}),
        ("PATCH", {"owner": "the-reader"}),
    ],
)
def test_what_is_malformed_is_refused(
    api: Client, one: str, method: str, body: dict[str, Any]
) -> None:
    answer = send(api, method, ALL if method == "POST" else one, body)
    assert answer.status_code == 400, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"]


def test_a_change_is_made_whole_or_not_at_all(
    api: Client, owner: User, rivers: Dataset, one: str
) -> None:
    taken = make_user("off")
    taken.is_active = False
    taken.save()
    answer = send(api, "PATCH", one, {"description": "new", "owner": "off"})
    assert answer.status_code == 400
    rivers.refresh_from_db()
    assert (rivers.description, rivers.owner) == ("", owner)


def test_a_folder_in_place_takes_an_administrator(
    api: Client, staff: User, storage_root: Path
) -> None:
    (storage_root / "archive").mkdir()
    (storage_root / "archive/a.csv").write_text("1,2\n")
    asked = {"name": "old", "path": "archive"}
    assert send(api, "POST", ALL, asked).status_code == 403
    admin = client_of(staff)
    assert send(admin, "POST", ALL, {"name": "old", "path": "../x"}).status_code == 400
    made = send(admin, "POST", ALL, asked)
    assert (made.status_code, made.json()["in_place"]) == (201, True)
    files = f"{made['Location']}/files"
    assert body(admin.get(f"{files}/a.csv")) == b"1,2\n"
    for answer in (
        put(admin, f"{files}/a.csv", b""),
        put(admin, f"{files}/b.csv", b""),
        admin.delete(f"{files}/a.csv"),
        send(admin, "POST", files, {"folder": "sub"}),
        send(admin, "PATCH", f"{files}/a.csv", {"path": "b.csv"}),
    ):
        assert answer.status_code == 403
        assert "in place" in answer.json()["detail"]
    assert (storage_root / "archive/a.csv").read_text() == "1,2\n"


def test_registering_needs_a_token_that_manages(staff: User, storage_root: Path) -> None:
    (storage_root / "archive").mkdir()
    token, text = ApiToken.issue(user=staff, name="files only")
    token.scopes = ["read", "files"]
    token.save()
    api = Client(headers={"Authorization": f"Bearer {text}"})
    assert send(api, "POST", ALL, {"name": "old", "path": "archive"}).status_code == 403
    assert send(api, "POST", ALL, {"name": "new"}).status_code == 201


@pytest.mark.parametrize(
    ("method", "rest", "content", "reader", "editor"),
    [
        ("GET", "", None, 200, 200),
        ("PATCH", "", {"description": "x"}, 403, 200),
        ("PATCH", "", {"for_everybody": True}, 403, 403),
        ("POST", "/transfer", {"to": "the-reader"}, 403, 403),
        ("DELETE", "", None, 403, 403),
        ("POST", "/restore", None, 403, 403),
        ("POST", "/purge", None, 404, 404),
        ("GET", "/members", None, 200, 200),
        ("PUT", "/members/owner", {"role": "reader"}, 403, 403),
        ("DELETE", "/members/owner", None, 403, 403),
        ("GET", "/files", None, 200, 200),
        ("POST", "/files", {"folder": "new"}, 403, 201),
        ("GET", "/files/a.csv", None, 200, 200),
        ("GET", "/files/deep/", None, 200, 200),
        ("POST", "/files/deep", {"folder": "er"}, 403, 201),
        ("PUT", "/files/b.csv", b"x", 403, 201),
        ("PATCH", "/files/a.csv", {"path": "c.csv"}, 403, 200),
        ("DELETE", "/files/a.csv", None, 403, 204),
    ],
)
def test_who_gets_which_answer(
    api: Client,
    stranger: User,
    rivers: Dataset,
    one: str,
    method: str,
    rest: str,
    content: Any,
    reader: int,
    editor: int,
) -> None:
    put(api, f"{one}/files/a.csv", b"1,2\n")
    put(api, f"{one}/files/deep/b.csv", b"1,2\n")

    def status(client: Client) -> int:
        if method == "PUT":
            return int(put(client, one + rest, content).status_code)
        answer = send(client, method, one + rest, content)
        body(answer)
        return int(answer.status_code)

    assert status(Client()) == 401
    assert status(client_of(stranger)) == 404
    assert status(member(rivers, "reader")) == reader
    assert status(member(rivers, "editor")) == editor


def test_members_are_added_changed_and_taken_off(
    api: Client, stranger: User, rivers: Dataset, one: str
) -> None:
    for role in ("reader", "editor"):
        shared = send(api, "PUT", f"{one}/members/stranger", {"role": role})
        assert shared.json()["role"] == role
    listed = api.get(f"{one}/members").json()["results"]
    assert [(each["username"], each["role"]) for each in listed] == [("stranger", "editor")]
    theirs = client_of(stranger)
    assert theirs.get(ALL).json()["results"][0]["role"] == "editor"
    assert theirs.delete(f"{one}/members/stranger").status_code == 204
    assert theirs.get(one).status_code == 404
    assert api.delete(f"{one}/members/stranger").status_code == 404
    assert send(api, "PUT", f"{one}/members/x", {"role": "king"}).status_code == 400


def test_members_are_no_business_of_everybody(stranger: User, rivers: Dataset, one: str) -> None:
    services.update_dataset(user=rivers.owner, dataset=rivers, for_everybody=True)
    assert client_of(stranger).get(one).status_code == 200
    assert client_of(stranger).get(f"{one}/members").status_code == 403


@pytest.mark.parametrize("kind", ["task", "dataset"])
def test_it_is_given_away_and_the_owner_can_not_leave(
    api: Client, task: Task, one: str, stranger: User, kind: str
) -> None:
    """In the same way for both."""
    address = one if kind == "dataset" else f"/api/v1/tasks/{task.public_id}"
    left = api.delete(f"{address}/members/owner")
    assert left.status_code == 400
    assert left.json()["detail"] == (
        f"You own this {kind.title()}: give it to somebody else first, or delete it."
    )
    for to in ("nobody-here", "owner", ""):
        refused = send(api, "POST", f"{address}/transfer", {"to": to})
        assert (refused.status_code, list(refused.json()["errors"])) == (400, ["to"])
    given = send(api, "POST", f"{address}/transfer", {"to": "stranger"})
    assert (given.status_code, given.json()["owner"], given.json()["role"]) == (
        200,
        "stranger",
        "editor",
    )


def test_from_the_bin_for_good(api: Client, one: str, storage_root: Path) -> None:
    put(api, f"{one}/files/a.csv", b"1,2\n")
    assert api.post(f"{one}/purge").status_code == 404
    api.delete(one)
    assert api.post(f"{one}/purge").status_code == 202
    assert api.get(one).status_code == 404
    services.sweep_datasets()
    assert not list((storage_root / "data").iterdir())


def test_lists_cost_the_same_however_long(
    api: Client, owner: User, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        services.create_dataset(user=owner, name=f"d{number}")
    with django_assert_max_num_queries(5):
        assert len(api.get(ALL).json()["results"]) == 5


def test_tasks_name_datasets(
    api: Client, task: Task, rivers: Dataset, django_assert_max_num_queries: Any
) -> None:
    address = f"/api/v1/tasks/{task.public_id}"
    assert api.get(address).json()["datasets"] == []
    assert send(api, "PATCH", address, {"datasets": ["rivers"]}).json()["datasets"] == ["rivers"]
    lakes = services.create_dataset(user=make_user(), name="lakes")
    for asked in (["rivers", "lakes"], ["nowhere"], "rivers", [7], ["a\0b"]):
        refused = send(api, "PATCH", address, {"datasets": asked})
        assert refused.status_code == 400, asked
        assert refused.json()["errors"]["datasets"]
    made = send(api, "POST", "/api/v1/tasks", {"name": "New", "datasets": ["rivers"]})
    assert (made.status_code, made.json()["datasets"]) == (201, ["rivers"])
    tasks = Task.objects.count()
    newer = {"name": "Newer", "datasets": [lakes.name]}
    assert send(api, "POST", "/api/v1/tasks", newer).status_code == 400
    assert Task.objects.count() == tasks
    for _ in range(3):
        make_task(task.owner).datasets.add(rivers)
    with django_assert_max_num_queries(6):
        assert len(api.get("/api/v1/tasks").json()["results"]) == 5
    run = send(api, "POST", f"{address}/runs", {"command": "ls /data/rivers"})
    assert (run.status_code, run.json()["datasets"]) == (201, ["rivers"])
    assert send(api, "PATCH", address, {"datasets": []}).json()["datasets"] == []


def test_one_in_use_is_not_deleted(api: Client, task: Task, rivers: Dataset, one: str) -> None:
    kept = [{"id": rivers.public_id, "name": "rivers", "path": "data/rivers"}]
    run = make_run(task, datasets=kept)
    assert [each["id"] for each in api.get(one).json()["used_by"]["runs"]] == [run.public_id]
    refused = api.delete(one)
    assert refused.status_code == 400
    assert "Delete it when they have ended" in refused.json()["detail"]


# Its files.


def test_what_went_in_comes_out(api: Client, rivers: Dataset, one: str) -> None:
    content = bytes(range(256)) * 40
    made = put(api, f"{one}/files/deep/Ünï.bin", content)
    assert made.status_code == 201
    rivers.refresh_from_db()
    assert rivers.size == len(content)
    assert body(api.get(f"{one}/files/deep/Ünï.bin")) == content
    part = api.get(f"{one}/files/deep/Ünï.bin", headers={"Range": "bytes=10-19"})
    assert (part.status_code, body(part)) == (206, content[10:20])
    listed = api.get(f"{one}/files").json()
    assert [(each["name"], each["kind"]) for each in listed["entries"]] == [("deep", "folder")]
    assert listed["path"] == ""
    inside = api.get(listed["entries"][0]["url"]).json()["entries"][0]
    assert body(api.get(inside["url"])) == content
    moved = send(api, "PATCH", f"{one}/files/deep", {"path": "shallow"})
    assert (moved.status_code, moved.json()["path"]) == (200, "shallow")
    assert api.delete(f"{one}/files/shallow").status_code == 204
    assert api.get(f"{one}/files").json()["entries"] == []


def test_a_zip_of_all_is_called_as_the_dataset(api: Client, one: str) -> None:
    put(api, f"{one}/files/a.csv", b"1,2\n")
    answer = api.get(f"{one}/files?zip=1")
    assert answer.status_code == 200
    assert 'filename="rivers.zip"' in answer["Content-Disposition"]


def test_links_out_do_not_leak(staff: User, storage_root: Path) -> None:
    archive = storage_root / "archive"
    archive.mkdir()
    secret = storage_root.parent / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    (archive / "key").symlink_to(secret / "key")
    (archive / "folder").symlink_to(secret)
    api = client_of(staff)
    made = send(api, "POST", ALL, {"name": "old", "path": "archive"})
    files = f"{made['Location']}/files"
    assert {each["kind"] for each in api.get(files).json()["entries"]} == {"other"}
    for path in ("key", "folder/", "folder/key", "../secret/key", "%2e%2e/secret/key"):
        answer = api.get(f"{files}/{path}")
        assert answer.status_code in (400, 404), path
        assert b"secret" not in body(answer).replace(b"secret/key", b"")
    assert b"secret" not in body(api.get(f"{files}?zip=1"))


def test_nothing_is_found_in_the_bin(api: Client, rivers: Dataset, one: str) -> None:
    put(api, f"{one}/files/a.csv", b"1")
    services.delete_dataset(user=rivers.owner, dataset=rivers)
    assert api.get(f"{one}/files").status_code == 404
    assert api.get(f"{one}/files/a.csv").status_code == 404
    assert put(api, f"{one}/files/b.csv", b"1").status_code == 404


def test_large_uploads_pass_the_gate(settings: Settings) -> None:
    from files import gate

    scope = {"method": "PUT", "path": f"{ALL}/x/files/a"}
    assert gate._is_upload(scope)
    assert not gate._is_upload({**scope, "path": "/api/v1/datasetsx"})
    assert not gate._is_upload({**scope, "method": "POST"})


def test_a_dataset_that_one_may_not_see_is_chosen_as_one_that_is_not_there(
    api: Client, stranger: User, task: Task
) -> None:
    """Neither that it is there is told, nor whose it is; in the bin no more than before."""
    hidden = Dataset.objects.create(name="hidden", owner=stranger)
    for deleted_at in (None, timezone.now()):
        Dataset.objects.update(deleted_at=deleted_at)
        for ask, address, more in (
            (api.post, "/api/v1/tasks", {"name": "New"}),
            (api.patch, f"/api/v1/tasks/{task.public_id}", {}),
        ):
            answers = [
                ask(address, {**more, "datasets": [name]}, content_type="application/json")
                for name in (hidden.name, "nobody")
            ]
            told = [each.content.replace(b"nobody", b"hidden") for each in answers]
            assert told[0] == told[1]
            assert [each.status_code for each in answers] == [400, 400]
            assert b"There is no Dataset hidden that you may use" in told[0]
            assert b"stranger" not in told[0]
