"""Commands on the machine say in the audit log who gave them."""

from __future__ import annotations

import os
import pwd

import pytest
from django.contrib.auth.management.commands import changepassword
from django.core.management import call_command
from django.db import DatabaseError
from django.db.models.signals import post_save

from accounts import audit, origins
from accounts.audit import Action
from accounts.models import ApiToken, AuditEntry, User
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db
US = pwd.getpwuid(os.geteuid()).pw_name
NEW = "quite-another-horse-7"


@pytest.fixture(autouse=True)
def nobody_by_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changepassword.Command, "_get_pass", lambda *_, **__: NEW)


def make_boss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", NEW)
    call_command("createsuperuser", "--noinput", "--username", "boss", "--email", "")


def test_an_administrator_made_by_command(monkeypatch: pytest.MonkeyPatch) -> None:
    make_boss(monkeypatch)
    (entry,) = AuditEntry.objects.all()
    boss = User.objects.get(username="boss")
    assert (entry.action, entry.subject_id) == (Action.PERSON_ADDED, f"person-{boss.pk}")
    assert (entry.actor, entry.via, entry.subject) == (None, "command", "boss")
    assert entry.detail == f"as administrator (Given on the machine by {US})"
    boss.save()
    assert AuditEntry.objects.count() == 1


def test_a_password_set_by_command(typed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "anna")
    make_user("bert")
    call_command("changepassword", "bert", verbosity=0)
    (entry,) = AuditEntry.objects.all()
    assert (entry.action, entry.via, entry.subject) == (Action.PASSWORD_SET, "command", "bert")
    assert entry.detail == f"(Given on the machine by anna as {US})"
    assert NEW not in entry.detail


@pytest.mark.django_db(transaction=True)
def test_without_its_entry_no_password_is_set(typed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise DatabaseError("disk I/O error")

    bert = make_user("bert")
    heard = len(post_save.receivers)
    monkeypatch.setattr(audit, "note", fails)
    with pytest.raises(DatabaseError):
        call_command("changepassword", "bert", verbosity=0)
    bert.refresh_from_db()
    assert bert.check_password(PASSWORD)
    assert len(post_save.receivers) == heard
    assert origins.present() == origins.Origin()


def test_a_token_that_is_replaced_is_revoked() -> None:
    make_user("anna")
    for _ in range(2):
        call_command("issue_token", "--user", "anna", "--name", "x")
    made, revoked, second = AuditEntry.objects.order_by("id")
    assert (revoked.action, revoked.subject_id) == (Action.TOKEN_REVOKED, made.subject_id)
    assert revoked.detail.startswith("of anna, for another of this name (Given on the machine by ")
    assert second.subject_id == ApiToken.objects.get().public_id


def test_the_name_stays_behind_a_long_detail() -> None:
    with origins.command():
        audit.note(None, Action.SITE_CHANGED, detail="x" * 9000)
    (entry,) = AuditEntry.objects.all()
    assert len(entry.detail) == audit.DETAIL
    assert entry.detail.endswith(f"x (Given on the machine by {US})")
