"""Who sees what: strangers go to the login, another person's rows are 404, headers hold."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from files import storage
from jobs.models import Run
from jobs.states import RunState
from tests.factories import make_run, make_task, make_user

pytestmark = pytest.mark.django_db


def pages(run: Run) -> list[str]:
    task, this = run.task.public_id, run.public_id
    return [
        reverse("task", args=[task]),
        reverse("task_history", args=[task]),
        reverse("task_free", args=[task]),
        reverse("console_run", args=[task, this]),
        reverse("run", args=[this]),
        *(
            reverse("run_live", args=[this]) + f"?part={part}"
            for part in ("head", "used", "results")
        ),
    ]


@pytest.fixture
def run(anna: User) -> Run:
    task = make_task(anna)
    storage.create_task_folders(task.public_id)
    return make_run(task, state=RunState.SUCCEEDED)


def test_the_owner_sees_every_page(anna_client: Client, run: Run) -> None:
    for path in [
        *pages(run),
        "/",
        "/now/",
        "/tasks/",
        "/tasks/new/",
        "/cluster/",
        "/cluster/now/",
        "/account/",
    ]:
        assert anna_client.get(path).status_code == 200, path


def test_another_person_finds_nothing(run: Run, signed_in: Callable[[User], Client]) -> None:
    client = signed_in(make_user("bert"))
    for path in pages(run):
        assert client.get(path).status_code == 404, path
    for name in ("run_cancel", "run_again"):
        assert client.post(reverse(name, args=[run.public_id])).status_code == 404
    assert Run.objects.count() == 1


def test_staff_see_every_task(client: Client, run: Run) -> None:
    client.force_login(make_user(staff=True))
    for path in pages(run):
        assert client.get(path).status_code == 200, path


def test_strangers_go_to_the_login_and_come_back(client: Client, run: Run) -> None:
    for path in [*pages(run), "/", "/cluster/", "/account/"]:
        response = client.get(path)
        assert response.status_code == 302, path
        assert response.headers["Location"].startswith("/login/?next=/"), path


@pytest.mark.parametrize(
    ("referer", "there"),
    [
        ("http://testserver/tasks/new/?from=home#name", "/tasks/new/?from=home"),
        ("", "/"),
        ("https://elsewhere.example/tasks/new/", "/"),
        ("http://testserver//elsewhere.example/", "/"),
    ],
)
def test_who_sent_a_form_signed_out_comes_back_to_its_page(
    client: Client, run: Run, referer: str, there: str
) -> None:
    response = client.post(reverse("run_again", args=[run.public_id]), headers={"Referer": referer})
    assert response.status_code == 302
    assert parse_qs(urlsplit(response.headers["Location"]).query)["next"] == [there]


def test_a_fragment_after_the_session_ended_is_401_and_no_login_page(
    client: Client, run: Run
) -> None:
    response = client.get(reverse("run_live", args=[run.public_id]), headers={"HX-Request": "true"})
    assert response.status_code == 401
    assert "<form" not in response.content.decode()


def test_a_task_and_a_run_of_another_task_do_not_mix(
    anna_client: Client, anna: User, run: Run
) -> None:
    other = make_run(make_task(anna))
    assert (
        anna_client.get(
            reverse("console_run", args=[other.task.public_id, run.public_id])
        ).status_code
        == 404
    )


def test_changes_need_post(anna_client: Client, run: Run) -> None:
    for name in ("run_cancel", "run_again"):
        assert anna_client.get(reverse(name, args=[run.public_id])).status_code == 405


def test_changes_need_the_csrf_token(anna: User, run: Run) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(anna)
    assert client.post(reverse("run_again", args=[run.public_id])).status_code == 403


def test_no_script_without_a_nonce(anna_client: Client, run: Run) -> None:
    for path in [
        "/",
        reverse("task", args=[run.task.public_id]),
        reverse("run", args=[run.public_id]),
    ]:
        response = anna_client.get(path)
        assert "'unsafe-eval'" not in response.headers["Content-Security-Policy"]
        page = response.content.decode()
        assert "onclick=" not in page
        assert "<script>" not in page


def test_what_is_not_there_says_what_to_do(anna_client: Client) -> None:
    response = anna_client.get("/nothing-here/")
    assert response.status_code == 404
    assert "Go to my Tasks" in response.content.decode()
