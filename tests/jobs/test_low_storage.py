"""A storage that is nearly full: nothing new starts, everybody is told why, and it goes on by itself."""

from __future__ import annotations

import os
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import Client, override_settings

from files import storage
from jobs.models import Lane, Run, Site
from jobs.space import LOW, is_low, least_free
from jobs.states import Reason
from jobs.supervision import space
from jobs.supervision.explaining import Hold
from jobs.supervision.space import SpaceWatch
from tests.factories import make_task, make_user
from tests.jobs.placing import GB, Machines, schedule, told, waiting_runs
from tests.waiting import until

pytestmark = pytest.mark.django_db

TB = 1024 * GB
Found = namedtuple("Found", "f_blocks f_bavail f_frsize")
Fill = Callable[[int], None]


@pytest.fixture
def fill(monkeypatch: pytest.MonkeyPatch) -> Fill:
    """Leave so many bytes of a storage of 1 TB."""
    monkeypatch.setattr(storage, "check_present", lambda: None)

    def leave(free: int) -> None:
        monkeypatch.setattr(os, "statvfs", lambda path: Found(TB // 4096, free // 4096, 4096))

    return leave


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Iterator[SpaceWatch]:
    """It looks whenever it is asked to."""
    Site.load()
    monkeypatch.setattr(space, "LOOK_EVERY", 0.0)
    monkeypatch.setattr(space, "LOOK_EVERY_LOW", 0.0)
    monkeypatch.setattr(space, "ANSWER_WITHIN", 10.0)
    found = SpaceWatch(Path("/"))
    yield found
    found.close()


def test_what_is_low_depends_on_the_size_unless_it_is_set() -> None:
    assert least_free(TB) == LOW == GB
    assert least_free(10 * GB) == 10 * GB * 2 // 100
    with override_settings(RCLUSTER_STORAGE_LOW=5 * GB):
        assert is_low(free=5 * GB - 1, total=TB)
        assert not is_low(free=5 * GB, total=TB)
    with override_settings(RCLUSTER_STORAGE_LOW=0):
        assert not is_low(free=0, total=TB)


@pytest.mark.parametrize("waiting", [1, 30])
def test_nothing_starts_while_it_is_low_and_all_goes_on_after_it(
    vm: Machines, watch: SpaceWatch, fill: Fill, waiting: int
) -> None:
    task = make_task()
    run = waiting_runs(task, waiting)[0]
    command = waiting_runs(make_task(), 1, lane=Lane.QUICK, cpus="0.1", memory=2**28)[0]
    fill(GB - 4096)
    watch.look()
    assert schedule(vm, hold=watch.hold) == []
    sentence = "Waiting: the storage is nearly full. It starts by itself once 1 GB are free."
    assert told(run) == told(command) == sentence
    assert run.reason == command.reason == Reason.STORAGE_LOW
    fill(GB)
    watch.look()
    assert {run, command} <= set(schedule(vm, hold=watch.hold))
    assert told(run) == told(command) == ""


def test_what_is_free_is_noted_for_the_pages_no_more_often_than_needed(
    watch: SpaceWatch, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(7 * GB)
    watch.look()
    site = Site.load()
    assert (site.storage_total, site.storage_free) == (TB, 7 * GB)
    assert site.storage_noted_at is not None
    monkeypatch.setattr(space, "LOOK_EVERY", 60.0)
    watch.look()
    fill(3 * GB)
    watch.look()
    assert Site.load().storage_free == 7 * GB


def test_a_storage_that_hangs_keeps_no_pass_waiting(
    watch: SpaceWatch, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(0)
    watch.look()
    assert watch.hold is not None
    answer = threading.Event()

    def hang(path: object) -> Found:
        answer.wait(30)
        return Found(TB // 4096, TB // 4096, 4096)

    monkeypatch.setattr(os, "statvfs", hang)
    monkeypatch.setattr(space, "ANSWER_WITHIN", 0.01)
    for _ in range(3):
        watch.look()
    assert watch.hold is not None  # The last word counts until there is another.
    answer.set()

    def goes_on() -> bool:
        watch.look()
        return watch.hold is None

    until(goes_on, "its answer")


def test_a_storage_that_is_away_is_not_a_full_one(
    watch: SpaceWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise storage.StorageAway(2, "the storage is not mounted")

    monkeypatch.setattr(storage, "check_present", away)
    watch.look()
    assert watch.hold is None
    assert Site.load().storage_noted_at is None


def test_every_page_says_so_to_those_who_are_signed_in(client: Client) -> None:
    Site.load()
    Site.objects.update(storage_total=TB, storage_free=GB // 2)
    login = client.get("/login/")
    assert login.status_code == 200
    assert b"nearly full" not in login.content
    client.force_login(make_user())
    for address in ("/", "/cluster/", "/account/", "/notices/"):
        page = client.get(address)
        assert page.status_code == 200, address
        assert "The storage is nearly full (512 MB of 1024 GB free)" in page.content.decode()
    Site.objects.update(storage_free=2 * GB)
    assert b"nearly full" not in client.get("/").content
    assert client.get("/notices/").content.strip() == b""


def test_a_hold_is_told_to_those_far_back_only_as_their_place(vm: Machines) -> None:
    waiting_runs(make_task(), 60)
    schedule(vm, hold=Hold(Reason.STORAGE_LOW, "Waiting: full."))
    assert Run.objects.filter(explanation="Waiting: full.").count() == 20
