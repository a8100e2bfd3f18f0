"""Duplicating: what it counts and leaves free while it goes on, and sources that resist."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from files import storage
from files.safe import SafeFolder
from jobs import measuring, services, space
from jobs.models import Task, TaskCopy, UserLimits
from jobs.services import copying, quota, tasks
from tests.conftest import mark_storage
from tests.factories import make_environment, make_task, make_user

pytestmark = pytest.mark.django_db
MB = 1024**2


@pytest.fixture(autouse=True)
def storage_root(tmp_path: Path, settings: Settings) -> Path:
    settings.RCLUSTER_STORAGE = mark_storage(tmp_path / "storage")
    settings.RCLUSTER_USER = "nobody"
    make_environment()
    return tmp_path / "storage"


@pytest.fixture
def task() -> Task:
    task = make_task(make_user("anna"))
    storage.create_task_folders(task.public_id)
    return task


def code(task: Task) -> Path:
    return storage.task_dir(task.public_id) / "code"


def used(task: Task) -> int:
    return Task.objects.get(pk=task.pk).storage_used


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is left to the worker."""
    monkeypatch.setattr(copying, "AT_ONCE_FILE", -1)


# What it counts.


def test_copies_one_after_another_never_pass_the_quota(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(monkeypatch)
    (code(task) / "data").write_bytes(b"x" * 300)
    UserLimits.objects.create(user=task.owner, max_storage=1000)
    made = [services.duplicate_task(user=task.owner, task=task) for _ in range(3)]
    with pytest.raises(services.Refused, match="left and this needs"):
        services.duplicate_task(user=task.owner, task=task)
    assert quota.storage_of(task.owner).used == 900
    for each in made:
        measuring._measure(each)  # Only what is there is found, and what is to come still counts.
        assert used(each) == 300
        copying.copy_on(each.public_id, seconds=5)
        assert used(each) == 300
    assert not TaskCopy.objects.exists()
    measuring._measure(made[0])
    assert used(made[0]) == 300


def test_of_copies_at_the_same_time_none_stays_that_is_too_much(
    task: Task, storage_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another's counted theirs between our question and our row."""
    later(monkeypatch)
    (code(task) / "data").write_bytes(b"x" * 300)
    UserLimits.objects.create(user=task.owner, max_storage=500)
    real = tasks.make_folders

    def meanwhile(new: Task) -> None:
        real(new)
        make_task(task.owner, storage_used=300)

    monkeypatch.setattr(copying, "make_folders", meanwhile)
    with pytest.raises(services.Refused, match="Your storage is full"):
        services.duplicate_task(user=task.owner, task=task)
    assert Task.objects.filter(owner=task.owner).count() == 2
    assert not TaskCopy.objects.exists()
    assert [each.name for each in (storage_root / "working_dir").iterdir()] == [task.public_id]


def test_giving_up_frees_what_was_not_copied(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copying, "AT_ONCE_FILE", 10)
    (code(task) / "small").write_bytes(b"x" * 7)
    (code(task) / "z").write_bytes(b"x" * 300)
    new = services.duplicate_task(user=task.owner, task=task)
    assert used(new) == 307
    services.give_up_copy(user=task.owner, task=new)
    assert used(new) == 7


def test_what_could_not_be_counted_before_counts_while_it_comes(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_size", lambda task, seconds: None)
    monkeypatch.setattr(copying, "TELL_EVERY", -1.0)
    UserLimits.objects.create(user=task.owner, max_storage=5 * MB)
    (code(task) / "data").write_bytes(b"x" * 8 * MB)
    new = services.duplicate_task(user=task.owner, task=task)
    copy = TaskCopy.objects.get(task=new)
    assert "Your storage is full" in copy.problem
    assert 5 * MB < used(new) == copy.bytes_done < 8 * MB
    assert list(code(new).iterdir()) == []


def test_each_slice_asks_for_the_quota_again(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    later(monkeypatch)
    (code(task) / "data").write_bytes(b"x" * 300)
    new = services.duplicate_task(user=task.owner, task=task)
    UserLimits.objects.create(user=task.owner, max_storage=200)
    copying.copy_on(new.public_id, seconds=5)
    assert "Your storage is full" in TaskCopy.objects.get(task=new).problem


# What it leaves free.


def test_the_least_free_storage_stays_free(
    task: Task, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(monkeypatch)
    (code(task) / "data").write_bytes(b"x" * 300)
    new = services.duplicate_task(user=task.owner, task=task)
    settings.RCLUSTER_STORAGE_LOW = 2**60
    with pytest.raises(services.Refused, match="nearly full"):
        services.duplicate_task(user=task.owner, task=task)
    copying.copy_on(new.public_id, seconds=5)
    assert "nearly full" in TaskCopy.objects.get(task=new).problem
    settings.RCLUSTER_STORAGE_LOW = 0
    services.try_copy_again(user=task.owner, task=new)
    copying.copy_on(new.public_id, seconds=5)
    assert (code(new) / "data").exists()


def test_a_copy_stops_in_the_middle_of_a_file_that_would_fill_the_storage(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "LOOK_EVERY", MB)
    (code(task) / "data").write_bytes(b"x" * 8 * MB)
    answers = iter(["", "", ""])
    monkeypatch.setattr(space, "no_room", lambda root: next(answers, "The storage is nearly full."))
    new = services.duplicate_task(user=task.owner, task=task)
    assert TaskCopy.objects.get(task=new).problem == "The storage is nearly full."
    assert list(code(new).iterdir()) == []


def test_holes_stay_holes(task: Task) -> None:
    with (code(task) / "sparse").open("wb") as file:
        file.truncate(100 * 1024 * MB)
        file.seek(50 * MB)
        file.write(b"in the middle")
    new = services.duplicate_task(user=task.owner, task=task)
    copying.copy_on(new.public_id, seconds=5)
    assert not TaskCopy.objects.exists()
    found = code(new) / "sparse"
    assert found.stat().st_size == 100 * 1024 * MB
    assert found.stat().st_blocks * 512 < MB
    with found.open("rb") as file:
        file.seek(50 * MB)
        assert file.read(14) == b"in the middle\0"


def test_a_file_that_grows_meanwhile_is_copied_as_long_as_it_was(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    (code(task) / "log").write_bytes(b"x" * 3 * MB)
    real = copying._Copying._look_at_room

    def grows(self: copying._Copying, count: int) -> None:
        with (code(task) / "log").open("ab") as file:
            file.write(b"y" * 2 * MB)
        real(self, count)

    monkeypatch.setattr(copying._Copying, "_look_at_room", grows)
    new = services.duplicate_task(user=task.owner, task=task)
    assert (code(new) / "log").read_bytes() == b"x" * 3 * MB


# Sources that resist.


@pytest.mark.slow
def test_what_lies_too_deep_is_left_out_and_the_rest_is_there(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "AT_ONCE_SECONDS", 60.0)
    at = os.open(code(task), os.O_RDONLY)
    for _ in range(1100):  # More levels than Python's functions call each other.
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    for _ in range(8):  # A path of more than 4,000 bytes.
        os.mkdir("n" * 250, dir_fd=at)
        below = os.open("n" * 250, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    (code(task) / "main.R").write_bytes(b"1")
    left_out: list[str] = []
    new = services.duplicate_task(user=task.owner, task=task, left_out=left_out)
    assert not TaskCopy.objects.exists()
    assert (code(new) / "main.R").exists()
    assert SafeFolder(code(new)).entry("/".join(["d"] * 1100)).kind == "folder"
    assert len(left_out) == 1
    assert left_out[0].startswith("code/d/d/")
    for each in (task, new):
        SafeFolder(code(each)).remove("d")  # Too deep for what clears away after tests.


@pytest.mark.parametrize("before", ["file", "folder", "link"])
def test_what_stands_in_the_way_in_the_duplicate_is_left_out(
    task: Task, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """A file of the source that became a folder meanwhile, or the other way round."""
    later(monkeypatch)
    if before == "folder":
        (code(task) / "x").write_bytes(b"1")
    else:
        (code(task) / "x" / "y").mkdir(parents=True)
        (code(task) / "x" / "y" / "z").write_bytes(b"1")
    (code(task) / "last").write_bytes(b"1")
    real = copying._Copying.run

    def run(self: copying._Copying) -> bool:
        new = code(self._task)
        if before == "file":
            (new / "x").write_bytes(b"before")
        elif before == "link":
            (new / "x").symlink_to("/etc")
        else:
            (new / "x").mkdir()
        return real(self)

    monkeypatch.setattr(copying._Copying, "run", run)
    missed: list[str] = []
    monkeypatch.setattr(copying._Copying, "_miss", lambda self, path: missed.append(path))
    monkeypatch.setattr(copying, "AT_ONCE_FILE", 10)
    new = services.duplicate_task(user=task.owner, task=task)
    assert missed == ["x"]
    assert not TaskCopy.objects.exists()
    assert (code(new) / "last").exists()


def test_what_nobody_foresaw_stops_the_copy_with_a_sentence(
    task: Task, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (code(task) / "x").write_bytes(b"1")

    def fails(self: copying._Copying, path: str) -> None:
        raise ZeroDivisionError

    (code(task) / "link").symlink_to("x")
    monkeypatch.setattr(copying._Copying, "_miss", fails)
    new = services.duplicate_task(user=task.owner, task=task)
    assert "tell your administrator" in TaskCopy.objects.get(task=new).problem
    assert "ZeroDivisionError" in caplog.text
    assert copying.copy_on(new.public_id, seconds=5) is False
