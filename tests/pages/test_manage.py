"""Administration: who may see it, what it shows, what it does, and what it leaves in the audit log."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, reverse
from django.utils import timezone

from accounts.audit import Action
from accounts.models import ApiToken, AuditEntry, User
from files.models import Dataset
from jobs.models import GIB, Role, Run, Task, TaskMember, UserLimits
from jobs.services import Refused, RunRequest, announcements, limits, people, submit
from jobs.services.rights import Forbidden
from jobs.states import RunState
from tests.factories import (
    PASSWORD,
    make_environment,
    make_machine,
    make_run,
    make_task,
    make_token,
    make_user,
)

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


def text(client: Client, path: str, *, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status, path
    return response.content.decode()


def noted(action: Action) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action=action).order_by("id"))


def manage_addresses(boss: User, run: Run) -> list[str]:
    """Every address below /manage/ that is ours."""
    made = announcements.announce(by=boss, text="Hello")
    given = {"person": boss.pk, "run": run.public_id, "announcement": made.pk}
    found = []
    for name, entries in get_resolver().reverse_dict.lists():
        if isinstance(name, str) and name.startswith("manage"):
            wanted = entries[0][0][0][1]
            if set(wanted) <= set(given):
                found.append(reverse(name, kwargs={key: given[key] for key in wanted}))
    return found


def test_only_administrators_get_in(boss: User, signed_in: Callable[[User], Client]) -> None:
    run = make_run(make_task(make_user("anna")))
    addresses = manage_addresses(boss, run)
    assert len(addresses) >= 17
    stranger, ordinary = Client(), Client()
    ordinary.force_login(make_user("bert"))
    for path in addresses:
        for method in ("get", "post"):
            assert getattr(stranger, method)(path).status_code == 302, path
            assert getattr(ordinary, method)(path).status_code == 403, path
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
    assert User.objects.count() == 3


def test_the_menu_leads_there_for_administrators_only(office: Client, boss: User) -> None:
    assert 'href="/manage/"' in text(office, "/")
    assert 'href="/admin/"' in text(office, "/manage/")
    ordinary = Client()
    ordinary.force_login(make_user("bert"))
    assert "/manage/" not in text(ordinary, "/")


def test_the_overview_says_what_runs_where_who_waits_and_what_failed(office: Client) -> None:
    make_machine("vm")
    anna, bert = make_user("anna"), make_user("bert")
    task = make_task(anna, name="Rivers", storage_used=3 * GIB)
    make_run(task, state=RunState.RUNNING, machine="vm")
    make_run(task, state=RunState.RUNNING, machine="gone")
    make_run(task, state=RunState.FAILED, explanation="It ended badly.")
    for _ in range(2):
        make_run(make_task(bert))
    shown = text(office, "/manage/")
    for wanted in ("vm", "gone", "Rivers", "anna", "It ended badly.", "3 GB", "bert"):
        assert wanted in shown, wanted
    waiting = shown[shown.index('id="queue"') : shown.index('id="storage"')]
    assert re.search(r">bert</a></td><td class=\"num\">2</td>", waiting)
    assert "Rivers" in text(office, "/manage/now/")


def test_any_run_is_cancelled_with_a_reason_that_is_told(office: Client, boss: User) -> None:
    run = make_run(make_task(make_user("anna"), name="Rivers"))
    office.post(f"/manage/runs/{run.public_id}/cancel/", {"reason": "the machine is moved"})
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED
    assert run.explanation == "Cancelled by boss (the machine is moved) before it started."
    (entry,) = noted(Action.RUN_CANCELLED)
    assert (entry.actor, entry.subject_id, entry.via) == (boss, run.public_id, "page")
    assert entry.detail == "of anna: the machine is moved"


def test_ones_own_run_is_cancelled_without_a_word_in_the_log(
    anna_client: Client, anna: User
) -> None:
    run = make_run(make_task(anna))
    anna_client.post(reverse("run_cancel", args=[run.public_id]))
    assert not noted(Action.RUN_CANCELLED)


def test_a_person_is_added_and_chooses_a_password_with_the_link_once(
    office: Client, boss: User
) -> None:
    shown = office.post("/manage/people/add/", {"username": "carla", "email": "c@example.org"})
    link = re.search(r"http://testserver(/account/choose/[^<\"]+)", shown.content.decode())
    assert link, shown.content.decode()
    carla = Client()
    assert not carla.login(username="carla", password=PASSWORD)
    form = carla.get(link[1], follow=True)
    assert "Choose a password" in form.content.decode()
    where = form.redirect_chain[-1][0]
    fields = {"new_password1": "a-very-good-horse", "new_password2": "a-very-good-horse"}
    assert "no longer valid" not in carla.post(where, fields, follow=True).content.decode()
    assert carla.get("/").status_code == 200
    assert "no longer valid" in Client().get(link[1], follow=True).content.decode()
    assert [entry.subject for entry in noted(Action.PERSON_ADDED)] == ["carla"]
    assert noted(Action.PASSWORD_CHANGED)[0].actor == User.objects.get(username="carla")


@pytest.mark.parametrize(
    ("username", "told"),
    [
        ("", "Give the person"),
        ("two words", "no blanks"),
        ("BOSS", "already"),
        ("x" * 101, "at most"),
    ],
)
def test_a_name_that_wont_do_is_told(office: Client, username: str, told: str) -> None:
    response = office.post("/manage/people/add/", {"username": username})
    assert response.status_code == 422
    assert told in response.content.decode()
    assert User.objects.count() == 1


def test_a_new_link_ends_sessions_and_the_password_and_earlier_links(
    office: Client, boss: User
) -> None:
    anna = make_user("anna")
    browser = Client()
    browser.force_login(anna)
    first = people.password_link(by=boss, person=anna)
    office.post(f"/manage/people/{anna.pk}/link/")
    assert browser.get("/").status_code == 302
    assert not Client().login(username="anna", password=PASSWORD)
    assert "no longer valid" in Client().get(first, follow=True).content.decode()


def test_switching_off_ends_sessions_and_tokens_for_good(office: Client, boss: User) -> None:
    anna = make_user("anna")
    browser = Client()
    browser.force_login(anna)
    script = Client(headers={"Authorization": f"Bearer {make_token(anna)}"})
    other = Client()
    other.force_login(make_user("bert"))
    waits = make_run(make_task(anna))
    office.post(f"/manage/people/{anna.pk}/switch/", {"off": "1"})
    waits.refresh_from_db()
    assert waits.state == RunState.QUEUED
    for client, path in ((browser, "/account/"), (script, "/api/v1/me")):
        assert client.get(path).status_code in (302, 401)
    office.post(f"/manage/people/{anna.pk}/switch/")
    # What was open before stays closed.
    assert browser.get("/account/").status_code == 302
    assert script.get("/api/v1/me").status_code == 401
    assert Client().login(username="anna", password=PASSWORD)
    assert other.get("/account/").status_code == 200
    assert "1 sessions ended, 1 tokens revoked" in noted(Action.PERSON_SWITCHED_OFF)[0].detail
    office.post(f"/manage/people/{anna.pk}/switch/", {"off": "1", "cancel_runs": "1"})
    waits.refresh_from_db()
    assert waits.state == RunState.CANCELLED


def test_nobody_locks_themselves_out(office: Client, boss: User) -> None:
    for what, form in (
        ("switch", {"off": "1"}),
        ("staff", {"undo": "1"}),
        ("delete", {"name": "boss"}),
    ):
        response = office.post(f"/manage/people/{boss.pk}/{what}/", form)
        assert response.status_code == 422, what
        assert "another administrator" in response.content.decode()
    boss.refresh_from_db()
    assert boss.is_active and boss.is_staff and boss.is_superuser


def test_administration_is_given_and_taken(office: Client) -> None:
    anna = make_user("anna")

    def rights() -> set[bool]:
        return set(User.objects.values_list("is_staff", "is_superuser").get(pk=anna.pk))

    office.post(f"/manage/people/{anna.pk}/staff/")
    assert rights() == {True}
    office.post(f"/manage/people/{anna.pk}/staff/", {"undo": "1"})
    assert rights() == {False}
    assert len(noted(Action.PERSON_MADE_STAFF)) == len(noted(Action.PERSON_UNMADE_STAFF)) == 1


def test_whoever_owns_something_is_not_deleted_until_it_is_handed_over(
    office: Client, boss: User
) -> None:
    anna, bert = make_user("anna"), make_user("bert")
    task = make_task(anna)
    binned = make_task(anna, deleted_at=timezone.now())
    TaskMember.objects.create(task=task, user=bert, role=Role.VIEWER, added_by=anna)
    Dataset.objects.create(name="rivers", owner=anna)
    refused = office.post(f"/manage/people/{anna.pk}/delete/", {"name": "anna"})
    assert "still owns 2 Tasks and 1 Dataset" in refused.content.decode()
    assert office.post(f"/manage/people/{anna.pk}/hand-over/", {"to": "nobody"}).status_code == 422
    office.post(f"/manage/people/{anna.pk}/hand-over/", {"to": "bert"})
    assert set(Task.objects.filter(owner=bert)) == {task, binned}
    given = noted(Action.TASK_TRANSFERRED)
    assert {entry.subject_id for entry in given} == {task.public_id, binned.public_id}
    assert given[0].detail == "From anna to bert, with all that was theirs."
    assert noted(Action.DATASET_TRANSFERRED)[0].subject == "rivers"
    assert noted(Action.PERSON_HANDED_OVER)[0].detail == "2 Tasks and 1 Datasets to bert"
    assert Dataset.objects.get().owner == bert
    assert not TaskMember.objects.exists()
    mistyped = office.post(f"/manage/people/{anna.pk}/delete/", {"name": "Anna"})
    assert mistyped.status_code == 422
    office.post(f"/manage/people/{anna.pk}/delete/", {"name": "anna"})
    assert not User.objects.filter(pk=anna.pk).exists()
    assert noted(Action.PERSON_DELETED)[0].subject == "anna"


def test_what_they_did_for_others_keeps_a_name_and_the_user_name_is_free(
    office: Client, boss: User
) -> None:
    anna, bert = make_user("anna", email="a@example.org"), make_user("bert")
    run = make_run(make_task(bert), state=RunState.SUCCEEDED, submitted_by=anna)
    ApiToken.issue(user=anna, name="x")
    limits.set_limits(by=boss, person=anna, limits={"max_running": 1})
    office.post(f"/manage/people/{anna.pk}/delete/", {"name": "anna"})
    run.refresh_from_db()
    anna.refresh_from_db()
    assert run.submitted_by == anna
    assert (anna.username, anna.email, anna.is_active) == ("anna (deleted)", "", False)
    assert not anna.api_tokens.exists() and not UserLimits.objects.exists()
    assert office.get(f"/manage/people/{anna.pk}/").status_code == 404
    people.add_person(by=boss, username="anna")
    assert "anna (deleted)" not in text(office, "/manage/people/")


def test_a_person_with_runs_under_way_is_not_deleted(boss: User) -> None:
    anna = make_user("anna")
    make_run(make_task(make_user("bert")), state=RunState.RUNNING, submitted_by=anna)
    with pytest.raises(Refused, match="1 Run of anna"):
        people.delete_person(by=boss, person=anna)


def test_limits_are_set_beside_the_present_use_and_cleared(office: Client, boss: User) -> None:
    anna = make_user("anna")
    task = make_task(anna, storage_used=2 * GIB)
    make_run(task, state=RunState.RUNNING, cpus=1.5, memory=GIB)
    make_run(task)
    path = f"/manage/people/{anna.pk}/limits/"
    office.post(path, {"max_running": "3", "max_memory": "1.5", "max_storage": "", "share": ""})
    held = UserLimits.of(anna)
    assert (held.max_running, held.max_memory, held.max_storage) == (3, 3 * GIB // 2, None)
    shown = text(office, f"/manage/people/{anna.pk}/")
    for wanted in ('value="3"', 'value="1.5"', ">1.5 CPUs<", ">1 GB<", ">2 GB<"):
        assert wanted in shown, wanted
    refused = office.post(path, {"max_running": "-1", "max_cpus": "7"})
    assert refused.status_code == 422
    assert "whole number from 0" in refused.content.decode()
    assert UserLimits.of(anna).max_cpus is None
    assert "1 of 3" in re.sub(r"<[^>]+>", "", text(office, "/manage/people/"))
    office.post(path, {"clear": "1"})
    assert not UserLimits.objects.exists()
    assert [entry.detail for entry in noted(Action.LIMITS_CHANGED)] == [
        "Runs at a time: 3 instead of no limit, memory: 1.5 GB instead of no limit",
        "none of their own instead of Runs at a time: 3, Runs that wait: no limit, "
        "CPUs: no limit, memory: 1.5 GB, storage: no limit, share: 1",
    ]


def test_everybodys_limits_hold_for_those_without_their_own(office: Client, boss: User) -> None:
    anna = make_user("anna")
    office.post("/manage/people/limits/", {"max_queued": "5"})
    assert UserLimits.of(anna).max_queued == 5
    limits.set_limits(by=boss, person=anna, limits={"max_queued": 9})
    assert (UserLimits.of(anna).max_queued, UserLimits.of(boss).max_queued) == (9, 5)


def test_one_limit_of_their_own_does_not_lift_the_others(boss: User) -> None:
    anna = make_user("anna")
    limits.set_limits(by=boss, person=None, limits={"max_cpus": 4.0, "max_storage": GIB})
    limits.set_limits(by=boss, person=anna, limits={"max_cpus": 8.0})
    held = UserLimits.of(anna)
    assert (float(held.max_cpus or 0), held.max_storage) == (8.0, GIB)
    limits.set_limits(by=boss, person=None, limits={"max_storage": 2 * GIB})
    limits.set_limits(by=boss, person=anna, limits={"max_cpus": 8.0})
    assert UserLimits.of(anna).max_storage == GIB, "theirs hold now, whatever everybody's become"
    assert [entry.detail for entry in noted(Action.LIMITS_CHANGED)] == [
        "CPUs: 4 instead of no limit, storage: 1 GB instead of no limit",
        "CPUs: 8 instead of 4",
        "storage: 2 GB instead of 1 GB",
    ]


def test_what_the_limits_would_never_let_start_is_refused(office: Client, boss: User) -> None:
    task = make_task(make_user("anna"))
    limits.set_limits(by=boss, person=task.owner, limits={"max_memory": GIB // 2})
    request = RunRequest(kind="command", command="ls", memory=GIB)
    with pytest.raises(Refused, match="Your limit is 512 MB") as refused:
        submit(user=task.owner, task=task, request=request)
    assert refused.value.field == "memory"


def test_lists_cost_the_same_however_many_there_are(office: Client) -> None:
    def grow() -> None:
        for _ in range(5):
            person = make_user()
            task = make_task(person)
            make_run(task, state=RunState.RUNNING)
            make_run(task, state=RunState.FAILED)
            make_run(task)

    def cost() -> list[int]:
        counts = []
        for path in ("/manage/", "/manage/people/", "/manage/audit/"):
            with CaptureQueriesContext(connection) as queries:
                text(office, path)
            counts.append(len(queries))
        return counts

    grow()
    before = cost()
    grow()
    assert cost() == before
    assert max(before) <= 15


def test_the_mail_address_is_changed_and_a_wrong_one_is_told(office: Client) -> None:
    anna = make_user("anna")
    path = f"/manage/people/{anna.pk}/mail/"
    refused = office.post(path, {"email": "no address"})
    assert refused.status_code == 422
    assert 'value="no address"' in refused.content.decode()
    assert not noted(Action.PERSON_CHANGED)
    office.post(path, {"email": "anna@example.org"})
    assert User.objects.get(pk=anna.pk).email == "anna@example.org"
    assert "anna@example.org" in text(office, f"/manage/people/{anna.pk}/")
    assert noted(Action.PERSON_CHANGED)[0].detail == "mail address anna@example.org"


def test_names_on_the_overview_lead_to_the_people(office: Client) -> None:
    anna, bert = make_user("anna"), make_user("bert")
    make_run(make_task(anna))
    make_task(bert, storage_used=GIB)
    shown = text(office, "/manage/")
    for person in (anna, bert):
        assert f'<a href="/manage/people/{person.pk}/">{person}</a>' in shown


def test_who_is_locked_out_gets_a_link_on_the_machine_itself(boss: User) -> None:
    def link(*words: str) -> dict[str, Any]:
        said = StringIO()
        call_command("password_link", *words, stdout=said)
        found: dict[str, Any] = json.loads(said.getvalue())
        return found

    made = link()
    assert (made["username"], made["days"]) == ("boss", 3)
    (entry,) = noted(Action.PASSWORD_RESET)
    assert (entry.actor, entry.via, entry.subject) == (None, "command", "boss")
    assert not Client().login(username="boss", password=PASSWORD)
    theirs = Client()
    where = theirs.get(made["path"], follow=True).redirect_chain[-1][0]
    theirs.post(where, {"new_password1": "a-very-good-horse", "new_password2": "a-very-good-horse"})
    assert theirs.get("/manage/").status_code == 200
    anna = make_user("anna")
    assert link("anna")["username"] == "anna"
    people.switch_off(by=boss, person=anna)
    for name, told in (("anna", "switched off"), ("nobody", "There is no user nobody")):
        with pytest.raises(CommandError, match=told):
            link(name)


def test_nobody_is_administrator_any_more_of_two_who_end_each_other(boss: User) -> None:
    """Each was one when they asked: who comes second is none by then."""
    other = make_user("other", staff=True)
    people.set_staff(by=boss, person=other, staff=False)
    for act in (
        lambda: people.set_staff(by=other, person=boss, staff=False),
        lambda: people.switch_off(by=other, person=boss),
        lambda: people.delete_person(by=other, person=boss),
    ):
        other.is_staff = True  # as it was loaded
        with pytest.raises(Forbidden):
            act()
    boss.refresh_from_db()
    assert (boss.is_staff, boss.is_active) == (True, True)


@pytest.mark.parametrize("staff", [True, False])
def test_nobody_changes_what_they_may_do_themselves(boss: User, staff: bool) -> None:
    User.objects.filter(pk=boss.pk).update(is_superuser=False)
    with pytest.raises(Refused, match="ask another administrator"):
        people.set_staff(by=boss, person=boss, staff=staff)
    boss.refresh_from_db()
    assert (boss.is_staff, boss.is_superuser) == (True, False)


def test_the_database_pages_only_show(office: Client, boss: User) -> None:
    anna = make_user("anna")
    task = make_task(anna)
    for path in (f"accounts/user/{anna.pk}", f"jobs/task/{task.pk}"):
        shown = text(office, f"/admin/{path}/change/")
        assert anna.password not in shown
        for act, data in (
            ("change", {"is_active": "", "owner": boss.pk}),
            ("delete", {"post": "yes"}),
        ):
            assert office.post(f"/admin/{path}/{act}/", data).status_code == 403
    for path in ("accounts/user", "jobs/task"):
        assert office.get(f"/admin/{path}/add/").status_code == 403
    office.post(
        f"/admin/accounts/user/{anna.pk}/password/", {"password1": "x" * 12, "password2": "x" * 12}
    )
    assert Client().login(username="anna", password=PASSWORD)


def test_a_command_on_the_machine_makes_an_administrator_where_there_is_none(boss: User) -> None:
    User.objects.update(is_active=False, is_staff=False, is_superuser=False)
    with pytest.raises(CommandError, match="--administrator"):
        call_command("password_link")
    for name in ("boss", "new"):
        said = StringIO()
        call_command("password_link", name, "--administrator", stdout=said)
        assert json.loads(said.getvalue())["username"] == name
        person = User.objects.get(username=name)
        assert (person.is_active, person.is_staff, person.is_superuser) == (True, True, True)
    assert [entry.subject for entry in noted(Action.PERSON_MADE_STAFF)] == ["boss"]
    assert [entry.subject for entry in noted(Action.PERSON_SWITCHED_ON)] == ["boss"]
    assert [entry.subject for entry in noted(Action.PERSON_ADDED)] == ["new"]
    with pytest.raises(CommandError, match="no blanks"):
        call_command("password_link", "two words", "--administrator")
