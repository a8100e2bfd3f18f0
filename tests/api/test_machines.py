"""The cluster over the API: what is free where, and what only administrators may do."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from jobs.models import GIB, Machine, Site, Task
from jobs.states import RunState
from tests.api.conftest import client_of
from tests.factories import make_machine, make_run, make_task, make_token

ACTS = ("drain", "undrain", "declare-lost")


@pytest.fixture(autouse=True)
def site(db: None) -> None:
    site = Site.load()
    site.backend, site.backend_memory, site.backend_network = "local", "cgroup", "full"
    site.backend_notes = ["Memory is limited by cgroup v1."]
    site.save()


def act(client: Client, machine: object, what: str) -> Any:
    return client.post(f"/api/v1/cluster/machines/{machine}/{what}")


def test_the_cluster(api: Client, task: Task, stranger: User) -> None:
    make_machine("n10", attributes={"disk": "ssd"})
    make_machine("n2", free_cpus=Decimal("0.5"), free_memory=GIB)
    make_machine("elsewhere", backend="docker")
    mine = [
        make_run(task, state=state, machine="n10", cpus=Decimal("1.5"), memory=GIB)
        for state in (RunState.RUNNING, RunState.STARTING, RunState.SUCCEEDED)
    ]
    make_run(task)
    make_run(make_task(stranger), state=RunState.RUNNING, machine="n10", cpus=1, memory=GIB)
    shown = api.get("/api/v1/cluster").json()
    n2, n10 = shown.pop("machines")
    assert shown == {
        "backend": "local",
        "mesos": None,
        "images": False,
        "memory": "cgroup",
        "network": "full",
        "notes": ["Memory is limited by cgroup v1."],
        "total": {
            "machines": 2, "taking": 2, "cpus": 8.0, "memory": 16 * GIB, "used_cpus": 4.0,
            "used_memory": 3 * GIB, "free_cpus": 0.5, "free_memory": 6 * GIB,
        },
        "runs": {"queued": 1, "starting": 1, "running": 2},
    }  # fmt: skip
    assert n10.pop("heard_at").endswith("Z")
    assert n10 == {
        "id": Machine.objects.get(name="n10").pk,
        "name": "n10",
        "attributes": {"disk": "ssd"},
        "cpus": 4.0,
        "memory": 8 * GIB,
        "used_cpus": 4.0,
        "used_memory": 3 * GIB,
        "free_cpus": 0.0,
        "free_memory": 5 * GIB,
        "runs": [run.public_id for run in mine[:2]],
        "run_count": 3,
        "takes_runs": True,
        "answers": True,
        "note": "",
        "advice": "",
        "drained_at": None,
        "drained_by": None,
        "lost_at": None,
        "lost_by": None,
    }
    assert (n2["name"], n2["free_cpus"], n2["free_memory"], n2["runs"]) == ("n2", 0.5, GIB, [])


def test_a_machine_that_gets_no_runs_is_not_part_of_the_total(api: Client, staff: User) -> None:
    make_machine("a")
    make_machine("drained", drained_at=timezone.now(), drained_by=staff)
    make_machine("away", present=False)
    make_machine("silent", heard_at=timezone.now() - timedelta(minutes=5))
    make_machine("aside", note="Launches keep failing on it.")
    shown = api.get("/api/v1/cluster").json()
    assert {each["name"]: each["takes_runs"] for each in shown["machines"]} == {
        "a": True,
        "aside": False,
        "away": False,
        "drained": False,
        "silent": False,
    }
    assert (shown["total"]["machines"], shown["total"]["taking"]) == (5, 1)
    assert shown["total"]["free_cpus"] == 4.0


def test_a_machine_that_is_long_gone_is_forgotten_once_its_runs_are(
    api: Client, task: Task
) -> None:
    long_ago = timezone.now() - timedelta(days=8)
    make_machine("gone", present=False, heard_at=long_ago)
    make_machine("held", present=False, heard_at=long_ago)
    make_run(task, state=RunState.RUNNING, machine="held")
    assert [each["name"] for each in api.get("/api/v1/cluster").json()["machines"]] == ["held"]


def test_two_hundred_machines_cost_the_statements_of_one(
    api: Client, owner: User, stranger: User, staff: User
) -> None:
    def statements(client: Client) -> int:
        client.get("/api/v1/cluster")
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/api/v1/cluster").status_code == 200
        assert not any("script_text" in query["sql"] for query in queries)
        return len(queries)

    client = client_of(staff)
    make_machine("n0")
    one = statements(client)
    assert one <= 6
    for number in range(1, 200):
        make_machine(f"n{number}", drained_by=staff, drained_at=timezone.now())
    for number, person in enumerate([owner, stranger, staff] * 5):
        make_run(make_task(person), state=RunState.RUNNING, machine=f"n{number % 7}")
    assert statements(client) == statements(api) == one
    assert len(api.get("/api/v1/cluster").json()["machines"]) == 200


def test_draining_and_taking_back(staff: User) -> None:
    make_machine("n1")
    client = client_of(staff)
    drained = act(client, "n1", "drain")
    assert drained.status_code == 200
    assert (drained.json()["drained_by"], drained.json()["takes_runs"]) == ("staff", False)
    assert act(client, "n1", "drain").json()["drained_at"] == drained.json()["drained_at"]
    back = act(client, drained.json()["id"], "undrain").json()
    assert (back["drained_at"], back["drained_by"], back["takes_runs"]) == (None, None, True)
    assert act(client, "n1", "undrain").status_code == 200


def test_a_machine_that_answers_is_not_lost(staff: User) -> None:
    machine = make_machine("n1")
    client = client_of(staff)
    refused = act(client, "n1", "declare-lost")
    assert refused.status_code == 400
    assert refused.json()["detail"].startswith("n1 answers, so it is not lost.")
    machine.refresh_from_db()
    assert machine.lost_at is None
    Machine.objects.update(present=False)
    lost = act(client, "n1", "declare-lost").json()
    assert lost["lost_by"] == "staff"
    assert lost["lost_at"].endswith("Z")


@pytest.mark.parametrize("what", ACTS)
def test_nobody_else_may(api: Client, what: str) -> None:
    machine = make_machine("n1", present=False)
    for name in ("n1", machine.pk, "no-such"):
        answer = act(api, name, what)
        assert answer.status_code == 403
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["detail"] == "Only administrators may do this."
        assert act(Client(), name, what).status_code == 401
    machine.refresh_from_db()
    assert (machine.drained_at, machine.lost_at) == (None, None)


@pytest.mark.parametrize("what", ACTS)
def test_only_with_post_and_only_what_there_is(staff: User, what: str) -> None:
    make_machine("n1")
    make_machine("n1", backend="docker", cpus=1)
    client = client_of(staff)
    assert client.get(f"/api/v1/cluster/machines/n1/{what}").status_code == 405
    for odd in ("no-such", "0", "9" * 18, "9" * 30, "%00", "x" * 300, "%0A"):
        assert act(client, odd, what).status_code == 404, odd
    assert client.post(f"/api/v1/cluster/machines/n1/{what}/").status_code in (200, 400)
    assert not Machine.objects.filter(backend="docker", drained_at__isnull=False).exists()


def test_the_session_needs_a_csrf_token(staff: User) -> None:
    make_machine("n1")
    client = Client(enforce_csrf_checks=True)
    client.force_login(staff)
    assert act(client, "n1", "drain").status_code == 403
    by_token = Client(
        enforce_csrf_checks=True, headers={"Authorization": f"Bearer {make_token(staff)}"}
    )
    assert act(by_token, "n1", "drain").status_code == 200
