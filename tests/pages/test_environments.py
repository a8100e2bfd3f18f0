"""The administrators' pages of Environments: who gets in, what they say, what they cost."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from jobs import services
from jobs.models import Environment, Run, Site
from jobs.states import Reason, RunState
from tests.factories import make_environment, make_run, make_task, make_user

pytestmark = pytest.mark.django_db

LOOK = ("manage_environment", "manage_environment_now", "manage_environment_edit")
ACT = ("manage_environment_check", "manage_environment_default", "manage_environment_retire")


@pytest.fixture(autouse=True)
def site(db: None) -> Site:
    site = Site.load()
    site.backend, site.backend_has_images = "docker", True
    site.save()
    return site


@pytest.fixture
def root(client: Client) -> User:
    root = make_user("root", staff=True)
    client.force_login(root)
    return root


@pytest.fixture
def usual() -> Environment:
    return make_environment(image="registry.example.org/usual:1")


def end(environment: Environment, state: RunState, **fields: object) -> Run:
    run = Environment.objects.get(pk=environment.pk).check_run
    assert run is not None
    now = timezone.now()
    ended = {"attempt": 1, "backend": "docker", "placed_at": now, "finished_at": now}
    Run.objects.filter(pk=run.pk).update(state=state, **(ended | fields))
    return run


def page(client: Client, name: str, slug: str) -> str:
    answer = client.get(reverse(name, args=[slug]))
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_only_administrators_get_in(client: Client, usual: Environment) -> None:
    addresses = [
        reverse("manage_environments"),
        reverse("manage_environments_now"),
        reverse("manage_environment_new"),
        *(reverse(name, args=[usual.slug]) for name in (*LOOK, "manage_environment_retire")),
    ]
    acts = [reverse(name, args=[usual.slug]) for name in ACT]
    for address in addresses:
        assert client.get(address).headers["Location"].startswith("/login/")
    client.force_login(make_user("anna"))
    for address in addresses:
        assert client.get(address).status_code == 403, address
    for address in acts:
        assert client.post(address).status_code == 403, address
    client.force_login(make_user("root", staff=True))
    for address in addresses:
        assert client.get(address).status_code == 200, address
    for address in acts:
        assert client.post(address).status_code == 302, address
    assert client.get(reverse("manage_environment", args=["no-such"])).status_code == 404


def test_what_is_typed_wrong_comes_back_with_its_sentence(client: Client, root: User) -> None:
    typed = {"name": "R 4", "image": "http://r", "packages": "stats", "pull_policy": "missing"}
    answer = client.post(reverse("manage_environment_new"), typed)
    shown = answer.content.decode()
    assert answer.status_code == 422
    assert "without http://" in shown
    assert 'value="http://r"' in shown
    assert ">stats</textarea>" in shown
    assert 'value="missing" checked' in shown
    assert not Environment.objects.exists()


def test_a_check_that_failed_tells_why(client: Client, root: User, usual: Environment) -> None:
    made = services.add_environment(user=root, name="R 4", image="r:4", packages=["sf"])
    shown = page(client, "manage_environment", made.slug)
    assert "Being checked" in shown
    assert 'data-live="run:' in shown
    run = end(
        made,
        RunState.FAILED,
        reason=Reason.EXIT_CODE,
        explanation="Ended with exit status 1. Error: there is no package called ‘sf’",
    )
    shown = page(client, "manage_environment", made.slug)
    assert "Check failed" in shown
    assert "there is no package called ‘sf’" in shown
    assert run.get_absolute_url() in shown
    assert client.get(run.get_absolute_url()).status_code == 200
    assert "there is no package" in client.get(reverse("manage_environments")).content.decode()
    client.force_login(make_user("anna"))
    assert client.get(run.get_absolute_url()).status_code == 404


def test_retiring_says_first_what_it_means(client: Client, root: User, usual: Environment) -> None:
    old = make_environment("old", image="r:1")
    make_run(make_task(environment=old), environment=old)
    shown = page(client, "manage_environment_retire", "old")
    assert "1 Run that waits or runs in it goes on." in shown
    assert "1 Task usually runs in it: whoever runs it next" in shown
    client.post(reverse("manage_environment_retire", args=["old"]))
    assert "Retired" in page(client, "manage_environment_now", "old")
    client.post(reverse("manage_environment_retire", args=["old"]), {"undo": "1"})
    assert "Ready" in page(client, "manage_environment_now", "old")
    refused = client.post(reverse("manage_environment_retire", args=["r"]), follow=True)
    assert "is the usual Environment" in refused.content.decode()


def test_the_console_offers_what_is_ready_and_says_what_it_is_for(
    client: Client, root: User, usual: Environment
) -> None:
    tidy = make_environment("tidy", image="r:2", description="For the course", packages=["dplyr"])
    services.add_environment(user=root, name="Unready", image="r:4")
    task = make_task(root, environment=tidy)
    shown = client.get(task.get_absolute_url()).content.decode()
    assert "For the course" in shown
    assert "dplyr" in shown
    assert "Unready" not in shown
    services.retire_environment(user=root, environment=tidy)
    shown = client.get(task.get_absolute_url()).content.decode()
    assert f"{tidy.name} (can’t be used now)" in shown


def test_lists_cost_the_same_with_many(client: Client, root: User, usual: Environment) -> None:
    def asked(address: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address).status_code == 200
        return len(queries)

    def add(slug: str) -> None:
        services.check_environment(user=root, environment=make_environment(slug, image="r:1"))
        environment = Environment.objects.get(slug=slug)
        end(environment, RunState.SUCCEEDED, image_digest=f"r@sha256:{slug}")
        make_run(environment=environment)

    add("one")
    addresses = (reverse("manage_environments"), reverse("manage_environment", args=["one"]))
    few = [asked(address) for address in addresses]
    for number in range(5):
        add(f"more-{number}")
        services.check_environment(user=root, environment=Environment.objects.get(slug="one"))
        end(Environment.objects.get(slug="one"), RunState.SUCCEEDED)
    many = [asked(address) for address in addresses]
    assert many[0] == few[0]
    assert many[1] <= few[1] + 1, "the list of earlier checks comes in one statement"
