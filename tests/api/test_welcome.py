"""Which uploads are stopped before a byte of them is stored: those that the view would refuse."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from accounts.models import User
from files.models import Dataset, DatasetMember, DatasetRole
from jobs import services
from jobs.api.welcome import why_unwanted
from jobs.models import Role, Task, UserLimits
from tests.factories import make_user

TRICKS = ("../../x", "a//b", "/etc/passwd", "a\0b", "x" * 300, "")
NOWHERE = ("/api/v1/tasks/", "/api/v1/me", "/api/v1/tasks/x/runs", "/api/v1/datasets/x/files", "/")


def status(user: User, path: str, length: int | None = 10) -> int:
    refused = why_unwanted(user, path, length)
    return refused[0] if refused else 200


def test_whoever_may_change_the_files_of_a_task(task: Task, stranger: User, staff: User) -> None:
    address = f"/api/v1/tasks/{task.public_id}/files/input/deep/x"
    people = {role: make_user(role) for role in (Role.VIEWER, Role.EDITOR)}
    for role, person in people.items():
        services.share_task(user=task.owner, task=task, person=person, role=role)
    assert [status(user, address) for user in (task.owner, staff, people[Role.EDITOR])] == [200] * 3
    assert status(people[Role.VIEWER], address) == HTTPStatus.FORBIDDEN
    assert status(stranger, address) == HTTPStatus.NOT_FOUND
    services.delete_task(user=task.owner, task=task)
    assert status(task.owner, address) == HTTPStatus.NOT_FOUND


def test_whoever_may_change_the_files_of_a_dataset(
    owner: User, stranger: User, staff: User
) -> None:
    shared = Dataset.objects.create(name="rivers", owner=owner, for_everybody=True)
    in_place = Dataset.objects.create(name="pool", owner=staff, path="pool", for_everybody=True)
    editor = make_user("editor")
    DatasetMember.objects.create(dataset=shared, user=editor, role=DatasetRole.EDITOR)
    address = f"/api/v1/datasets/{shared.public_id}/files/x"
    assert [status(user, address) for user in (owner, staff, editor)] == [200] * 3
    assert status(stranger, address) == HTTPStatus.FORBIDDEN
    assert status(staff, address.replace(shared.public_id, in_place.public_id)) == 403
    assert status(owner, address.replace(shared.public_id, "nosuch")) == HTTPStatus.NOT_FOUND


def test_nowhere_else_and_under_no_other_name(task: Task) -> None:
    base = f"/api/v1/tasks/{task.public_id}/files"
    for path in (*NOWHERE, f"{base}/nowhere/x", f"{base}/input"):
        assert status(task.owner, path) == HTTPStatus.NOT_FOUND, path
    for name in TRICKS:
        assert status(task.owner, f"{base}/input/{name}") in (400, 404), name


@pytest.mark.parametrize(("length", "expected"), [(5000, 200), (5001, 507), (None, 200)])
def test_not_what_could_never_fit(task: Task, length: int | None, expected: int) -> None:
    """What may take the place of another file is the view's to say."""
    UserLimits.objects.create(user=task.owner, max_storage=5000)
    Task.objects.update(storage_used=5000)
    address = f"/api/v1/tasks/{task.public_id}/files/input/x"
    assert status(task.owner, address, length) == expected
