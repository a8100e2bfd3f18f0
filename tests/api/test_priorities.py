"""Administrators raise and lower Runs that wait: over the API and on the cluster page."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry, User
from jobs import services
from jobs.models import Lane, Run, Task
from jobs.services import Forbidden
from jobs.states import RunState
from tests.api.conftest import client_of
from tests.factories import make_run, make_user


def prioritize(client: Client, run: Run, priority: Any) -> Any:
    address = f"/api/v1/runs/{run.public_id}/priority"
    return client.post(address, {"priority": priority}, content_type="application/json")


@pytest.fixture
def root(staff: User) -> Client:
    return client_of(staff)


def test_a_waiting_run_is_raised_and_lowered(root: Client, task: Task) -> None:
    run = make_run(task)
    for priority in (3, 3, -2):
        answer = prioritize(root, run, priority)
        assert (answer.status_code, answer.json()["priority"]) == (200, priority)
    told = AuditEntry.objects.filter(action="run.prioritized").order_by("pk")
    assert [each.detail for each in told] == ["3 instead of 0", "-2 instead of 3"]
    assert told[0].subject == f"{task.name} #{run.number}"


def test_only_administrators_may(api: Client, owner: User, task: Task) -> None:
    run = make_run(task)
    assert prioritize(api, run, 1).status_code == 403
    for user in (owner, make_user(staff=True, is_active=False)):
        with pytest.raises(Forbidden, match="Only administrators may change a Run's priority"):
            services.prioritize(user=user, run=run, priority=1)
    run.refresh_from_db()
    assert run.priority == 0


def test_what_does_not_wait_in_line_is_refused(root: Client, task: Task) -> None:
    ended = make_run(task, number=2, state=RunState.SUCCEEDED)
    quick = make_run(task, number=3, lane=Lane.QUICK)
    assert "does not wait any more" in prioritize(root, ended, 1).json()["detail"]
    assert "Quick commands have no place" in prioritize(root, quick, 1).json()["detail"]
    for refused in (10, -10, "high"):
        assert (
            prioritize(root, make_run(task, number=4 + len(str(refused))), refused).status_code
            == 400
        )
    assert not AuditEntry.objects.filter(action="run.prioritized").exists()


def test_running_it_again_begins_at_the_usual_priority(staff: User, task: Task) -> None:
    run = make_run(task)
    services.prioritize(user=staff, run=run, priority=5)
    assert services.run_again(user=staff, run=run).priority == 0


def test_the_cluster_page_raises_and_lowers(staff: User, owner: User, task: Task) -> None:
    run = make_run(task)
    page = Client()
    page.force_login(owner)
    assert "Raise" not in page.get("/cluster/now/").content.decode()
    page.force_login(staff)
    shown = page.get("/cluster/now/").content.decode()
    assert 'name="priority" value="1"' in shown
    assert 'name="priority" value="-1"' in shown
    address = reverse("run_priority", args=[run.public_id])
    answer = page.post(address, {"priority": "9"}, headers={"HX-Request": "true"})
    shown = answer.content.decode()
    assert "priority 9" in shown
    assert 'value="8"' in shown
    assert "Raise" not in shown  # There is nothing above.
    assert page.post(address, {"priority": "first"}).status_code == 302
    Run.objects.filter(pk=run.pk).update(state=RunState.CANCELLED, finished_at=run.created_at)
    assert (
        "does not wait any more"
        in page.post(address, {"priority": "1"}, follow=True).content.decode()
    )
