"""Tasks, tokens and Environments over the API."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import ApiToken, User
from files import storage
from jobs.models import Environment, Task
from tests.factories import PASSWORD

GIB = 1024**3


def post(api: Client, address: str, body: Any) -> Any:
    return api.post(f"/api/v1/{address}", body, content_type="application/json")


def test_make_and_change_a_task(api: Client, owner: User, environment: Environment) -> None:
    response = post(
        api, "tasks", {"name": "River flow", "environment": "r", "cpus": 0.5, "memory": 2 * GIB}
    )
    assert response.status_code == 201
    shown = response.json()
    assert response.headers["Location"] == f"/api/v1/tasks/{shown['id']}"
    task = Task.objects.get(public_id=shown["id"])
    assert shown == {
        "id": task.public_id,
        "name": "River flow",
        "description": "",
        "owner": "owner",
        "role": "owner",
        "environment": "r",
        "cpus": 0.5,
        "memory": 2 * GIB,
        "time_limit": 24 * 3600,
        "created_at": task.created_at.isoformat().replace("+00:00", "Z"),
        "used_at": task.used_at.isoformat().replace("+00:00", "Z"),
        "datasets": [],
        "archived_at": None,
        "deleted_at": None,
        "goes_at": None,
        "storage_used": 0,
        "storage_measured_at": None,
        "copying": None,
        "published_url": None,
        "url": f"/tasks/{task.public_id}/",
    }
    assert [storage.area(task.public_id, area).entries() for area in storage.AREAS] == [[], [], []]
    address = f"/api/v1/tasks/{task.public_id}"
    changed = api.patch(
        address, {"name": "New", "environment": None}, content_type="application/json"
    )
    assert (changed.json()["name"], changed.json()["environment"]) == ("New", None)
    assert api.get(address).json() == changed.json()


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("name", {}),
        ("name", {"name": ""}),
        ("name", {"name": "   "}),
        ("name", {"name": "x" * 201}),
        ("name", {"name": 7}),
        ("owner", {"name": "x", "owner": "stranger"}),
        ("environment", {"name": "x", "environment": "none"}),
        ("cpus", {"name": "x", "cpus": 0}),
        ("memory", {"name": "x", "memory": None}),
        ("time_limit", {"name": "x", "time_limit": "1h"}),
    ],
)
def test_what_is_no_task_is_refused(
    api: Client, environment: Environment, field: str, body: dict[str, Any]
) -> None:
    response = post(api, "tasks", body)
    assert response.status_code == 400
    assert list(response.json()["errors"]) == [field]
    assert not Task.objects.exists()


def test_tokens(api: Client, owner: User) -> None:
    client = Client()
    client.login(username="owner", password=PASSWORD)
    made = post(client, "tokens", {"name": "laptop", "scopes": ["read", "manage"]})
    assert made.status_code == 201
    text = made.json()["token"]
    assert text.startswith("rct_")
    fresh = Client(headers={"Authorization": f"Bearer {text}"})
    assert fresh.get("/api/v1/me").json() == {
        "username": "owner",
        "name": "",
        "email": "",
        "staff": False,
    }
    listed = client.get("/api/v1/tokens").json()["results"]
    assert [each["name"] for each in listed][:1] == ["laptop"]
    assert text not in client.get("/api/v1/tokens").content.decode()
    assert post(client, "tokens", {"name": "laptop"}).json()["errors"]["name"]
    assert fresh.delete(f"/api/v1/tokens/{made.json()['id']}").status_code == 204
    assert fresh.get("/api/v1/me").status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": " "},
        {"name": "x" * 101},
        {"name": "x", "expires_at": "tomorrow"},
        {"name": "x", "expires_at": "2020-01-01T00:00:00Z"},
        {"name": "x", "expires_at": "2120-01-01T00:00:00Z"},
        {"name": "x", "user": "staff"},
        {"name": "x", "scopes": []},
        {"name": "x", "scopes": ["root"]},
        {"name": "x", "scopes": "read"},
    ],
)
def test_tokens_that_are_refused(api: Client, body: dict[str, Any]) -> None:
    response = post(api, "tokens", body)
    assert response.status_code == 400
    assert response.json()["errors"]
    assert ApiToken.objects.count() == 1


def test_a_token_makes_none_that_outlives_it(api: Client) -> None:
    mine = ApiToken.objects.get()
    later = (mine.expires_at + timedelta(days=1)).isoformat()
    assert list(post(api, "tokens", {"name": "x", "expires_at": later}).json()["errors"]) == [
        "expires_at"
    ]
    assert post(api, "tokens", {"name": "y"}).status_code == 201
    assert ApiToken.objects.get(name="y").expires_at == mine.expires_at
