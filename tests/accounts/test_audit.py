"""Who did what: entries, where they come from, what they survive, and what they go down with."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import AnonymousUser
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test import AsyncClient, Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import audit, origins
from accounts.audit import Action
from accounts.models import ApiToken, AuditEntry, User
from tests.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parent.parent.parent
NOTING = ("note", *(f"audit.{name}" for name in ("note", "note_each", "note_once")))


def entries(action: str = "") -> list[AuditEntry]:
    rows = AuditEntry.objects.all()
    return list(rows.filter(action=action) if action else rows)


def test_an_entry_keeps_names_when_rows_go() -> None:
    anna = make_user("anna")
    with origins.coming("command", "192.0.2.7"):
        audit.note(anna, Action.TASK_SHARED, subject="Rivers", subject_id="abc", detail="with bert")
    anna.delete()
    (entry,) = entries()
    assert (entry.actor, entry.actor_name, entry.via) == (None, "anna", "command")
    assert (entry.address, entry.subject, entry.subject_id) == ("192.0.2.7", "Rivers", "abc")
    assert audit.phrase(entry.action, entry.subject) == "shared the Task “Rivers”"


def test_odd_input_raises_nothing() -> None:
    odd = "a\0b\ud800\n" + "ü" * 10_000
    with origins.coming(odd, "fe80::1%eth0"):
        audit.note(AnonymousUser(), odd, subject=odd, subject_id=odd, detail=odd)
        audit.note(User(username="never saved"), "")
    with origins.coming("page", "not an address"):
        audit.note(None, "something.new", subject="{0.__class__}")
    third, second, first = entries()
    assert first.address == "fe80::1"
    assert first.actor_name == second.actor_name == ""
    assert first.subject.startswith("a b?")
    assert "\n" not in first.detail
    assert third.address is None
    assert audit.phrase(third.action, third.subject) == "something new {0.__class__}"
    assert audit.phrase(Action.TASK_SHARED, "{0.__class__}") == "shared the Task “{0.__class__}”"


def test_it_is_written_with_what_it_tells_of_or_not_at_all() -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        audit.note(None, Action.SITE_CHANGED)
        raise RuntimeError
    assert not entries()


def test_differences_say_both_values_and_always_fit() -> None:
    before = {"a": "1", "b": None, "c": ["x"], "d": False, "e": timezone.now(), "f": ""}
    after = {**before, "b": "2", "c": ["x", "y"], "d": True, "f": "z"}
    assert audit.differences(before, after) == (
        "b: “2” instead of nothing, c: “x, y” instead of “x”, d: yes instead of no, "
        "f: “z” instead of nothing"
    )
    assert audit.differences(before, before) == ""
    long = audit.differences(dict.fromkeys("abcdef", "x" * 9000), dict.fromkeys("abcdef", "y"))
    assert len(long) < audit.DETAIL
    assert "f: “y” instead of “x" in long


def test_entries_for_many_are_alike_but_for_what_they_concern() -> None:
    anna = make_user("anna")
    many = [(f"Task {number}", f"id{number}") for number in range(1001)]
    with CaptureQueriesContext(connection) as asked, origins.coming("page", "192.0.2.7"):
        audit.note_each(anna, Action.TASK_TRANSFERRED, many, detail="To bert.")
    assert len(asked) <= 20  # SQLite takes about a hundred rows at a time
    assert AuditEntry.objects.count() == 1001
    last = AuditEntry.objects.get(subject_id="id1000")
    assert (last.actor, last.subject, last.detail) == (anna, "Task 1000", "To bert.")
    assert (last.address, last.via) == ("192.0.2.7", "page")


def test_a_database_that_fails_is_not_hidden() -> None:
    def fails(*_: object) -> None:
        raise DatabaseError("disk I/O error")

    with connection.execute_wrapper(fails), pytest.raises(DatabaseError):
        audit.note(None, Action.SITE_CHANGED)


def test_signing_in_and_out_and_what_is_refused(client: Client) -> None:
    anna = make_user("anna")
    wrong = {"username": "anna", "password": "guess"}
    client.post("/login/", wrong, REMOTE_ADDR="192.0.2.9")
    client.post("/login/", {**wrong, "username": "my-password-by-mistake"})
    client.post("/login/", {"username": "anna", "password": PASSWORD})
    client.post("/logout/")
    out, begun, unknown, refused = entries()
    assert refused.action == Action.SIGN_IN_FAILED
    assert (refused.subject, refused.subject_id) == ("anna", f"person-{anna.pk}")
    assert (refused.address, refused.via, refused.actor) == ("192.0.2.9", "page", None)
    assert "mistake" not in unknown.subject
    assert (begun.action, begun.actor) == (Action.SIGNED_IN, anna)
    assert (out.action, out.actor, out.address) == (Action.SIGNED_OUT, anna, "127.0.0.1")
    assert origins.present() == origins.Origin()


def test_a_token_is_named_as_the_way(client: Client) -> None:
    anna = make_user("anna")
    _, text = ApiToken.issue(user=anna, name="nightly")
    response = client.post(
        "/api/v1/tokens",
        {"name": "second"},
        content_type="application/json",
        headers={"Authorization": f"Bearer {text}"},
    )
    assert response.status_code == 201, response.content
    (entry,) = entries(Action.TOKEN_MADE)
    assert (entry.actor, entry.via, entry.subject) == (anna, "token nightly", "second")


@pytest.mark.django_db(transaction=True)
async def test_the_origin_is_known_in_views_under_asgi() -> None:
    from asgiref.sync import sync_to_async

    await sync_to_async(make_user)("anna")
    client = AsyncClient()
    await client.post("/login/", {"username": "anna", "password": PASSWORD})
    entry = await AuditEntry.objects.aget(action=Action.SIGNED_IN)
    assert (entry.via, entry.address) == ("page", "127.0.0.1")
    assert origins.present() == origins.Origin()


def test_the_command_line_is_a_way_too() -> None:
    make_user("anna")
    call_command("issue_token", "--user", "anna", "--name", "x")
    (entry,) = entries(Action.TOKEN_MADE)
    assert (entry.via, entry.subject, entry.actor) == ("command", "x", None)
    assert "anna" in entry.detail


def test_changes_on_the_database_pages_are_noted() -> None:
    boss, anna = make_user("boss", staff=True), make_user("anna")
    LogEntry.objects.create(
        user=boss, action_flag=CHANGE, object_repr="anna", object_id=str(anna.pk),
        content_type=ContentType.objects.get_for_model(User),
        change_message='[{"changed": {"fields": ["Email address"]}}]',
    )  # fmt: skip
    (entry,) = entries()
    assert (entry.action, entry.actor) == (Action.ADMIN_CHANGED, boss)
    assert "anna" in entry.subject
    assert "Email address" in entry.detail


def test_what_is_too_old_is_swept_and_the_log_says_so() -> None:
    for days in (400, 10):
        audit.note(None, Action.SITE_CHANGED)
        newest = AuditEntry.objects.latest("id")
        AuditEntry.objects.filter(pk=newest.pk).update(at=timezone.now() - timedelta(days=days))
    assert audit.sweep(timezone.now() - timedelta(days=365)) == 1
    assert [entry.action for entry in entries()] == [Action.AUDIT_SWEPT, Action.SITE_CHANGED]
    assert audit.sweep(timezone.now() - timedelta(days=365)) == 0
    assert len(entries()) == 2


def test_an_address_behind_a_socket_is_none() -> None:
    request = RequestFactory().get("/", REMOTE_ADDR="")
    assert origins.address_of(request) is None


def noted() -> Iterator[tuple[str, str]]:
    """Every action that the code notes as text: (place, action)."""
    for folder in ("accounts", "files", "jobs"):
        for path in (ROOT / folder).rglob("*.py"):
            for call in ast.walk(ast.parse(path.read_text())):
                if isinstance(call, ast.Call) and ast.unparse(call.func) in NOTING:
                    for given in [
                        *call.args[1:2],
                        *(k.value for k in call.keywords if k.arg == "action"),
                    ]:
                        for text in ast.walk(given):
                            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                                yield f"{path}:{call.lineno}", text.value


def test_every_action_that_the_code_notes_is_known() -> None:
    known = {action.value for action in Action}
    assert {(place, action) for place, action in noted() if action not in known} == set()
