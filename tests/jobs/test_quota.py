"""What people fill, what they may still put there, and how large Tasks are measured to be."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.cache import cache
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from accounts.models import User
from files import datasets, storage
from files.models import Dataset
from jobs import measuring, services
from jobs.models import GIB, Lane, Role, Run, RunKind, Task, UserLimits
from jobs.services import RunRequest, quota
from jobs.states import RunState
from jobs.supervision.spec import spec_of
from tests.conftest import mark_storage
from tests.factories import make_environment, make_run, make_task, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def storage_root(tmp_path: Path, settings: Settings) -> Path:
    settings.RCLUSTER_STORAGE = mark_storage(tmp_path / "storage")
    settings.RCLUSTER_USER = "nobody"
    return tmp_path / "storage"


@pytest.fixture
def anna() -> User:
    return make_user("anna")


def limit(user: User | None, count: int) -> None:
    UserLimits.objects.create(user=user, max_storage=count)


def command() -> RunRequest:
    """One that waits its turn."""
    return RunRequest(kind=RunKind.COMMAND, command="true", lane=Lane.QUEUE)


def test_all_that_somebody_owns_counts_and_nothing_else(anna: User) -> None:
    make_task(anna, storage_used=1 * GIB)
    make_task(anna, storage_used=1 * GIB, archived_at=timezone.now())
    make_task(anna, storage_used=1 * GIB, deleted_at=timezone.now(), deleted_by=anna)
    Dataset.objects.create(name="rivers", owner=anna, size=GIB // 10)
    Dataset.objects.create(name="in-place", owner=anna, size=50 * GIB, path="pool/big")
    other = make_task(storage_used=7 * GIB)
    services.share_task(user=other.owner, task=other, person=anna, role=Role.EDITOR)
    assert quota.storage_of(anna).words == "3.1 GB"
    assert (quota.room_left(anna), quota.over_quota(anna)) == (None, "")
    limit(anna, 10 * GIB)
    stored = quota.storage_of(anna)
    assert (stored.words, stored.percent, stored.is_near) == ("3.1 of 10 GB", 31, False)
    assert quota.room_left(anna) == 10 * GIB - 3 * GIB - GIB // 10


def test_near_and_over(anna: User) -> None:
    task = make_task(anna, storage_used=900)
    limit(None, 1000)
    stored = quota.storage_of(anna)
    assert (stored.is_near, stored.is_over, stored.left) == (True, False, 100)
    quota.refuse_beyond(anna, 100)
    with pytest.raises(services.Refused, match="has 0 kB left and this needs"):
        quota.refuse_beyond(anna, 101)
    quota.grew(task, 500)
    assert quota.storage_of(anna).left == 0
    assert quota.over_quota(anna).startswith("Your storage is full: ")
    told = quota.over_quota(anna, asked_by=make_user())
    assert "The storage of anna, who owns this, is full." in told


def test_a_full_quota_stops_runs_of_the_owners_tasks(anna: User) -> None:
    make_environment()
    task = make_task(anna, storage_used=1000)
    storage.create_task_folders(task.public_id)
    editor = make_user("editor")
    services.share_task(user=anna, task=task, person=editor, role=Role.EDITOR)
    limit(anna, 1000)
    with pytest.raises(services.Refused, match="Your storage is full"):
        services.submit(user=anna, task=task, request=command())
    with pytest.raises(services.Refused, match="The storage of anna"):
        services.submit(user=editor, task=task, request=command())
    assert not Run.objects.exists()
    UserLimits.objects.update(max_storage=1001)
    services.submit(user=anna, task=task, request=command())


def test_quick_commands_start_at_a_full_quota_and_write_nothing(anna: User, tmp_path: Path) -> None:
    make_environment()
    task = make_task(anna, storage_used=1000)
    storage.create_task_folders(task.public_id)
    limit(anna, 1000)
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old")
    quick = f'echo "$0"; head -c 5 /etc/passwd > {new}; wc -c < {new}; rm {old} && ls {tmp_path}'
    run = services.submit(
        user=anna, task=task, request=RunRequest(kind=RunKind.COMMAND, command=quick)
    )
    assert run.lane == Lane.QUICK
    done = subprocess.run(spec_of(run).command, capture_output=True, text=True, check=True)
    assert "the storage is full; this command can look and delete" in done.stderr
    assert "File too large" in done.stderr
    assert done.stdout.split()[:2] == ["sh", "0"]
    assert (old.exists(), new.stat().st_size) == (False, 0)
    UserLimits.objects.update(max_storage=1001)
    assert spec_of(run).command == ["/bin/sh", "-c", quick, "sh"]


def test_asking_costs_the_same_however_much_there_is(
    anna: User, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(1):
        quota.over_quota(anna)
    limit(anna, 10)
    for _ in range(5):
        make_task(anna, storage_used=1)
    with django_assert_num_queries(3):
        quota.refuse_beyond(anna, 5)


def fill(task: Task, area: str, name: str, count: int) -> None:
    storage.area(task.public_id, area).write(name, [b"x" * count], limit=count)


def test_a_task_is_measured_with_its_logs(anna: User) -> None:
    cache.clear()
    task = make_task(anna)
    storage.create_task_folders(task.public_id)
    fill(task, "code", "a.R", 10)
    fill(task, "output", "deep/er/b.bin", 5000)
    (storage.task_dir(task.public_id) / "output" / "link").symlink_to("/etc")
    make_run(task, state=RunState.SUCCEEDED, log_size=700)
    assert measuring.measure_task(task.public_id) == 0
    task.refresh_from_db()
    assert task.storage_used == 5710
    assert task.storage_measured_at is not None
    (storage.task_dir(task.public_id) / "output/deep/er/b.bin").unlink()
    # Just measured: one comes back later, others need not.
    assert measuring.measure_task(task.public_id) > 0
    assert measuring.measure_task(task.public_id) == 0
    cache.clear()
    measuring.measure_task(task.public_id)
    task.refresh_from_db()
    assert task.storage_used == 710


def test_what_could_not_be_counted_in_time_never_shrinks(
    anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.clear()
    task = make_task(anna, storage_used=10_000)
    storage.create_task_folders(task.public_id)
    for number in range(5):
        fill(task, "input", f"{number}", 100)
    monkeypatch.setattr(measuring, "MOST", 4)
    measuring.measure_task(task.public_id)
    task.refresh_from_db()
    assert task.storage_used == 10_000


def test_a_locked_folder_is_counted_and_hinders_no_shrinking(anna: User) -> None:
    cache.clear()
    task = make_task(anna, storage_used=10_000)
    storage.create_task_folders(task.public_id)
    fill(task, "output", "locked/deep/a", 100)
    fill(task, "output", "b", 50)
    locked = storage.task_dir(task.public_id) / "output/locked"
    (locked / "deep").chmod(0)
    locked.chmod(0)
    measuring.measure_task(task.public_id)
    task.refresh_from_db()
    assert task.storage_used == 150
    assert locked.stat().st_mode & 0o777 == 0


def test_what_can_not_be_read_is_counted_as_nothing(
    anna: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else's folder, say: the rest may shrink all the same."""
    cache.clear()
    task = make_task(anna, storage_used=10_000)
    storage.create_task_folders(task.public_id)
    fill(task, "output", "theirs/a", 100)
    fill(task, "output", "b", 50)
    (storage.task_dir(task.public_id) / "output/theirs").chmod(0)

    def theirs(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(datasets, "unlocked", theirs)
    measuring.measure_task(task.public_id)
    task.refresh_from_db()
    assert task.storage_used == 50


def test_what_a_killed_upload_left_fills_no_quota(anna: User) -> None:
    cache.clear()
    task = make_task(anna)
    storage.create_task_folders(task.public_id)
    left = storage.task_dir(task.public_id) / "input/.rcluster-0123456789abcdef"
    left.write_bytes(b"x" * 1000)
    measuring.measure_task(task.public_id)
    task.refresh_from_db()
    assert task.storage_used == 1000, "it may still be under way"
    os.utime(left, (1, 1))
    cache.clear()
    measuring.measure_task(task.public_id)
    task.refresh_from_db()
    assert (task.storage_used, left.exists()) == (0, False)


def test_the_hourly_step_measures_what_is_new_or_was_used_and_forgets_the_rest(anna: User) -> None:
    now = timezone.now()
    new = make_task(anna)
    used = make_task(anna, storage_measured_at=now - timedelta(days=2), used_at=now)
    make_task(anna, storage_measured_at=now - timedelta(days=20), used_at=now - timedelta(days=40))
    make_task(anna, storage_measured_at=now - timedelta(hours=2), used_at=now)
    assert measuring.measure_due(seconds=5) == 2
    for task in (new, used):
        task.refresh_from_db()
        assert task.storage_measured_at is not None
        assert task.storage_measured_at >= now


def test_storage_that_is_away_is_not_measured_as_empty(
    anna: User, storage_root: Path, tmp_path: Path
) -> None:
    cache.clear()
    task = make_task(anna, storage_used=77)
    storage_root.rename(tmp_path / "away")
    with pytest.raises(storage.StorageAway):
        measuring.measure_task(task.public_id)
    task.refresh_from_db()
    assert task.storage_used == 77
