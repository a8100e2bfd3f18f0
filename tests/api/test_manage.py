"""The API of administrators: people, limits, announcements, the audit log."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from accounts import audit
from accounts.audit import Action
from accounts.models import ApiToken, AuditEntry, Scope, User
from jobs.models import Announcement, Task, UserLimits
from tests.api.conftest import client_of
from tests.factories import make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def office(staff: User) -> Client:
    return client_of(staff)


def send(client: Client, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
    act = getattr(client, method)
    given = {} if body is None else {"data": body, "content_type": "application/json"}
    response = act(f"/api/v1/manage/{path}", **given)
    assert response.status_code == status, response.content
    return response.json() if response.content else None


@pytest.mark.parametrize(
    "path",
    ["people", "people/owner", "people/owner/limits", "limits", "announcements", "audit", "site"],
)
def test_only_administrators_with_the_widest_scope(
    api: Client, staff: User, owner: User, path: str
) -> None:
    assert api.get(f"/api/v1/manage/{path}").status_code == 403
    assert Client().get(f"/api/v1/manage/{path}").status_code == 401
    narrow = [scope.value for scope in Scope if scope is not Scope.MANAGE]
    _, text = ApiToken.issue(user=staff, name="narrow", scopes=narrow)
    reader = Client(headers={"Authorization": f"Bearer {text}"})
    assert reader.get(f"/api/v1/manage/{path}").status_code == 403
    assert client_of(staff).get(f"/api/v1/manage/{path}").status_code == 200


def test_a_persons_whole_life(office: Client, owner: User) -> None:
    added = send(office, "post", "people", {"username": "anna", "is_staff": True}, status=201)
    assert (added["username"], added["is_staff"], added["last_sign_in"]) == ("anna", True, None)
    link = send(office, "post", "people/anna/password-link")["link"]
    assert re.fullmatch(r"http://testserver/account/choose/[^/]+/[^/]+/", link)
    send(office, "patch", "people/anna", {"is_staff": False, "email": "a@example.org"})
    anna = User.objects.get(username="anna")
    assert (anna.is_staff, anna.email) == (False, "a@example.org")
    task = make_task(anna)
    assert not send(office, "patch", "people/anna", {"is_active": False})["is_active"]
    told = send(office, "delete", "people/anna", status=400)
    assert "still owns 1 Task" in told["detail"]
    assert send(office, "post", "people/anna/hand-over", {"to": "owner"}) == {
        "tasks": 1,
        "datasets": 0,
    }
    assert Task.objects.get(pk=task.pk).owner == owner
    send(office, "delete", "people/anna", status=204)
    send(office, "get", "people/anna", status=404)


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("post", "people", {"username": "a b"}, "username"),
        ("post", "people", {"username": "x", "admin": True}, "admin"),
        ("post", "people", {"username": "x", "email": "none"}, "email"),
        ("post", "people/owner/hand-over", {"to": "nobody"}, "to"),
        ("patch", "people/owner", {"cancel_runs": True}, "cancel_runs"),
        ("put", "people/owner/limits", {"max_running": -1}, "max_running"),
        ("put", "limits", {"share": 0}, "share"),
        ("put", "limits", {"max_memory": "1 GB"}, "max_memory"),
        ("post", "announcements", {"text": " "}, "text"),
        ("get", "audit?since=yesterday", None, "since"),
        ("get", "audit.csv?since=2026-11-22T18:00", None, "since"),
        ("post", "announcements", {"text": "a", "shown_from": "2026-11-22T18:00"}, "shown_from"),
        ("post", "announcements", {"text": "a", "shown_until": "9999-01-01T00:00Z"}, "shown_until"),
        (
            "post",
            "announcements",
            {"text": "a", "shown_from": "0001-01-01T00:00+09:00"},
            "shown_from",
        ),
    ],
)
def test_what_cant_be_is_told_at_its_field(
    office: Client, owner: User, method: str, path: str, body: Any, field: str
) -> None:
    assert field in send(office, method, path, body, status=400)["errors"]


def test_limits_of_one_and_of_everybody(office: Client, owner: User) -> None:
    send(office, "put", "limits", {"max_running": 4, "max_cpus": 2.5})
    held = send(office, "put", "people/owner/limits", {"max_storage": 10, "share": 2})
    assert (held["max_storage"], held["share"], held["is_own"]) == (10, 2.0, True)
    # What is left out stays as it was for them: one limit of their own does not lift the others.
    assert (held["max_running"], held["max_cpus"]) == (4, 2.5)
    send(office, "put", "people/owner/limits", {"max_storage": None})
    assert UserLimits.of(owner).max_storage is None
    send(office, "delete", "people/owner/limits", status=204)
    held = send(office, "get", "people/owner/limits")
    assert (held["max_running"], held["max_cpus"], held["is_own"]) == (4, 2.5, False)
    detail = send(office, "get", "people/owner")
    assert detail["limits"] == held
    assert detail["use"] == {"running": 0, "queued": 0, "cpus": 0.0, "memory": 0, "storage": 0}
    send(office, "delete", "limits", status=204)
    assert send(office, "get", "limits")["max_running"] is None


def test_an_announcement_is_made_changed_and_ended(office: Client) -> None:
    made = send(office, "post", "announcements", {"text": "Moving."}, status=201)
    path = f"announcements/{made['id']}"
    changed = send(office, "patch", path, {"is_warning": True})
    assert (changed["text"], changed["is_warning"]) == ("Moving.", True)
    send(office, "delete", path, status=204)
    assert Announcement.objects.get().shown_until is not None
    send(office, "delete", path, status=204)
    assert len(send(office, "get", "announcements")["results"]) == 1
    send(office, "patch", "announcements/999999999999999999999", {}, status=404)


def test_the_audit_log_is_found_by_what_and_whom(office: Client, owner: User) -> None:
    audit.note(owner, Action.TASK_SHARED, subject="Rivers", subject_id="abc")
    audit.note(None, Action.MACHINE_LOST, subject="vm")
    for query in (
        "person=owner",
        "action=task",
        "action=task.shared",
        "subject=abc",
        "subject=iver",
    ):
        (entry,) = send(office, "get", f"audit?{query}")["results"]
        assert entry["did"] == "shared the Task “Rivers”", query
        assert entry["person"] == "owner"
    assert not send(office, "get", "audit?until=2001-01-01T00:00:00Z")["results"]
    assert len(send(office, "get", "audit?since=2001-01-01T00:00:00Z")["results"]) == 2
    first = send(office, "get", "audit?limit=1")
    assert first["results"][0]["subject"] == "vm"
    assert office.get(first["next"]).json()["results"][0]["subject"] == "Rivers"
    assert not send(office, "get", "audit?person=%00")["results"]


def test_what_the_site_does_with_new_tasks(office: Client, staff: User) -> None:
    before = send(office, "get", "site")
    assert (before["publishes_by_default"], before["storage_free"]) == (False, None)
    assert send(office, "patch", "site", {})["publishes_by_default"] is False
    for _ in range(2):
        assert send(office, "patch", "site", {"publishes_by_default": True})["publishes_by_default"]
    (entry,) = AuditEntry.objects.filter(action=Action.SITE_CHANGED)
    assert (entry.actor, entry.via.startswith("token ")) == (staff, True)
    made = office.post("/api/v1/tasks", {"name": "New"}, content_type="application/json").json()
    assert made["published_url"]
    send(office, "patch", "site", {"publishes_by_default": "yes"}, status=400)


def test_everybody_reads_what_is_announced_now(office: Client, api: Client) -> None:
    for text, more in (
        ("Now.", {}),
        ("Careful.", {"is_warning": True}),
        ("Later.", {"shown_from": "2999-01-01T00:00Z"}),
    ):
        send(office, "post", "announcements", {"text": text, **more}, status=201)
    listed = api.get("/api/v1/announcements").json()["results"]
    assert [each["text"] for each in listed] == ["Careful.", "Now."]
    assert set(listed[0]) == {"id", "text", "is_warning", "shown_from", "shown_until"}


def test_the_audit_log_as_a_file(office: Client, owner: User) -> None:
    audit.note(owner, Action.TASK_SHARED, subject="=Rivers", subject_id="abc")
    audit.note(None, Action.MACHINE_LOST, subject="vm")
    answer = office.get("/api/v1/manage/audit.csv?action=task", headers={"Accept": "text/csv"})
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    head, line = b"".join(answer.streaming_content).decode().splitlines()  # type: ignore[attr-defined]
    assert head.startswith("time,person,did,")
    assert ",owner," in line
    assert ",'=Rivers,abc," in line


def test_an_administrator_revokes_a_token_of_somebody(office: Client, owner: User) -> None:
    token, text = ApiToken.issue(user=owner, name="leaked")
    (listed,) = send(office, "get", "people/owner/tokens")["results"]
    assert (listed["id"], listed["name"], "token" in listed) == (token.public_id, "leaked", False)
    send(office, "delete", f"people/stranger/tokens/{token.public_id}", status=404)
    send(office, "delete", f"people/owner/tokens/{token.public_id}", status=204)
    gone = Client(headers={"Authorization": f"Bearer {text}"}).get("/api/v1/me")
    assert gone.status_code == 401
    entry = AuditEntry.objects.get(action=Action.TOKEN_REVOKED)
    assert (entry.actor_name, entry.subject, entry.detail) == ("staff", "leaked", "of owner")


def test_a_change_of_an_account_is_made_whole_or_not_at_all(office: Client, staff: User) -> None:
    body = {"email": "new@example.org", "is_staff": False}
    send(office, "patch", f"people/{staff.username}", body, status=400)
    staff.refresh_from_db()
    assert staff.email != "new@example.org"
