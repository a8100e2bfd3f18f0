"""Environments: nobody chooses one whose image and packages were not tried."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import AuditEntry, User
from jobs import services
from jobs.models import Environment, EnvironmentState, Run, Site, Task
from jobs.services import Forbidden, Refused, RunRequest
from jobs.services import environments as environment_services
from jobs.states import Reason, RunState
from tests.factories import make_environment, make_machine, make_run, make_task, make_user

pytestmark = pytest.mark.django_db

IMAGE = "registry.example.org/team/r:4"


@pytest.fixture(autouse=True)
def site(db: None) -> Site:
    """A backend that takes images."""
    site = Site.load()
    site.backend, site.backend_has_images = "docker", True
    site.save()
    return site


@pytest.fixture
def root(db: None) -> User:
    return make_user("root", staff=True)


@pytest.fixture
def added(root: User) -> Environment:
    make_environment(image="registry.example.org/usual:1")
    return services.add_environment(
        user=root, name="R 4 with data.table", image=IMAGE, packages=["data.table"]
    )


def end(environment: Environment, state: RunState, **fields: Any) -> Environment:
    """Its check has ended so, as supervision writes it; the row as anybody reads it then."""
    run = Environment.objects.get(pk=environment.pk).check_run
    assert run is not None
    now = timezone.now()
    fields = {"attempt": 1, "backend": "docker", "placed_at": now, "finished_at": now, **fields}
    Run.objects.filter(pk=run.pk).update(state=state, **fields)
    return again(environment)


def again(environment: Environment) -> Environment:
    return environment_services.managed_environments().get(pk=environment.pk)


def can_be_chosen(environment: Environment) -> bool:
    task = make_task()
    try:
        services.update_task(user=task.owner, task=task, environment=environment)
    except Refused:
        return False
    return True


def test_a_new_one_can_be_chosen_once_its_check_has_succeeded(added: Environment) -> None:
    assert again(added).state is EnvironmentState.CHECKING
    assert not can_be_chosen(added)
    end(added, RunState.STARTING, finished_at=None)
    assert not can_be_chosen(added)
    ready = end(added, RunState.SUCCEEDED, image_digest="team/r@sha256:aa")
    assert ready.state is EnvironmentState.READY
    assert (ready.tested_digest, ready.passed_at is not None) == ("team/r@sha256:aa", True)
    assert can_be_chosen(added)


@pytest.mark.parametrize(
    ("ending", "state"),
    [
        (RunState.FAILED, EnvironmentState.FAILED),
        (RunState.CANCELLED, EnvironmentState.UNCHECKED),
    ],
)
def test_a_check_that_does_not_succeed_leaves_it_closed(
    added: Environment, ending: RunState, state: EnvironmentState
) -> None:
    assert end(added, ending).state is state
    assert not can_be_chosen(added)


def test_the_check_loads_its_packages_in_a_run_that_only_administrators_see(
    added: Environment, root: User
) -> None:
    run = added.check_run
    assert run is not None
    assert (run.script_path, run.arguments) == ("check.R", ["data.table"])
    assert "library(" in run.script_text
    assert run.environment == added
    other = make_user()
    assert run in Run.objects.visible_to(root)
    assert run not in Run.objects.visible_to(other)
    for person in (root, other):
        assert run not in Run.objects.of(person)
        assert not Task.objects.of(person).exists()
        assert not Task.objects.visible_to(person).filter(is_hidden=True).exists()
    root.is_staff = False
    assert run not in Run.objects.visible_to(root), "its Task's owner is no administrator any more"


def test_a_check_does_not_wait_behind_the_line_and_asks_for_no_more_than_there_is(
    root: User, site: Site
) -> None:
    make_machine(backend="docker", cpus="0.25", memory=2**29)
    environment = services.add_environment(user=root, name="Small", image=IMAGE)
    run = environment.check_run
    assert run is not None
    assert (float(run.cpus), run.memory) == (0.25, 2**29)
    assert run.priority > make_run().priority


def test_what_a_check_has_shown_outlives_it(added: Environment, root: User) -> None:
    first = end(added, RunState.SUCCEEDED, image_digest="team/r@sha256:aa")
    since = first.tested_since
    services.check_environment(user=root, environment=added)
    assert can_be_chosen(added), "the second check is under way"
    assert end(added, RunState.SUCCEEDED, image_digest="team/r@sha256:aa").tested_since == since
    services.check_environment(user=root, environment=added)
    failed = end(added, RunState.FAILED, reason=Reason.EXIT_CODE, explanation="Error: no")
    assert failed.state is EnvironmentState.READY
    assert failed.last_check_failed
    assert (failed.tested_digest, failed.tested_since) == ("team/r@sha256:aa", since)
    services.check_environment(user=root, environment=added)
    moved = end(added, RunState.SUCCEEDED, image_digest="team/r@sha256:bb")
    assert moved.tested_digest == "team/r@sha256:bb"
    assert moved.tested_since is not None
    assert since is not None
    assert moved.tested_since > since


def test_one_check_at_a_time(added: Environment, root: User) -> None:
    assert services.check_environment(user=root, environment=added) == added.check_run
    assert Run.objects.count() == 1


def test_another_image_closes_it_and_other_packages_do_not(added: Environment, root: User) -> None:
    end(added, RunState.SUCCEEDED, image_digest="team/r@sha256:aa")
    changed = services.change_environment(user=root, environment=added, packages=["stats", "utils"])
    assert changed.check_run is not None
    assert changed.check_run.arguments == ["stats", "utils"]
    assert can_be_chosen(added)
    old = changed.check_run
    changed = services.change_environment(user=root, environment=added, image=f"{IMAGE}.5")
    old.refresh_from_db()
    assert old.state == RunState.CANCELLED, "nobody asks that any more"
    assert (again(added).state, again(added).tested_digest) == (EnvironmentState.CHECKING, "")
    assert not can_be_chosen(added)
    end(added, RunState.SUCCEEDED)
    assert can_be_chosen(added)


def test_a_new_description_checks_nothing(added: Environment, root: User) -> None:
    end(added, RunState.SUCCEEDED)
    services.change_environment(user=root, environment=added, description="For the river team.")
    services.change_environment(user=root, environment=added, name=added.name)
    assert Run.objects.count() == 1


def test_nobody_gets_another_one_instead_of_the_usual_one(added: Environment, root: User) -> None:
    end(added, RunState.SUCCEEDED)
    usual = Environment.objects.get(is_default=True)
    services.change_environment(user=root, environment=usual, image="registry.example.org/usual:2")
    task = make_task()
    with pytest.raises(Refused, match="being checked"):
        services.submit(
            user=task.owner, task=task, request=RunRequest(kind="command", command="ls")
        )


def test_retire_and_take_back(added: Environment, root: User) -> None:
    end(added, RunState.SUCCEEDED, image_digest="team/r@sha256:aa")
    services.check_environment(user=root, environment=added)
    retired = services.retire_environment(user=root, environment=added)
    assert again(added).state is EnvironmentState.RETIRED
    assert not can_be_chosen(added)
    assert retired.check_run is not None
    assert Run.objects.get(pk=retired.check_run.pk).state == RunState.CANCELLED
    with pytest.raises(Refused, match="retired"):
        services.check_environment(user=root, environment=added)
    services.restore_environment(user=root, environment=added)
    assert can_be_chosen(added)
    assert again(added).is_checked_now, "it is looked at once more"


def test_the_usual_one_can_not_be_retired(added: Environment, root: User) -> None:
    usual = Environment.objects.get(is_default=True)
    with pytest.raises(Refused, match="usual"):
        services.retire_environment(user=root, environment=usual)
    with pytest.raises(Refused, match="can't be chosen now"):
        services.make_default(user=root, environment=added)
    end(added, RunState.SUCCEEDED)
    services.make_default(user=root, environment=added)
    services.retire_environment(user=root, environment=usual)
    assert list(Environment.objects.offered()) == [again(added)]


def test_only_administrators_and_every_deed_is_noted(added: Environment, root: User) -> None:
    end(added, RunState.SUCCEEDED)
    person = make_user()
    for act in (
        services.check_environment,
        services.retire_environment,
        services.restore_environment,
        services.make_default,
        services.change_environment,
    ):
        with pytest.raises(Forbidden):
            act(user=person, environment=added)
        act(
            user=root,
            environment=added,
            **({"description": "x"} if "change" in act.__name__ else {}),
        )
    with pytest.raises(Forbidden):
        services.add_environment(user=person, name="Mine", image=IMAGE)
    noted = AuditEntry.objects.filter(subject_id=added.slug).order_by("id")
    assert [entry.action for entry in noted] == [
        "environment.added",
        "environment.checked",
        "environment.retired",
        "environment.restored",
        "environment.default",
        "environment.changed",
    ]
    assert noted[5].detail == "description: “x” instead of nothing"
    services.change_environment(
        user=root, environment=added, image="registry.example.org/other", packages=["ggplot2"]
    )
    last = AuditEntry.objects.filter(action="environment.changed").latest("id")
    assert f"image: “registry.example.org/other” instead of “{IMAGE}”" in last.detail
    assert "packages: “ggplot2” instead of " in last.detail


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("name", {"name": " "}),
        ("name", {"name": "R (r)"}),
        ("name", {"name": "R\0"}),
        ("id", {"slug": "Not Good"}),
        ("id", {"slug": "new"}),
        ("image", {"image": ""}),
        ("image", {"image": "https://registry.example.org/r"}),
        ("image", {"image": "two words"}),
        ("image", {"image": "r\0"}),
        ("image", {"image": "a//b"}),
        ("image", {"image": "x/"}),
        ("image", {"image": "127.0.0.1:99999/x:1"}),
        ("image", {"image": "registry.example.org/Team/r"}),
        ("packages", {"packages": ["no such; name"]}),
        ("packages", {"packages": ["-e"]}),
        ("packages", {"packages": [f"p{number}" for number in range(201)]}),
        ("constraints", {"constraints": "ssd"}),
        ("pull_policy", {"pull_policy": "sometimes"}),
        ("description", {"description": "x" * 2001}),
    ],
)
def test_what_can_not_be_added(root: User, field: str, fields: dict[str, Any]) -> None:
    make_environment()
    with pytest.raises(Refused) as no:
        services.add_environment(**{"user": root, "name": "New", "image": IMAGE, **fields})
    assert no.value.field == field
    assert Environment.objects.count() == 1
    assert not Run.objects.exists()


def test_packages_as_people_type_them() -> None:
    typed = " data.table,ggplot2\nsf  ggplot2 "
    assert services.package_names(typed) == ["data.table", "ggplot2", "sf"]
    assert services.package_names("") == []


def test_ids_are_made_from_names(root: User) -> None:
    slugs = [
        services.add_environment(user=root, name=name, image=IMAGE).slug
        for name in ("New", "R 4.4", "R-4,4", "Ğ", "河")
    ]
    assert slugs == ["new-2", "r-44", "r-44-2", "g", "environment"]


def test_a_backend_without_images_has_the_one_r_of_the_machine(root: User, site: Site) -> None:
    site.backend, site.backend_has_images = "local", False
    site.save()
    with pytest.raises(Refused, match="machine itself"):
        services.add_environment(user=root, name="New", image=IMAGE)
    local = make_environment(uses_image=False)
    with pytest.raises(Refused) as no:
        services.change_environment(user=root, environment=local, image=IMAGE)
    assert no.value.field == "image"
    services.change_environment(user=root, environment=local, packages="stats")
    assert end(local, RunState.SUCCEEDED).state is EnvironmentState.READY


def test_every_night_they_are_checked_again(added: Environment, root: User) -> None:
    ready = end(added, RunState.SUCCEEDED, created_at=timezone.now() - timedelta(hours=20))
    retired = make_environment("old", retired_at=timezone.now())
    assert services.check_all_environments() == 2
    assert services.check_all_environments() == 0, "they are under way"
    for each in (ready, Environment.objects.get(is_default=True)):
        run = again(each).check_run
        assert run is not None
        assert (run.state, run.submitted_by) == (RunState.QUEUED, root)
    assert again(retired).check_run is None


def test_what_was_never_checked_is_in_a_quiet_minute(root: User) -> None:
    """The first Environment of a portal is ready before anything could check it."""
    first = make_environment()
    retired = make_environment("old", retired_at=timezone.now())
    theirs = make_run(make_task(make_user("anna")))
    assert services.check_new_environments() == 0, "somebody's Run waits"
    theirs.delete()
    assert services.check_new_environments() == 1
    assert services.check_new_environments() == 0, "it is under way"
    checked = again(first)
    assert (checked.state, checked.is_checked_now) == (EnvironmentState.READY, True)
    failed = end(first, RunState.FAILED)
    assert failed.state is EnvironmentState.READY, "people go on; the page says that it failed"
    assert services.check_new_environments() == 0, "it was checked once"
    assert again(retired).check_run is None


def test_without_an_administrator_nothing_is_checked_at_night() -> None:
    make_environment()
    assert services.check_all_environments() == services.check_new_environments() == 0


def test_a_name_that_came_to_stand_for_another_image_is_noticed(added: Environment) -> None:
    ready = end(added, RunState.SUCCEEDED, image_digest="team/r@sha256:aa")
    task = make_task(environment=ready)
    ran = partial(make_run, task, environment=ready, state=RunState.SUCCEEDED)
    ran(image_digest="team/r@sha256:aa")
    assert environment_services.newer_image(ready) is None
    first = ran(image_digest="team/r@sha256:bb")
    ran(image_digest="team/r@sha256:bb")
    newer = environment_services.newer_image(ready)
    assert newer is not None
    assert (newer.digest, newer.run) == ("team/r@sha256:bb", first)


def test_a_check_is_not_run_again_as_if_it_were_somebodys(added: Environment, root: User) -> None:
    run = end(added, RunState.FAILED).check_run
    assert run is not None
    with pytest.raises(Refused, match="on its own page"):
        services.run_again(user=root, run=run)


def test_choosing_costs_the_same_with_many(
    added: Environment, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(5):
        make_environment(f"more-{number}")
    with django_assert_num_queries(2):
        assert len(Environment.objects.offered()) == 6


def test_what_set_up_makes_is_ready() -> None:
    Environment.objects.all().delete()
    call_command("set_up_site", backend="local", verbosity=0)
    assert Environment.objects.offered().count() == 1


def test_set_up_is_told_once() -> None:
    Environment.objects.all().delete()
    User.objects.all().delete()
    Site.objects.update(backend="")
    AuditEntry.objects.all().delete()
    for _ in range(2):
        call_command("set_up_site", backend="local", verbosity=0)
    chosen, environment, person = AuditEntry.objects.order_by("id")
    assert (chosen.action, chosen.subject) == ("site.changed", "backend")
    assert chosen.detail.startswith("backend: “local” instead of nothing (Given on the machine by ")
    assert environment.action == "environment.added"
    assert environment.subject_id == Environment.objects.get().slug
    assert (person.action, person.subject) == ("person.added", "admin")
    assert {entry.via for entry in (chosen, environment, person)} == {"command"}
