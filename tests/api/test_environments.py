"""Environments over the API: everybody reads, administrators write."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from jobs.models import Environment, Run, Site
from jobs.states import RunState
from tests.api.conftest import client_of
from tests.factories import make_environment

FIELDS = (
    *("id", "name", "description", "image", "pull_policy", "digest", "digest_since", "packages"),
    *("constraints", "state", "is_default", "ready_at", "retired_at", "check"),
)


@pytest.fixture(autouse=True)
def images(db: None) -> None:
    site = Site.load()
    site.backend, site.backend_has_images = "docker", True
    site.save()
    make_environment(image="registry.example.org/usual:1")


@pytest.fixture
def admin(staff: User) -> Client:
    return client_of(staff)


def ask(client: Client, method: str, path: str, **body: Any) -> Any:
    return client.generic(
        method, f"/api/v1/environments{path}", json.dumps(body), content_type="application/json"
    )


def add(admin: Client, **more: Any) -> dict[str, Any]:
    answer = ask(admin, "POST", "", name="R 4", image="registry.example.org/team/r:4", **more)
    assert answer.status_code == 201, answer.content
    assert answer.headers["Location"] == f"/api/v1/environments/{answer.json()['id']}"
    found: dict[str, Any] = answer.json()
    return found


def succeed(slug: str) -> None:
    run = Environment.objects.get(slug=slug).check_run
    assert run is not None
    Run.objects.filter(pk=run.pk).update(
        state=RunState.SUCCEEDED,
        attempt=1,
        backend="docker",
        placed_at=timezone.now(),
        finished_at=timezone.now(),
        image_digest="team/r@sha256:aa",
    )


def test_add_watch_its_check_and_choose_it(admin: Client, api: Client) -> None:
    made = add(admin, packages=["stats"], description="For rivers", pull_policy="missing")
    assert tuple(made) == FIELDS
    assert (made["id"], made["state"], made["packages"]) == ("r-4", "checking", ["stats"])
    assert made["check"]["state"] == "queued"
    check = admin.get(f"/api/v1/runs/{made['check']['run']}")
    assert check.json()["arguments"] == ["stats"]
    assert api.get(f"/api/v1/runs/{made['check']['run']}").status_code == 404
    assert [each["id"] for each in ask(api, "GET", "").json()["results"]] == ["r"]
    everything = ask(api, "GET", "?all=true").json()["results"]
    assert [each["id"] for each in everything] == ["r", "r-4"]
    task = {"name": "Rivers", "environment": "r-4"}
    refused = api.post("/api/v1/tasks", task, content_type="application/json")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["environment"])
    succeed("r-4")
    found = ask(api, "GET", "/r-4").json()
    assert (found["state"], found["digest"]) == ("ready", "team/r@sha256:aa")
    assert [each["id"] for each in ask(api, "GET", "").json()["results"]] == ["r", "r-4"]
    assert api.post("/api/v1/tasks", task, content_type="application/json").status_code == 201


def test_change_retire_and_take_back(admin: Client) -> None:
    add(admin)
    succeed("r-4")
    changed = ask(admin, "PATCH", "/r-4", description="Better", is_default=True)
    assert (changed.status_code, changed.json()["is_default"]) == (200, True)
    assert ask(admin, "PATCH", "/r-4", retired=True).status_code == 400, "it is the usual one"
    retired = ask(admin, "PATCH", "/r", retired=True).json()
    assert (retired["state"], retired["retired_at"] is not None) == ("retired", True)
    assert ask(admin, "PATCH", "/r", retired=False).json()["state"] == "ready"


def test_all_of_a_change_or_nothing(admin: Client) -> None:
    refused = ask(admin, "PATCH", "/r", description="Better", retired=True)
    assert refused.status_code == 400
    assert Environment.objects.get(slug="r").description == ""


def test_check_again(admin: Client) -> None:
    first = ask(admin, "POST", "/r/check")
    assert first.status_code == 200, first.content
    assert ask(admin, "POST", "/r/check").json()["id"] == first.json()["id"]
    assert ask(admin, "GET", "/r").json()["check"]["run"] == first.json()["id"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "", {"name": "R 4", "image": "r:4"}),
        ("PATCH", "/r", {"name": "Mine"}),
        ("POST", "/r/check", {}),
    ],
)
def test_others_may_only_look(api: Client, method: str, path: str, body: dict[str, Any]) -> None:
    answer = ask(api, method, path, **body)
    assert (answer.status_code, answer.json()["detail"]) == (
        403,
        "Only administrators may do this.",
    )
    assert not Run.objects.exists()


def test_there_is_none(admin: Client) -> None:
    for path in ("/nosuch", "/r%00", "/%F0%9F%9A%80", "/" + "x" * 60):
        assert ask(admin, "GET", path).status_code == 404, path
        assert ask(admin, "PATCH", path).status_code == 404, path
        assert ask(admin, "POST", f"{path}/check").status_code == 404, path


@pytest.mark.parametrize(
    ("method", "path", "field", "body"),
    [
        ("GET", "?all=maybe", "all", {}),
        ("POST", "", "name", {"image": "r:4"}),
        ("POST", "", "image", {"name": "R 4", "image": "http://r"}),
        ("POST", "", "id", {"name": "R 4", "image": "r:4", "id": "r"}),
        ("POST", "", "is_default", {"name": "R 4", "image": "r:4", "is_default": True}),
        ("POST", "", "packages", {"name": "R 4", "image": "r:4", "packages": "stats"}),
        ("POST", "", "packages", {"name": "R 4", "image": "r:4", "packages": ["no name"]}),
        ("PATCH", "/r", "is_default", {"is_default": False}),
        ("PATCH", "/r", "retired", {"retired": "yes"}),
        ("PATCH", "/r", "pull_policy", {"pull_policy": "sometimes"}),
        ("PATCH", "/r", "id", {"id": "q"}),
    ],
)
def test_what_is_refused(
    admin: Client, method: str, path: str, field: str, body: dict[str, Any]
) -> None:
    answer = ask(admin, method, path, **body)
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [field]), answer.content


def test_a_list_costs_the_same_with_many(admin: Client) -> None:
    def asked() -> tuple[int, int]:
        with CaptureQueriesContext(connection) as queries:
            answer = ask(admin, "GET", "?all=true")
        return len(answer.json()["results"]), len(queries)

    add(admin)
    asked()
    few = asked()
    for number in range(4):
        added = make_environment(f"more-{number}", image="r:1")
        assert ask(admin, "POST", f"/{added.slug}/check").status_code == 200
    assert asked() == (few[0] + 4, few[1])
