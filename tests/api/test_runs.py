"""Submitting, watching and ending Runs over the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import DjangoAssertNumQueries

from accounts.models import User
from jobs.models import Environment, Run, Task
from jobs.states import Reason, RunState
from tests.factories import make_environment, make_run, make_task

GIB = 1024**3
FIELDS = set(
    "id task number title kind script_path script_text command arguments datasets variables environment "  # noqa: SIM905
    "image_digest cpus memory time_limit constraints lane priority retry_if_lost state reason explanation "
    "ahead cancelling attempt backend machine submitted_by repeats created_at placed_at started_at "
    "finished_at cancel_requested_at exit_code log_size log_dropped peak_memory cpu_seconds stdin "
    "url".split()
)


@pytest.fixture(autouse=True)
def script(put: Callable[[str, bytes], None]) -> None:
    put("code/main.R", b"cat(commandArgs(TRUE))\n")


def post(api: Client, address: str, body: Any) -> Any:
    return api.post(f"/api/v1/{address}", body, content_type="application/json")


def submit(api: Client, task: Task, **body: Any) -> Any:
    return post(api, f"tasks/{task.public_id}/runs", body)


def test_everything_that_can_be_asked_for(api: Client, task: Task) -> None:
    make_environment("r-4", is_default=False)
    response = submit(
        api,
        task,
        kind="script",
        script_path="main.R",
        arguments=["--rivers", "a b", "", "ü"],
        variables={"SEED": "7", "_x": ""},
        stdin="1\n2\n",
        environment="r-4",
        cpus=0.5,
        memory=256 * 1024**2,
        time_limit=60,
        constraints="zone:a,disk:ssd",
        retry_if_lost=True,
    )
    assert response.status_code == 201
    shown = response.json()
    assert set(shown) == FIELDS
    assert response.headers["Location"] == f"/api/v1/runs/{shown['id']}"
    assert shown["url"] == f"/runs/{shown['id']}/"
    run = Run.objects.get(public_id=shown["id"])
    assert run.stdin == "1\n2\n"
    assert (shown["script_text"], shown["stdin"]) == ("cat(commandArgs(TRUE))\n", "1\n2\n")
    for name, value in {
        "task": task.public_id,
        "number": 1,
        "kind": "script",
        "arguments": ["--rivers", "a b", "", "ü"],
        "variables": {"SEED": "7", "_x": ""},
        "environment": "r-4",
        "cpus": 0.5,
        "memory": 256 * 1024**2,
        "time_limit": 60,
        "constraints": "disk:ssd, zone:a",
        "retry_if_lost": True,
        "state": "queued",
        "reason": "submitted",
        "ahead": None,
        "attempt": 0,
        "submitted_by": "owner",
        "repeats": None,
        "started_at": None,
        "exit_code": None,
        "cancelling": False,
    }.items():
        assert shown[name] == value, name
    assert shown["created_at"].endswith("Z")
    assert api.get(f"/api/v1/runs/{shown['id']}").json() == shown


def test_the_kind_follows_from_the_rest_and_the_rest_from_the_task(api: Client, task: Task) -> None:
    script = submit(api, task, script_path="main.R").json()
    command = submit(api, task, command="ls | wc -l").json()
    assert (script["kind"], command["kind"]) == ("script", "command")
    assert (script["cpus"], script["memory"]) == (float(task.cpus), task.memory)
    assert (script["lane"], command["lane"]) == ("queue", "quick")
    queued = submit(api, task, command="ls | wc -l", lane="queue").json()
    assert (queued["lane"], queued["cpus"], queued["memory"]) == (
        "queue",
        float(task.cpus),
        task.memory,
    )
    again = post(api, f"runs/{command['id']}/again", {"lane": "queue"}).json()
    assert (again["lane"], again["time_limit"]) == ("queue", task.time_limit)
    assert command["environment"] == "r"
    assert command["title"] == "ls | wc -l"


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("kind", {}),
        ("kind", {"kind": "notebook", "script_path": "main.R"}),
        ("kind", {"script_path": "main.R", "command": "ls"}),
        ("comand", {"comand": "ls"}),
        ("state", {"command": "ls", "state": "succeeded"}),
        ("id", {"command": "ls", "id": "x"}),
        ("script_path", {"script_path": "missing.R"}),
        ("script_path", {"script_path": "../../secret"}),
        ("script_path", {"script_path": "/etc/passwd"}),
        ("script_path", {"script_path": "x" * 501}),
        ("script_path", {"script_path": "main.R\0"}),
        ("script_path", {"script_path": ["main.R"]}),
        ("command", {"command": "l\0s"}),
        ("command", {"command": 7}),
        ("command", {"kind": "command", "command": "  "}),
        ("arguments", {"command": "ls", "arguments": "-l"}),
        ("arguments", {"command": "ls", "arguments": [1]}),
        ("arguments", {"command": "ls", "arguments": [None]}),
        ("arguments", {"command": "ls", "arguments": ["a\0b"]}),
        ("arguments", {"command": "ls", "arguments": ["x"] * 1001}),
        ("arguments", {"command": "ls", "arguments": ["x" * 70_000]}),
        ("arguments", {"command": "ls", "arguments": {"a": "b"}}),
        ("variables", {"command": "ls", "variables": ["A=b"]}),
        ("variables", {"command": "ls", "variables": {"A": 1}}),
        ("variables", {"command": "ls", "variables": {"A": None}}),
        ("variables", {"command": "ls", "variables": {"": "x"}}),
        ("variables", {"command": "ls", "variables": {"1A": "x"}}),
        ("variables", {"command": "ls", "variables": {"A=B": "x"}}),
        ("variables", {"command": "ls", "variables": {"A\n": "x"}}),
        ("variables", {"command": "ls", "variables": {"A": "x\0"}}),
        ("variables", {"command": "ls", "variables": {"RCLUSTER_HOME": "x"}}),
        ("variables", {"command": "ls", "variables": {"LD_PRELOAD": "x"}}),
        ("variables", {"command": "ls", "variables": {f"V{n}": "" for n in range(1001)}}),
        ("stdin", {"command": "cat", "stdin": "x" * (1024**2 + 1)}),
        ("stdin", {"command": "cat", "stdin": "a\0"}),
        ("stdin", {"command": "cat", "stdin": 1}),
        ("environment", {"command": "ls", "environment": "no-such"}),
        ("environment", {"command": "ls", "environment": 1}),
        ("environment", {"command": "ls", "environment": "r\0"}),
        ("environment", {"command": "ls", "environment": "\ud800"}),
        ("stdin", {"command": "cat", "stdin": "\ud800"}),
        ("environment", {"command": "ls", "environment": {"id": "r"}}),
        ("cpus", {"command": "ls", "cpus": 0}),
        ("cpus", {"command": "ls", "cpus": -1}),
        ("cpus", {"command": "ls", "cpus": 1e300}),
        ("cpus", {"command": "ls", "cpus": 10**400}),
        ("cpus", {"command": "ls", "cpus": "2"}),
        ("cpus", {"command": "ls", "cpus": True}),
        ("memory", {"command": "ls", "memory": 1}),
        ("memory", {"command": "ls", "memory": 2**70}),
        ("memory", {"command": "ls", "memory": 10**400}),
        ("memory", {"command": "ls", "memory": "1G"}),
        ("memory", {"command": "ls", "memory": 1024**3 + 0.5}),
        ("time_limit", {"command": "ls", "time_limit": -1}),
        ("time_limit", {"command": "ls", "time_limit": 2**40}),
        ("time_limit", {"command": "ls", "time_limit": True}),
        ("constraints", {"command": "ls", "constraints": "ssd"}),
        ("constraints", {"command": "ls", "constraints": "disk:" + "x" * 500}),
        ("constraints", {"command": "ls", "constraints": ["disk:ssd"]}),
        ("lane", {"command": "ls", "lane": "fast"}),
        ("lane", {"script_path": "main.R", "lane": "quick"}),
        ("cpus", {"command": "ls", "lane": "quick", "cpus": 1}),
        ("retry_if_lost", {"command": "ls", "retry_if_lost": "yes"}),
        ("retry_if_lost", {"command": "ls", "retry_if_lost": 1}),
    ],
    ids=lambda value: value if isinstance(value, str) else json.dumps(value)[:60],
)
def test_what_can_not_be_run_is_refused_by_field(
    api: Client, task: Task, field: str, body: dict[str, Any]
) -> None:
    response = submit(api, task, **body)
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = response.json()
    assert problem["type"] == "about:blank"
    assert list(problem["errors"]) == [field]
    assert all(sentence.endswith((".", "?")) for sentence in problem["errors"][field]), problem
    assert problem["detail"]
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "body", ["", "{", "[]", "null", '"x"', "[" * 100_000, '{"cpus": NaN, "command": "ls"}', "\xff"]
)
def test_a_body_that_is_no_object_is_refused(api: Client, task: Task, body: str) -> None:
    response = api.generic(
        "POST", f"/api/v1/tasks/{task.public_id}/runs", body, content_type="application/json"
    )
    assert response.status_code == 400
    assert response.json()["detail"]


def test_a_body_too_large_or_of_another_type(api: Client, task: Task) -> None:
    address = f"/api/v1/tasks/{task.public_id}/runs"
    large = json.dumps({"command": "cat", "stdin": "x" * 3 * 1024**2})
    assert api.post(address, large, content_type="application/json").status_code == 413
    assert api.post(address, {"command": "ls"}).status_code == 415
    form = api.post(address, "command=ls", content_type="application/x-www-form-urlencoded")
    assert form.status_code == 415
    assert form.json()["status"] == 415


def test_an_environment_that_is_retired_or_of_another_kind_is_not_offered(
    api: Client, task: Task, environment: Environment
) -> None:
    make_environment("images", image="example.org/r:1", is_default=False)
    offered = api.get("/api/v1/environments").json()
    assert [each["id"] for each in offered["results"]] == ["r"]
    assert submit(api, task, command="ls", environment="images").status_code == 400


def test_cancel_and_again(api: Client, task: Task) -> None:
    run = submit(api, task, command="sleep 60", variables={"A": "1"}).json()
    cancelled = post(api, f"runs/{run['id']}/cancel", None)
    assert cancelled.status_code == 200
    assert (cancelled.json()["state"], cancelled.json()["reason"]) == ("cancelled", "cancelled")
    assert post(api, f"runs/{run['id']}/cancel", None).json() == cancelled.json()
    again = post(api, f"runs/{run['id']}/again", {})
    assert again.status_code == 201
    shown = again.json()
    assert (shown["repeats"], shown["number"], shown["state"]) == (run["id"], 2, "queued")
    assert (shown["command"], shown["variables"]) == ("sleep 60", {"A": "1"})


def test_who_cancels_may_say_why(api: Client, task: Task) -> None:
    run = submit(api, task, command="sleep 60").json()["id"]
    for body, field in (
        ({"why": "?"}, "why"),
        ({"reason": 3}, "reason"),
        ({"reason": "x" * 201}, "reason"),
    ):
        refused = post(api, f"runs/{run}/cancel", body)
        assert (refused.status_code, list(refused.json()["errors"])) == (400, [field])
    cancelled = post(api, f"runs/{run}/cancel", {"reason": "wrong file"}).json()
    assert "(wrong file)" in cancelled["explanation"]


def test_again_with_other_resources_leaves_the_rest_as_it_was(api: Client, task: Task) -> None:
    run = submit(api, task, command="fit", variables={"A": "1"}, cpus=0.5, memory=GIB).json()
    address = f"runs/{run['id']}/again"
    shown = post(api, address, {"memory": 2 * GIB}).json()
    assert {name: shown[name] for name in ("command", "variables", "cpus", "memory")} == {
        "command": "fit",
        "variables": {"A": "1"},
        "cpus": 0.5,
        "memory": 2 * GIB,
    }
    other = post(api, address, {"cpus": 2, "time_limit": 60, "memory": None}).json()
    assert (other["cpus"], other["time_limit"], other["memory"]) == (2.0, 60, GIB)
    bare = api.generic("POST", f"/api/v1/{address}")
    assert (bare.status_code, bare.json()["memory"]) == (201, GIB)
    for wrong in ({"memory": "2 GB"}, {"memory": 1}, {"command": "other"}, {"memory": 2.5}):
        refused = post(api, address, wrong)
        assert refused.status_code == 400
        assert list(refused.json()["errors"]) == list(wrong)
    assert Run.objects.count() == 4


def test_a_waiting_run_says_how_many_are_ahead(api: Client, task: Task) -> None:
    run = make_run(task, reason=Reason.NO_ROOM, ahead=3, explanation="Needs 4 CPUs; 3 Runs ahead.")
    assert api.get(f"/api/v1/runs/{run.public_id}").json()["ahead"] == 3


def test_a_running_run_is_only_asked_to_end(api: Client, task: Task) -> None:
    run = make_run(task, state=RunState.RUNNING)
    shown = post(api, f"runs/{run.public_id}/cancel", None).json()
    assert (shown["state"], shown["cancelling"]) == ("running", True)


def test_a_run_that_failed_says_why(api: Client, task: Task) -> None:
    run = make_run(task, state=RunState.FAILED)
    shown = api.get(f"/api/v1/runs/{run.public_id}").json()
    assert (shown["state"], shown["reason"], shown["exit_code"]) == ("failed", Reason.EXIT_CODE, 3)
    assert shown["explanation"] == "The script ended with exit status 3."


def test_lists_by_state_and_task_newest_first(api: Client, task: Task, owner: User) -> None:
    other = make_task(owner, name="Other")
    one = make_run(task, state=RunState.SUCCEEDED)
    two = make_run(other, state=RunState.RUNNING)
    three = make_run(task, state=RunState.FAILED)

    def ids(query: str) -> list[str]:
        return [each["id"] for each in api.get(f"/api/v1/{query}").json()["results"]]

    assert ids("runs") == [three.public_id, two.public_id, one.public_id]
    assert ids(f"runs?task={task.public_id}") == [three.public_id, one.public_id]
    assert ids(f"tasks/{task.public_id}/runs") == [three.public_id, one.public_id]
    assert ids("runs?state=running,failed") == [three.public_id, two.public_id]
    assert ids(f"tasks/{task.public_id}/runs?state=succeeded") == [one.public_id]
    refused = api.get("/api/v1/runs?state=done")
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["state"])


def test_pages_hold_every_run_once_while_new_ones_come(api: Client, task: Task) -> None:
    made = [make_run(task).public_id for _ in range(7)]
    page = api.get("/api/v1/runs?limit=3").json()
    assert page["previous"] is None
    seen = [each["id"] for each in page["results"]]
    while page["next"]:
        make_run(task)
        page = api.get(page["next"]).json()
        seen += [each["id"] for each in page["results"]]
    assert seen == made[::-1]
    assert page["previous"]
    assert api.get("/api/v1/runs?cursor=nonsense").status_code == 404


@pytest.mark.parametrize("address", ["runs", "tasks", "tasks/{task}/runs", "cluster", "tokens"])
def test_lists_cost_the_same_however_long(
    api: Client, task: Task, owner: User, address: str
) -> None:
    def measure() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert api.get(f"/api/v1/{address.format(task=task.public_id)}").status_code == 200
        if address.endswith("runs"):
            assert not any("script_text" in query["sql"] for query in queries)
            assert not any("stdin" in query["sql"] for query in queries)
        return len(queries)

    first = make_run(task)
    measure()
    few = measure()
    for _ in range(5):
        make_run(make_task(owner), repeats=first, state=RunState.RUNNING)
        make_run(task, repeats=first)
    assert measure() == few


def test_one_run_is_three_queries(
    api: Client, task: Task, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    run = make_run(task, repeats=make_run(task))
    address = f"/api/v1/runs/{run.public_id}"
    api.get(address)
    with django_assert_num_queries(2):  # the token with its user, the Run with its neighbours
        api.get(address)
