"""Announcements and the audit log, as administrators and others see them."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts import audit
from accounts.audit import Action
from accounts.models import AuditEntry, User
from jobs.models import Announcement
from jobs.services import announcements
from tests.factories import make_environment, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss(db: None) -> User:
    make_environment()
    return make_user("boss", staff=True)


@pytest.fixture
def office(client: Client, boss: User) -> Client:
    """The administrator's browser."""
    client.force_login(boss)
    return client


def text(client: Client, path: str) -> str:
    response = client.get(path)
    assert response.status_code == 200, path
    return response.content.decode()


def noted(action: Action) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action=action).order_by("id"))


def test_announcements_are_shown_when_it_is_time_and_dismissed_by_the_browser(
    office: Client, boss: User
) -> None:
    ordinary = Client()
    ordinary.force_login(make_user("bert"))
    office.post("/manage/announcements/", {"text": "The <b>storage</b> moves.", "is_warning": "1"})
    later = timezone.now() + timedelta(days=1)
    announcements.announce(by=boss, text="Not yet.", shown_from=later)
    shown = text(ordinary, "/")
    assert "The &lt;b&gt;storage&lt;/b&gt; moves." in shown
    assert "Not yet." not in shown
    assert "storage" not in text(Client(), "/login/")
    key = re.search(r'data-dismiss-notice="([^"]+)"', shown)
    assert key
    ordinary.cookies["rcluster_seen"] = f"other.{key[1]}"
    assert "moves." not in text(ordinary, "/")
    made = Announcement.objects.get(is_warning=True)
    office.post(f"/manage/announcements/{made.pk}/", {"text": "The storage has moves."})
    assert "has moves." in text(ordinary, "/")
    office.post(f"/manage/announcements/{made.pk}/end/")
    assert "has moves." not in text(ordinary, "/")
    assert "has moves." in text(office, "/manage/announcements/")
    actions = [noted(a) for a in (Action.ANNOUNCEMENT_CHANGED, Action.ANNOUNCEMENT_ENDED)]
    assert [len(each) for each in actions] == [1, 1]
    changed = noted(Action.ANNOUNCEMENT_CHANGED)[0].detail
    assert changed.startswith(
        "text: “The storage has moves.” instead of “The <b>storage</b> moves.”"
    )
    assert "warning: no instead of yes" in changed


@pytest.mark.parametrize(
    "form",
    [
        {"text": ""},
        {"text": "x" * 501},
        {"text": "x", "shown_until": "2020-01-01T10:00"},
        {"text": "x", "shown_until": "no day"},
        {"text": "x", "shown_from": "2999-01-02T10:00", "shown_until": "2999-01-01T10:00"},
    ],
)
def test_an_announcement_that_wont_do_is_told_at_its_field(
    office: Client, form: dict[str, str]
) -> None:
    response = office.post("/manage/announcements/", form)
    assert response.status_code == 422
    assert 'class="error"' in response.content.decode()
    assert not Announcement.objects.exists()


def test_the_audit_log_is_filtered_and_paged_by_keyset(office: Client, boss: User) -> None:
    AuditEntry.objects.all().delete()
    anna = make_user("anna")
    for number in range(150):
        audit.note(anna, Action.TASK_SHARED, subject=f"Task-{number:03}", subject_id=f"id{number}")
    audit.note(boss, Action.MACHINE_DRAINED, subject="vm")
    first = text(office, "/manage/audit/")
    assert "Task-149" in first and "Task-051" in first and "Task-050" not in first
    older = re.search(r'href="\?(before=\d+)"', first)
    assert older
    audit.note(boss, Action.MACHINE_UNDRAINED, subject="vm")
    second = text(office, f"/manage/audit/?{older[1]}")
    assert "Task-050" in second and "Task-000" in second and "Task-051" not in second
    assert "Task-149" not in text(office, "/manage/audit/?person=boss")
    machines = text(office, "/manage/audit/?action=machine")
    assert "drained “vm”" in machines and "Task-" not in machines
    assert "Task-007" in text(office, "/manage/audit/?subject=id7")
    assert "Nothing was found" in text(office, "/manage/audit/?until=2001-01-01")
    assert "Task-149" in text(office, f"/manage/audit/?since={timezone.localdate()}&until=nonsense")


def test_the_audit_log_as_a_file_for_a_spreadsheet(office: Client) -> None:
    AuditEntry.objects.all().delete()
    audit.note(None, Action.TASK_DELETED, subject='=HYPERLINK("x")', detail='a "quote", ü')
    response = office.get("/manage/audit.csv?action=task")
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    body = b"".join(response.streaming_content).decode()  # type: ignore[attr-defined]
    head, line = csv.reader(io.StringIO(body))
    found = dict(zip(head, line, strict=True))
    assert found["subject"] == '\'=HYPERLINK("x")'
    assert found["detail"] == 'a "quote", ü'
    assert found["action"] == "task.deleted"


def test_what_can_be_looked_for_reads_as_the_log_does(office: Client, boss: User) -> None:
    shown = text(office, "/manage/audit/?action=task.shared")
    assert '<option value="task.shared" selected>shared the Task …</option>' in shown
    assert '<option value="task">task: anything</option>' in shown
    assert all(f'<option value="{action.value}"' in shown for action in Action)
