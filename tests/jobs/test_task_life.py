"""A Task from its making to its end: describe, archive, duplicate, delete, restore, and the sweep."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import AuditEntry, User
from files import storage
from files.models import Dataset
from jobs import services
from jobs.models import Role, Run, RunEvent, RunKind, Task, TaskCopy, TaskMember, UserUsage
from jobs.services import RunRequest, bin, copying
from jobs.states import RunState
from jobs.supervision import usage
from tests.conftest import mark_storage
from tests.factories import make_environment, make_run, make_task, make_user

pytestmark = pytest.mark.django_db


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


def command() -> RunRequest:
    return RunRequest(kind=RunKind.COMMAND, command="true")


def put(task: Task, path: str, content: bytes = b"x") -> None:
    area, _, name = path.partition("/")
    storage.area(task.public_id, area).write(name, [content], limit=10**9)


def files_of(task: Task) -> dict[str, bytes]:
    top = storage.task_dir(task.public_id)
    return {str(p.relative_to(top)): p.read_bytes() for p in sorted(top.rglob("*")) if p.is_file()}


def test_only_what_was_asked_for_is_written(task: Task) -> None:
    """Somebody else changed another setting since the row was read."""
    stale = Task.objects.get(pk=task.pk)
    services.update_task(user=task.owner, task=task, memory=2**31, name="Lakes")
    services.update_task(user=task.owner, task=stale, cpus=2, description="of Europe")
    task.refresh_from_db()
    assert (task.name, task.description) == ("Lakes", "of Europe")
    assert (task.memory, float(task.cpus)) == (2**31, 2.0)


def ended(task: Task, root: Path, **fields: Any) -> Run:
    """A Run that is over and counted, with what its attempt left."""
    run = make_run(task, state=RunState.SUCCEEDED, charge_due=False, **fields)
    RunEvent.objects.create(run=run, attempt=1, state=RunState.SUCCEEDED)
    folder = root / "runs" / run.public_id / "1"
    folder.mkdir(parents=True)
    (folder / "log").write_text("hello")
    return run


def age(task: Task, days: float) -> None:
    Task.objects.filter(pk=task.pk).update(deleted_at=timezone.now() - timedelta(days=days))


# Describe, archive


def test_a_task_is_described_and_renamed(task: Task) -> None:
    services.update_task(user=task.owner, task=task, name=" New ", description="What\nfor")
    task.refresh_from_db()
    assert (task.name, task.description) == ("New", "What\nfor")
    with pytest.raises(services.Refused, match="at most 10000 characters") as refused:
        services.update_task(user=task.owner, task=task, description="x" * 10_001)
    assert refused.value.field == "description"
    assert AuditEntry.objects.get(action="task.changed").detail == "It was called “Rivers”."


def test_nothing_runs_in_the_archive(task: Task) -> None:
    run = services.submit(user=task.owner, task=task, request=command())
    with pytest.raises(services.Refused, match="1 Run of this Task is not over"):
        services.archive_task(user=task.owner, task=task)
    task.refresh_from_db()
    assert task.archived_at is None
    services.cancel(user=task.owner, run=run)
    services.archive_task(user=task.owner, task=task)
    with pytest.raises(services.Refused, match="in the archive"):
        services.submit(user=task.owner, task=task, request=command())
    assert Run.objects.count() == 1
    services.unarchive_task(user=task.owner, task=task)
    services.submit(user=task.owner, task=task, request=command())


# The bin


def test_a_task_goes_into_the_bin_and_comes_back_whole(task: Task, storage_root: Path) -> None:
    put(task, "code/a.R")
    run = ended(task, storage_root)
    member = make_user()
    services.share_task(user=task.owner, task=task, person=member, role=Role.VIEWER)
    services.delete_task(user=task.owner, task=task)
    for person in (task.owner, member):
        assert not Task.objects.visible_to(person).exists()
        assert not Run.objects.visible_to(person).exists()
    assert not Task.objects.in_bin_of(member).exists()
    assert list(Task.objects.in_bin_of(task.owner)) == [task]
    with pytest.raises(services.Refused, match="in the bin"):
        services.submit(user=task.owner, task=task, request=command())
    services.restore_task(user=task.owner, task=task)
    assert list(Task.objects.visible_to(member)) == [task]
    assert list(Run.objects.visible_to(task.owner)) == [run]
    assert files_of(task) == {"code/a.R": b"x"}


def test_runs_that_go_on_hold_a_task_out_of_the_bin_until_they_are_cancelled(task: Task) -> None:
    services.submit(user=task.owner, task=task, request=command())
    running = make_run(task, state=RunState.RUNNING, number=2)
    with pytest.raises(services.StillGoing, match="2 Runs of this Task are not over") as refused:
        services.delete_task(user=task.owner, task=task)
    assert refused.value.count == 2
    task.refresh_from_db()
    assert task.deleted_at is None
    services.delete_task(user=task.owner, task=task, cancel_runs=True)
    running.refresh_from_db()
    assert running.cancel_requested_at is not None
    assert task.deleted_at is not None


def test_the_sweep_takes_what_is_due_and_nothing_else(task: Task, storage_root: Path) -> None:
    put(task, "output/big.bin", b"x" * 1000)
    locked = storage.task_dir(task.public_id) / "output" / "locked"
    locked.mkdir()
    (locked / "inside").write_text("x")
    locked.chmod(0)
    runs = [ended(task, storage_root, number=number) for number in (1, 2, 3)]
    again = make_run(make_task(task.owner, name="Kept"), state=RunState.SUCCEEDED, repeats=runs[0])
    kept = again.task
    storage.create_task_folders(kept.public_id)
    put(kept, "code/a.R")
    services.share_task(user=task.owner, task=task, person=make_user(), role=Role.VIEWER)
    services.delete_task(user=task.owner, task=task)
    age(task, 6.9)
    assert bin.sweep(seconds=5) is False
    assert Task.objects.filter(pk=task.pk).exists()
    age(task, 7.1)
    assert bin.sweep(seconds=5) is False
    assert not Task.objects.filter(pk=task.pk).exists()
    assert not TaskMember.objects.exists()
    assert list(Run.objects.all()) == [again]
    again.refresh_from_db()
    assert again.repeats is None
    assert not RunEvent.objects.filter(run__task=task).exists()
    assert sorted(each.name for each in (storage_root / "working_dir").iterdir()) == [
        kept.public_id
    ]
    assert list((storage_root / "runs").iterdir()) == []
    assert files_of(kept) == {"code/a.R": b"x"}
    last = AuditEntry.objects.filter(action="task.purged").get()
    assert (last.subject_id, last.actor) == (task.public_id, None)
    assert last.detail.startswith("Of anna: 3 Runs, ")
    assert bin.sweep(seconds=5) is False
    assert AuditEntry.objects.filter(action="task.purged").count() == 1


def test_a_sweep_that_was_killed_is_finished_by_the_next(
    task: Task, storage_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(task, "code/a.R")
    runs = [ended(task, storage_root, number=number) for number in (1, 2, 3)]
    services.delete_task(user=task.owner, task=task)
    age(task, 8)
    monkeypatch.setattr(bin, "RUNS_AT_ONCE", 1)
    real, calls = bin._remove_folder, []

    def dies(path: Path) -> None:
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(path)

    monkeypatch.setattr(bin, "_remove_folder", dies)
    with pytest.raises(KeyboardInterrupt):
        bin.sweep(seconds=5)
    assert Run.objects.filter(pk__in=[run.pk for run in runs]).count() == 2
    with pytest.raises(services.Refused, match="too late"):
        services.restore_task(user=task.owner, task=task)
    assert not Task.objects.in_bin_of(task.owner).exists()
    monkeypatch.setattr(bin, "_remove_folder", real)
    bin.sweep(seconds=5)
    assert not Task.objects.filter(pk=task.pk).exists()
    assert not Run.objects.exists()
    assert list((storage_root / "runs").iterdir()) == []


def test_nothing_goes_before_its_runs_have_ended_and_are_counted(
    task: Task, storage_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ended(task, storage_root)
    stopping = make_run(task, state=RunState.RUNNING, number=2, cancel_requested_at=timezone.now())
    services.delete_task(user=task.owner, task=task)
    age(task, 8)
    bin.sweep(seconds=5)
    assert (storage_root / "runs" / run.public_id).exists()
    stopping.delete()
    Run.objects.filter(pk=run.pk).update(charge_due=True)
    monkeypatch.setattr(bin, "charge", lambda now: False)
    bin.sweep(seconds=5)
    assert Run.objects.filter(pk=run.pk).exists()
    Run.objects.filter(pk=run.pk).update(charge_due=False)
    bin.sweep(seconds=5)
    assert not Task.objects.filter(pk=task.pk).exists()


def test_the_sweep_counts_runs_itself_however_many(
    task: Task, storage_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one person is alone, supervision never counts what they used."""
    monkeypatch.setattr(usage, "CHARGED_AT_ONCE", 2)
    began = timezone.now() - timedelta(hours=1)
    for number in range(1, 6):
        ended(task, storage_root, number=number, placed_at=began, cpus=1)
    Run.objects.update(charge_due=True)
    services.delete_task(user=task.owner, task=task)
    services.purge_task(user=task.owner, task=task)
    steps = 1
    while bin.sweep(seconds=0):
        steps += 1
        assert steps < 10
    assert steps > 2
    assert not Task.objects.filter(pk=task.pk).exists()
    counted = UserUsage.objects.get(user=task.owner)
    assert counted.cpus == pytest.approx(5 * usage.used(3600, 0), rel=0.01)


def test_what_two_processes_count_at_a_time_is_counted_once(
    task: Task, storage_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ended(task, storage_root, placed_at=timezone.now() - timedelta(hours=1), cpus=1)
    Run.objects.update(charge_due=True)
    real = usage.used

    def meanwhile(lasted: float, ago: float) -> float:
        Run.objects.filter(pk=run.pk).update(charge_due=False)
        return real(lasted, ago)

    monkeypatch.setattr(usage, "used", meanwhile)
    assert usage.charge(timezone.now()) is True
    assert not UserUsage.objects.exists()
    assert usage.charge(timezone.now()) is False


def test_a_storage_that_is_away_loses_no_row(
    task: Task, storage_root: Path, tmp_path: Path
) -> None:
    services.delete_task(user=task.owner, task=task)
    age(task, 8)
    storage_root.rename(tmp_path / "away")
    storage_root.mkdir()
    with pytest.raises(storage.StorageAway):
        bin.sweep(seconds=5)
    assert Task.objects.filter(pk=task.pk).exists()


def test_who_does_not_want_to_wait_need_not(task: Task, storage_root: Path) -> None:
    services.purge_task(user=task.owner, task=task)
    bin.sweep(seconds=5)
    assert Task.objects.filter(pk=task.pk).exists()  # It was not in the bin.
    services.delete_task(user=task.owner, task=task)
    services.purge_task(user=task.owner, task=task)
    bin.sweep(seconds=5)
    assert not Task.objects.filter(pk=task.pk).exists()
    assert not storage.task_dir(task.public_id).exists()


def test_many_runs_go_in_more_than_one_step(
    task: Task, storage_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        ended(task, storage_root, number=number)
    services.delete_task(user=task.owner, task=task)
    services.purge_task(user=task.owner, task=task)
    monkeypatch.setattr(bin, "RUNS_AT_ONCE", 1)
    steps = 1
    while bin.sweep(seconds=0):
        steps += 1
        assert steps < 10
    assert steps > 1
    assert not Task.objects.filter(pk=task.pk).exists()


# Duplicating


def test_a_duplicate_has_settings_code_and_input(task: Task, storage_root: Path) -> None:
    put(task, "code/main.R", b"1")
    put(task, "code/lib/deep/x.R", b"2")
    put(task, "input/data.csv", b"3")
    put(task, "output/plot.png", b"4")
    ended(task, storage_root)
    (storage.task_dir(task.public_id) / "code" / "link").symlink_to("/etc/passwd")
    public = Dataset.objects.create(name="public", owner=task.owner, for_everybody=True)
    private = Dataset.objects.create(name="private", owner=task.owner)
    task.datasets.set([public, private])
    services.update_task(user=task.owner, task=task, cpus=2, description="Why")
    viewer = make_user("viewer")
    services.share_task(user=task.owner, task=task, person=viewer, role=Role.VIEWER)
    left_out: list[str] = []
    new = services.duplicate_task(user=viewer, task=task, left_out=left_out)
    assert left_out == ["data/private", "code/link"]
    new.refresh_from_db()
    assert (new.name, new.owner, float(new.cpus), new.description) == (
        "Copy of Rivers",
        viewer,
        2.0,
        "Why",
    )
    assert files_of(new) == {
        "code/main.R": b"1",
        "code/lib/deep/x.R": b"2",
        "input/data.csv": b"3",
    }
    assert list(new.datasets.all()) == [public]
    told = AuditEntry.objects.get(action="task.duplicated").detail
    assert told.endswith(f"({new.public_id}). With the Datasets public ({public.public_id}).")
    assert not new.members.exists()
    assert not new.runs.exists()
    assert not TaskCopy.objects.exists()
    assert new.storage_used == 3
    services.submit(user=viewer, task=new, request=command())


def test_a_large_one_is_copied_by_steps_and_runs_only_then(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "AT_ONCE_FILE", 10)
    put(task, "code/a.R", b"small")
    put(task, "input/large.bin", b"x" * 5000)
    put(task, "input/z.txt", b"end")
    new = services.duplicate_task(user=task.owner, task=task, name="Second")
    assert set(files_of(new)) == {"code/a.R", "input/z.txt"}
    copy = TaskCopy.objects.get(task=new)
    assert (copy.bytes_done, copy.bytes_total) == (8, 5008)
    with pytest.raises(services.Refused, match="still being copied"):
        services.submit(user=task.owner, task=new, request=command())
    assert copying.unattended() == [new.public_id]
    put(new, "input/z.txt", b"changed by hand")
    assert copying.copy_on(new.public_id, seconds=0) is True
    assert "input/large.bin" not in files_of(new)
    assert copying.copy_on(new.public_id, seconds=5) is False
    assert files_of(new)["input/large.bin"] == b"x" * 5000
    assert files_of(new)["input/z.txt"] == b"changed by hand"
    assert not TaskCopy.objects.exists()
    assert copying.copy_on(new.public_id, seconds=5) is False
    services.submit(user=task.owner, task=new, request=command())


def test_two_steps_never_copy_the_same_at_a_time(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "AT_ONCE_FILE", 0)
    put(task, "input/large.bin", b"x" * 50)
    new = services.duplicate_task(user=task.owner, task=task)
    TaskCopy.objects.update(heard_at=timezone.now())
    assert copying.copy_on(new.public_id, seconds=5) is False
    assert files_of(new) == {}
    TaskCopy.objects.update(heard_at=timezone.now() - timedelta(seconds=61))
    assert copying.unattended() == [new.public_id]
    copying.copy_on(new.public_id, seconds=5)
    assert "input/large.bin" in files_of(new)


def test_a_copy_whose_source_is_gone_says_so_and_can_be_used_as_it_is(
    task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "AT_ONCE_FILE", 2)
    put(task, "code/a.R", b"1")
    put(task, "input/large.bin", b"x" * 50)
    new = services.duplicate_task(user=task.owner, task=task)
    services.delete_task(user=task.owner, task=task)
    services.purge_task(user=task.owner, task=task)
    bin.sweep(seconds=5)
    copying.copy_on(new.public_id, seconds=5)
    copy = TaskCopy.objects.get(task=new)
    assert "was deleted before all files were there" in copying.words(copy)
    services.try_copy_again(user=new.owner, task=new)
    copying.copy_on(new.public_id, seconds=5)
    assert TaskCopy.objects.get(task=new).problem
    services.give_up_copy(user=new.owner, task=new)
    services.submit(user=new.owner, task=Task.objects.get(pk=new.pk), request=command())


def test_what_does_not_fit_is_not_duplicated(task: Task) -> None:
    from jobs.models import UserLimits

    put(task, "input/data", b"x" * 600)
    small = make_user("small")
    services.share_task(user=task.owner, task=task, person=small, role=Role.VIEWER)
    UserLimits.objects.create(user=small, max_storage=500)
    with pytest.raises(services.Refused, match="left and this needs"):
        services.duplicate_task(user=small, task=task)
    assert not Task.objects.filter(owner=small).exists()


def test_folders_that_are_gone_leave_an_empty_duplicate(task: Task) -> None:
    shutil.rmtree(storage.task_dir(task.public_id))
    new = services.duplicate_task(user=task.owner, task=task)
    assert files_of(new) == {}
    assert not TaskCopy.objects.exists()


def test_strangers_have_nothing_to_duplicate_or_restore(task: Task) -> None:
    stranger: User = make_user("stranger")
    services.delete_task(user=task.owner, task=task)
    assert not Task.objects.in_bin_of(stranger).exists()
    with pytest.raises(services.Forbidden):
        services.restore_task(user=stranger, task=task)
