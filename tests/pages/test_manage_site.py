"""The administrators' page of settings: one can be changed there, the others are shown."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from accounts.audit import Action
from accounts.models import AuditEntry
from jobs.models import Site, Task
from rcluster_site import env
from tests.factories import make_environment, make_user

pytestmark = pytest.mark.django_db
PATH = "/manage/site/"


@pytest.fixture
def office(client: Client) -> Client:
    make_environment()
    client.force_login(make_user("boss", staff=True))
    return client


def test_new_tasks_are_published_from_the_start_if_the_site_says_so(office: Client) -> None:
    def checked() -> bool:
        box = re.search(r"<input[^>]*publishes_by_default[^>]*>", office.get(PATH).content.decode())
        assert box
        return " checked" in box[0]

    def made(name: str) -> Task:
        office.post("/tasks/new/", {"name": name})
        return Task.objects.get(name=name)

    assert (checked(), made("Before").published_id) == (False, None)
    office.post(PATH, {"publishes_by_default": "1"})
    assert checked()
    assert made("After").published_id
    assert Task.objects.get(name="Before").published_id is None
    office.post(PATH, {"publishes_by_default": "1"})
    office.post(PATH, {})
    assert not Site.load().publishes_by_default
    details = AuditEntry.objects.filter(action=Action.SITE_CHANGED).order_by("id")
    assert [each.detail for each in details] == [
        "the output of new Tasks is published from the start",
        "the output of new Tasks is not published until somebody does it",
    ]


def test_what_the_portal_was_started_with_is_shown_without_secrets(
    office: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RCLUSTER_BIN_DAYS", "30")
    monkeypatch.setenv(
        "RCLUSTER_DATABASE_URL", "postgresql://rc:hush-hush@db.example/rc?password=x1y"
    )
    shown = office.get(PATH).content.decode()
    for setting in env.SETTINGS:
        assert setting.name in shown
    given, usual = shown.split("<details", 1)
    assert re.search(r"RCLUSTER_BIN_DAYS</td>\s*<td[^>]*>30</td>", given)
    assert "RCLUSTER_BIN_DAYS" not in usual
    assert re.search(r"RCLUSTER_GRACE</td>\s*<td[^>]*>10</td>", usual)
    assert "postgresql://db.example/rc" in shown
    assert "hush-hush" not in shown
    assert "x1y" not in shown
    master = "zk://rc:hush-hush@one:2181,two:2181/mesos"
    monkeypatch.setenv("RCLUSTER_MESOS_MASTER", master)
    shown = office.get(PATH).content.decode()
    assert "zk://one:2181,two:2181/mesos" in shown
    assert "hush-hush" not in shown
    monkeypatch.setenv("RCLUSTER_DATABASE_URL", "postgresql://[hush-hush")
    assert "hush-hush" not in office.get(PATH).content.decode()
