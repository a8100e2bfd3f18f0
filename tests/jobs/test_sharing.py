"""Members of a Task: who may do what, what is told, and who can be found to share with."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models import QuerySet

from accounts.models import AuditEntry, User
from jobs import services
from jobs.models import Role, Run, Task, TaskMember, UserLimits
from tests.factories import make_run, make_task, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def task() -> Task:
    return make_task(make_user("anna"))


@pytest.fixture
def bert() -> User:
    return make_user("bert", email="bert@example.org", first_name="Bertram")


def share(task: Task, person: User, role: str = Role.VIEWER) -> TaskMember:
    return services.share_task(user=task.owner, task=task, person=person, role=role)


def test_a_member_sees_the_task_and_does_what_the_role_says(task: Task, bert: User) -> None:
    run = make_run(task)
    assert not Task.objects.visible_to(bert).exists()
    share(task, bert)
    assert list(Task.objects.visible_to(bert)) == [task]
    assert list(Run.objects.visible_to(bert)) == [run]
    with pytest.raises(services.Forbidden, match="Ask anna to make you an editor"):
        services.update_task(user=bert, task=task, name="Mine now")
    with pytest.raises(services.Forbidden):
        services.cancel(user=bert, run=run)
    share(task, bert, Role.EDITOR)
    services.update_task(user=bert, task=task, name="Ours")
    services.cancel(user=bert, run=run)
    for manage in (
        lambda: services.share_task(user=bert, task=task, person=make_user(), role=Role.VIEWER),
        lambda: services.transfer_task(user=bert, task=task, person=bert),
        lambda: services.archive_task(user=bert, task=task),
        lambda: services.delete_task(user=bert, task=task),
    ):
        with pytest.raises(services.Forbidden, match="ask anna"):
            manage()


def test_sharing_is_told_in_the_audit_log_once(task: Task, bert: User) -> None:
    share(task, bert)
    share(task, bert)
    share(task, bert, Role.EDITOR)
    services.unshare_task(user=task.owner, task=task, person=bert)
    services.unshare_task(user=task.owner, task=task, person=bert)
    told = AuditEntry.objects.filter(subject_id=task.public_id).order_by("id")
    assert [entry.action for entry in told] == [
        "task.shared",
        "task.role_changed",
        "task.unshared",
    ]
    assert "bert" in told[0].detail
    assert not Task.objects.visible_to(bert).exists()


def test_two_who_share_with_the_same_person_at_once(
    task: Task, bert: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(members: QuerySet[TaskMember]) -> int:
        TaskMember.objects.create(task=task, user=bert, role=Role.VIEWER, added_by=task.owner)
        return 0

    monkeypatch.setattr(QuerySet, "count", meanwhile)
    assert share(task, bert, Role.EDITOR).role == Role.EDITOR
    assert [member.role for member in TaskMember.objects.all()] == [Role.EDITOR]


def test_a_member_leaves_by_themselves_and_the_owner_does_not(task: Task, bert: User) -> None:
    share(task, bert)
    with pytest.raises(services.Refused, match="give it to somebody else first"):
        services.unshare_task(user=task.owner, task=task, person=task.owner)
    services.unshare_task(user=bert, task=task, person=bert)
    assert not Task.objects.visible_to(bert).exists()


@pytest.mark.parametrize("role", ["", "owner", "admin"])
def test_a_role_that_is_none_is_refused(task: Task, bert: User, role: str) -> None:
    with pytest.raises(services.Refused) as refused:
        share(task, bert, role)
    assert refused.value.field == "role"


def test_nobody_is_made_a_member_who_owns_it_or_is_switched_off(task: Task, bert: User) -> None:
    with pytest.raises(services.Refused, match="owns this Task"):
        share(task, task.owner)
    bert.is_active = False
    with pytest.raises(services.Refused, match="switched off"):
        share(task, bert)


def test_a_transfer_keeps_the_old_owner_as_an_editor(task: Task, bert: User) -> None:
    anna = task.owner
    share(task, bert)
    services.transfer_task(user=anna, task=task, person=bert)
    task.refresh_from_db()
    assert task.owner == bert
    assert [(m.user, m.role) for m in task.members.all()] == [(anna, Role.EDITOR)]
    with pytest.raises(services.Forbidden):
        services.delete_task(user=anna, task=task)
    assert AuditEntry.objects.get(action="task.transferred").detail == "From anna to bert."


def test_nothing_is_given_to_somebody_without_room(task: Task, bert: User) -> None:
    Task.objects.filter(pk=task.pk).update(storage_used=600)
    task.refresh_from_db()
    make_task(bert, storage_used=500)
    UserLimits.objects.create(user=bert, max_storage=1000)
    with pytest.raises(services.Refused, match="bert has no room"):
        services.transfer_task(user=task.owner, task=task, person=bert)
    UserLimits.objects.update(max_storage=1100)
    services.transfer_task(user=task.owner, task=task, person=bert)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("be", ["bert"]),
        ("BER", ["bert"]),
        ("bertram", ["bert"]),
        ("bert@example.org", ["bert"]),
        ("b", []),
        ("bert@", []),
        ("ert", []),
        ("example", []),
        ("of", []),
        ("\0\0", []),
    ],
)
def test_people_are_found_by_how_their_name_begins(
    task: Task, bert: User, asked: str, found: list[str]
) -> None:
    make_user("off", is_active=False)
    assert [each.username for each in services.find_people(task.owner, asked)] == found


def test_a_person_is_named_exactly(bert: User) -> None:
    assert services.person_named(" bert ") == bert
    assert services.person_named("Bert@Example.org") == bert
    make_user("twin", email="BERT@example.org")
    for wrong in ("ber", "", "nobody", "bert@example.org", "x\0"):
        with pytest.raises(services.Refused):
            services.person_named(wrong)


def test_sockets_are_told_who_must_look_again(
    task: Task, bert: User, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    from jobs import notify

    told: list[tuple[list[int], str]] = []
    monkeypatch.setattr(
        notify, "access_changed", lambda people, task="": told.append((sorted(people), task))
    )

    def who(act: Any) -> list[int]:
        told.clear()
        with django_capture_on_commit_callbacks(execute=True):
            act()
        return [pk for people, _ in told for pk in people]

    assert who(lambda: share(task, bert)) == [bert.pk]
    assert who(lambda: share(task, bert)) == []
    assert who(lambda: services.delete_task(user=task.owner, task=task)) == sorted(
        [task.owner.pk, bert.pk]
    )
    assert who(lambda: services.restore_task(user=task.owner, task=task)) == sorted(
        [task.owner.pk, bert.pk]
    )
    assert who(lambda: services.unshare_task(user=task.owner, task=task, person=bert)) == [bert.pk]
    assert who(lambda: bert.save(update_fields=["last_login"])) == []
    bert.is_active = False
    assert who(lambda: bert.save()) == [bert.pk]
