"""What a Task's addresses answer to whom, in detail; tests/site/test_matrix.py asks every address there is."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import ApiToken, User
from jobs.models import Run, Task
from jobs.states import RunState
from tests.api.conftest import client_of
from tests.factories import PASSWORD, make_run, make_token

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

# address, method -> status for the owner; all other methods are 405.
OPEN = {
    ("me", "GET"): 200,
    ("tokens", "GET"): 200,
    ("tokens", "POST"): 201,
    ("environments", "GET"): 200,
    ("cluster", "GET"): 200,
    ("tasks", "GET"): 200,
    ("tasks", "POST"): 201,
    ("runs", "GET"): 200,
}
OWNED = {
    ("tokens/{token}", "DELETE"): 204,
    ("tasks/{task}", "GET"): 200,
    ("tasks/{task}", "PATCH"): 200,
    ("tasks/{task}", "DELETE"): 409,  # one of its Runs waits
    ("tasks/{task}/runs", "GET"): 200,
    ("tasks/{task}/runs", "POST"): 201,
    ("tasks/{task}/files/code", "GET"): 200,
    ("tasks/{task}/files/code", "POST"): 201,
    ("tasks/{task}/files/code/main.R", "GET"): 200,
    ("tasks/{task}/files/code/main.R", "PUT"): 200,
    ("tasks/{task}/files/code/main.R", "POST"): 400,
    ("tasks/{task}/files/code/main.R", "PATCH"): 200,
    ("tasks/{task}/files/code/main.R", "DELETE"): 204,
    ("runs/{run}", "GET"): 200,
    ("runs/{run}/cancel", "POST"): 200,
    ("runs/{run}/again", "POST"): 201,
    ("runs/{run}/log", "GET"): 200,
}
BODIES: dict[tuple[str, str], Any] = {
    ("tokens", "POST"): {"name": "another"},
    ("tasks", "POST"): {"name": "New"},
    ("tasks/{task}", "PATCH"): {"name": "Renamed"},
    ("tasks/{task}/runs", "POST"): {"script_path": "main.R"},
    ("runs/{run}/cancel", "POST"): {"reason": "wrong file"},
    ("runs/{run}/again", "POST"): {"memory": 2 * 1024**3},
    ("tasks/{task}/files/code", "POST"): {"folder": "new"},
    ("tasks/{task}/files/code/main.R", "POST"): {"folder": "new"},
    ("tasks/{task}/files/code/main.R", "PATCH"): {"path": "moved.R"},
}
ADDRESSES = sorted({address for address, _ in OPEN | OWNED})
CASES = [
    (address, method)
    for address in ADDRESSES
    for method in METHODS
    if (address, method) != ("environments", "POST")  # for administrators: test_environments.py
]


@pytest.fixture
def ids(task: Task, owner: User, put: Callable[[str, bytes], None]) -> dict[str, str]:
    put("code/main.R", b"cat(1)\n")
    run = make_run(task)
    token, _ = ApiToken.issue(user=owner, name="one")
    return {"task": task.public_id, "run": run.public_id, "token": token.public_id}


def ask(client: Client, address: str, method: str, ids: dict[str, str]) -> Any:
    body = BODIES.get((address, method))
    response = client.generic(
        method,
        "/api/v1/" + address.format(**ids),
        json.dumps(body) if body is not None else b"raw",
        content_type="application/json" if body is not None else "application/octet-stream",
    )
    if response.streaming:
        # Read as a client would, which also closes the file.
        b"".join(response.streaming_content)  # type: ignore[attr-defined]
    return response


def expected(address: str, method: str) -> int:
    table = OPEN | OWNED
    return table.get((address, "GET" if method == "HEAD" else method), 405)


def is_problem(response: Any, method: str = "GET") -> bool:
    if response.headers["Content-Type"] != "application/problem+json":
        return False
    if method == "HEAD":
        return True
    body = response.json()
    return bool(body["status"] == response.status_code and body["detail"] and body["title"])


@pytest.mark.parametrize(("address", "method"), CASES)
def test_nobody_gets_in_without_signing_in(address: str, method: str, ids: dict[str, str]) -> None:
    response = ask(Client(), address, method, ids)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert is_problem(response, method)


@pytest.mark.parametrize(("address", "method"), CASES)
def test_an_expired_token_opens_nothing(
    address: str, method: str, ids: dict[str, str], owner: User
) -> None:
    token = make_token(owner, lifetime=-timedelta(seconds=1))
    response = ask(Client(headers={"Authorization": f"Bearer {token}"}), address, method, ids)
    assert response.status_code == 401
    assert is_problem(response, method)


@pytest.mark.parametrize(("address", "method"), CASES)
def test_a_stranger_sees_nothing_of_it(
    address: str, method: str, ids: dict[str, str], stranger: User
) -> None:
    """404 where the owner gets in, exactly as for an id that does not exist."""
    response = ask(client_of(stranger), address, method, ids)
    status = expected(address, method)
    assert response.status_code == (status if (address, "GET") in OPEN or status == 405 else 404)
    if response.status_code == 404:
        none = dict.fromkeys(ids, "0" * 16)
        same = ask(client_of(stranger), address, method, none)
        assert (same.status_code, same.content) == (404, response.content)
        assert is_problem(response, method)


@pytest.mark.parametrize(("address", "method"), CASES)
def test_the_owner_gets_in(address: str, method: str, ids: dict[str, str], api: Client) -> None:
    response = ask(api, address, method, ids)
    assert response.status_code == expected(address, method)
    if response.status_code >= 400:
        assert is_problem(response, method)


@pytest.mark.parametrize(("address", "method"), CASES)
def test_staff_get_in_except_to_the_tokens_of_others(
    address: str, method: str, ids: dict[str, str], staff: User
) -> None:
    response = ask(client_of(staff), address, method, ids)
    status = expected(address, method)
    assert response.status_code == (404 if address == "tokens/{token}" and status < 400 else status)


def test_the_session_works_too_and_needs_a_csrf_token_to_change_things(
    task: Task, owner: User
) -> None:
    client = Client(enforce_csrf_checks=True)
    assert client.login(username="owner", password=PASSWORD)
    assert client.get("/api/v1/me").json()["username"] == "owner"
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for address in ("tasks", f"tasks/{task.public_id}", f"tasks/{task.public_id}/files/code/x"):
            response = client.generic(method, f"/api/v1/{address}", b"{}")
            assert response.status_code in (403, 405)
            assert is_problem(response)
    assert not Task.objects.exclude(pk=task.pk).exists()


def test_a_token_needs_no_csrf_token(owner: User, environment: object) -> None:
    headers = {"Authorization": f"Bearer {make_token(owner)}"}
    client = Client(enforce_csrf_checks=True, headers=headers)
    response = client.post("/api/v1/tasks", {"name": "x"}, content_type="application/json")
    assert response.status_code == 201


def test_lists_hold_only_what_one_may_see(
    task: Task, owner: User, stranger: User, staff: User
) -> None:
    run = make_run(task, state=RunState.SUCCEEDED)
    for user, seen in ((owner, True), (stranger, False), (staff, True)):
        client = client_of(user)
        tasks = [each["id"] for each in client.get("/api/v1/tasks").json()["results"]]
        runs = [each["id"] for each in client.get("/api/v1/runs").json()["results"]]
        assert (tasks, runs) == (([task.public_id], [run.public_id]) if seen else ([], []))
        of_task = client.get(f"/api/v1/runs?task={task.public_id}")
        assert of_task.status_code == (200 if seen else 404)


def test_what_a_stranger_may_not_do_does_not_happen(
    ids: dict[str, str], task: Task, stranger: User
) -> None:
    for address, method in CASES:
        if (address, method) not in OPEN:
            ask(client_of(stranger), address, method, ids)
    task.refresh_from_db()
    assert task.name == "Rivers"
    run = Run.objects.get()
    assert (run.state, run.cancel_requested_at) == (RunState.QUEUED, None)
    assert ApiToken.objects.filter(public_id=ids["token"]).exists()


# A slash after a file's name asks for a folder.
@pytest.mark.parametrize("address", [each for each in ADDRESSES if not each.endswith("main.R")])
def test_a_slash_at_the_end_is_fine(address: str, ids: dict[str, str], api: Client) -> None:
    statuses = {
        api.options(f"/api/v1/{address.format(**ids)}{slash}").status_code for slash in ("", "/")
    }
    assert statuses == {200}


@pytest.mark.parametrize("odd", ["%00", "x%00", "%FF", "%0A", "x" * 5000, "0" * 15 + "%0A", "İ"])
def test_odd_ids_are_unknown_ids(api: Client, odd: str) -> None:
    for address in ("tasks/{}", "tasks/{}/runs", "tasks/{}/files/code", "runs/{}", "runs?task={}"):
        response = api.get("/api/v1/" + address.format(odd))
        assert response.status_code == 404
        assert is_problem(response)
    assert api.delete(f"/api/v1/tokens/{odd}").status_code == 404


def test_an_unknown_address_is_a_problem(api: Client) -> None:
    for address in ("nothing", "tasks/x/y/z", "runs/x/stop"):
        response = api.get(f"/api/v1/{address}")
        assert response.status_code == 404
        assert is_problem(response)
