"""People, a Task with folders, and clients that ask as they would."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from pytest_django.fixtures import Settings

from accounts.models import User
from files import storage
from jobs.models import Environment, Site, Task
from tests.conftest import mark_storage
from tests.factories import make_environment, make_task, make_token, make_user


@pytest.fixture(autouse=True)
def storage_root(tmp_path: Path, settings: Settings) -> Path:
    settings.RCLUSTER_STORAGE = mark_storage(tmp_path / "storage")
    settings.RCLUSTER_USER = "nobody"
    return tmp_path / "storage"


@pytest.fixture
def environment(db: None) -> Environment:
    Site.load()
    return make_environment()


@pytest.fixture
def owner(db: None) -> User:
    return make_user("owner")


@pytest.fixture
def stranger(db: None) -> User:
    return make_user("stranger")


@pytest.fixture
def staff(db: None) -> User:
    return make_user("staff", staff=True)


@pytest.fixture
def task(owner: User, environment: Environment) -> Task:
    task = make_task(owner)
    storage.create_task_folders(task.public_id)
    return task


@pytest.fixture
def api(owner: User) -> Client:
    """The owner, by token."""
    return client_of(owner)


@pytest.fixture
def put(task: Task) -> Callable[[str, bytes], None]:
    """Put a file into the Task behind the API's back: put("input/x.csv", b"...")."""

    def put(path: str, content: bytes) -> None:
        area, _, name = path.partition("/")
        storage.area(task.public_id, area).write(name, [content], limit=10**9)

    return put


def client_of(user: User) -> Client:
    return Client(headers={"Authorization": f"Bearer {make_token(user)}"})
