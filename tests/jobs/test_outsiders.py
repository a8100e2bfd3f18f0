"""Administrators in Tasks and Datasets of others, told to the audit log."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from accounts.models import AuditEntry, User
from files import storage
from files.models import Dataset, DatasetRole
from jobs import services
from jobs.models import Role, RunKind, Task
from jobs.services import RunRequest
from tests.factories import make_environment, make_task, make_token, make_user

pytestmark = pytest.mark.django_db
COMMAND = RunRequest(kind=RunKind.COMMAND, command="echo hunter2", variables={"PIN": "hunter3"})


@pytest.fixture(autouse=True)
def nothing_counted() -> None:
    cache.clear()


@pytest.fixture
def boss() -> User:
    return make_user("boss", staff=True)


@pytest.fixture
def task() -> Task:
    make_environment()
    task = make_task(make_user("anna"))
    storage.create_task_folders(task.public_id)
    return task


def told(action: str) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action=action).order_by("id"))


def client_of(user: User) -> Client:
    return Client(headers={"Authorization": f"Bearer {make_token(user)}"})


def change_files(user: User, base: str) -> None:
    client = client_of(user)
    content: Any = {"content_type": "application/octet-stream"}
    for number in range(3):
        assert client.put(f"{base}/{number}.R", b"1", **content).status_code == 201
    assert client.delete(f"{base}/0.R").status_code == 204


def test_files_of_others_are_told_once_in_a_while(boss: User, task: Task) -> None:
    address = f"/api/v1/tasks/{task.public_id}/files/code"
    assert client_of(boss).get(f"{address}/").status_code == 200
    assert client_of(boss).delete(f"{address}/none.R").status_code == 404
    assert not told("task.files")
    change_files(boss, address)
    (entry,) = told("task.files")
    assert (entry.actor, entry.subject_id) == (boss, task.public_id)
    assert entry.detail == "of anna, from then on for some minutes; first PUT code/0.R"
    cache.clear()
    client_of(boss).post(f"{address}/", {"folder": "x"}, content_type="application/json")
    assert told("task.files")[1].detail.endswith("first POST code")


def test_files_of_ones_own_are_not_told(boss: User, task: Task) -> None:
    change_files(task.owner, f"/api/v1/tasks/{task.public_id}/files/code")
    services.share_task(user=task.owner, task=task, person=boss, role=Role.EDITOR)
    change_files(boss, f"/api/v1/tasks/{task.public_id}/files/input")
    own = make_task(boss)
    storage.create_task_folders(own.public_id)
    change_files(boss, f"/api/v1/tasks/{own.public_id}/files/code")
    assert not told("task.files")


def test_files_of_datasets_of_others(boss: User, settings: Any) -> None:
    anna = make_user("anna")
    data = services.create_dataset(user=anna, name=f"rivers-{anna.pk}")
    base = f"/api/v1/datasets/{data.public_id}/files"
    services.share_dataset(user=anna, dataset=data, person=boss, role=DatasetRole.EDITOR)
    change_files(boss, f"{base}/a")
    assert not told("dataset.files")
    services.unshare_dataset(user=anna, dataset=data, person=boss)
    change_files(boss, f"{base}/b")
    (entry,) = told("dataset.files")
    assert entry.subject_id == Dataset.objects.get().public_id
    assert entry.detail.endswith("first PUT b/0.R")


def test_runs_in_tasks_of_others_are_told_without_their_secrets(boss: User, task: Task) -> None:
    services.submit(user=task.owner, task=task, request=COMMAND)
    assert not told("run.submitted")
    run = services.submit(user=boss, task=task, request=COMMAND)
    again = services.run_again(user=boss, run=run)
    entry, second = told("run.submitted")
    assert (entry.actor, entry.subject_id) == (boss, run.public_id)
    assert (entry.subject, second.subject_id) == ("Rivers #2", again.public_id)
    assert entry.detail == f"a command, in a Task of anna ({task.public_id})"
    services.share_task(user=task.owner, task=task, person=boss, role=Role.EDITOR)
    services.submit(user=boss, task=task, request=COMMAND)
    assert len(told("run.submitted")) == 2


def test_a_viewer_runs_as_administrator(boss: User, task: Task) -> None:
    services.share_task(user=task.owner, task=task, person=boss, role=Role.VIEWER)
    services.submit(user=boss, task=task, request=COMMAND)
    assert len(told("run.submitted")) == 1
