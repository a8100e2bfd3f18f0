"""Datasets: who may do what, what Runs keep of them, the bin, and what their Runs get."""

from __future__ import annotations

import errno
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import AuditEntry, User
from files import datasets as folders
from files.models import Dataset, DatasetMember
from jobs import attempts, services
from jobs.backends.base import Capabilities, Mount
from jobs.models import Run, Task
from jobs.services import Forbidden, Refused, RunRequest
from jobs.services.granting import runs_on, why_not_started
from jobs.services.using import use_of
from jobs.states import Reason, RunState
from jobs.supervision import launching
from jobs.supervision.spec import spec_of
from tests.conftest import mark_storage
from tests.factories import make_environment, make_run, make_task, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def root(tmp_path: Path, settings: Settings) -> Path:
    settings.RCLUSTER_STORAGE = mark_storage(tmp_path / "storage")
    settings.RCLUSTER_USER = "nobody"
    settings.RCLUSTER_BIN_DAYS = 7.0
    return tmp_path / "storage"


@pytest.fixture
def anna() -> User:
    return make_user("anna")


@pytest.fixture
def bert() -> User:
    return make_user("bert")


@pytest.fixture
def rivers(anna: User) -> Dataset:
    return services.create_dataset(user=anna, name="rivers")


@pytest.fixture
def task(anna: User, rivers: Dataset) -> Task:
    make_environment()
    task = make_task(anna)
    task.datasets.add(rivers)
    return task


def submit(user: User, task: Task, **more: Any) -> Run:
    return services.submit(
        user=user, task=task, request=RunRequest(kind="command", command="ls /data", **more)
    )


def kept(dataset: Dataset) -> list[dict[str, str]]:
    """What a Run keeps of it."""
    return [{"id": dataset.public_id, "name": dataset.name, "path": f"data/{dataset.name}"}]


# Making.


@pytest.mark.parametrize(
    "name", ["", "Rivers", "my rivers", "-x", "_x", "ä", "a/b", "..", "x" * 64, "a\n", "a.csv"]
)
def test_names_are_what_scripts_can_write(anna: User, name: str) -> None:
    with pytest.raises(Refused) as refused:
        services.create_dataset(user=anna, name=name)
    assert refused.value.field == "name"
    assert not Dataset.objects.exists()


def test_a_name_is_there_once_also_in_the_bin(anna: User, bert: User, rivers: Dataset) -> None:
    services.delete_dataset(user=anna, dataset=rivers)
    with pytest.raises(Refused, match="in the bin already"):
        services.create_dataset(user=bert, name="rivers")


def test_a_folder_that_lies_there_is_not_taken_over(root: Path, anna: User) -> None:
    (root / "data/old").mkdir(parents=True)
    with pytest.raises(Refused, match="ask an administrator to register it"):
        services.create_dataset(user=anna, name="old")
    staff = make_user(staff=True)
    made = services.register_dataset(user=staff, name="old", path="data/old")
    assert made.path == "data/old"


def test_only_administrators_register_in_place(root: Path, anna: User) -> None:
    (root / "archive").mkdir()
    for user in (anna, make_user(staff=True, is_active=False)):
        with pytest.raises(Forbidden, match="Only administrators may register"):
            services.register_dataset(user=user, name="old", path="archive")


# Rights.


def test_who_sees_it(anna: User, bert: User, rivers: Dataset) -> None:
    def sees(user: User) -> bool:
        return Dataset.objects.visible_to(user).filter(pk=rivers.pk).exists()

    staff, gone = make_user(staff=True), make_user(is_active=False)
    assert (sees(anna), sees(bert), sees(staff), sees(gone)) == (True, False, True, False)
    services.share_dataset(user=anna, dataset=rivers, person=bert, role="reader")
    assert sees(bert)
    services.unshare_dataset(user=anna, dataset=rivers, person=bert)
    assert not sees(bert)
    services.update_dataset(user=anna, dataset=rivers, for_everybody=True)
    assert (sees(bert), sees(gone)) == (True, False)
    services.delete_dataset(user=anna, dataset=rivers)
    assert not sees(anna)
    assert list(Dataset.objects.in_the_bin_of(anna)) == [rivers]
    assert not Dataset.objects.in_the_bin_of(bert).exists()


def test_what_readers_and_editors_may(anna: User, bert: User, rivers: Dataset) -> None:
    def may(act: Any, **more: Any) -> bool:
        try:
            act(user=bert, dataset=rivers, **more)
        except Forbidden:
            return False
        return True

    owners = [
        lambda **k: services.update_dataset(**k, for_everybody=True),
        lambda **k: services.share_dataset(**k, person=make_user(), role="reader"),
        lambda **k: services.unshare_dataset(**k, person=anna),
        lambda **k: services.transfer_dataset(**k, person=bert),
        services.delete_dataset,
        services.restore_dataset,
    ]
    editors = [
        lambda **k: services.update_dataset(**k, description="of Europe"),
        lambda user, dataset: services.must_change_files(user, dataset),
    ]
    for role, allowed in (("reader", []), ("editor", editors)):
        services.share_dataset(user=anna, dataset=rivers, person=bert, role=role)
        assert [may(act) for act in editors] == [act in allowed for act in editors], role
        assert not any(may(act) for act in owners), role


def test_nobody_changes_the_files_of_a_folder_in_place(root: Path) -> None:
    (root / "archive").mkdir()
    staff = make_user(staff=True)
    made = services.register_dataset(user=staff, name="old", path="archive")
    with pytest.raises(Forbidden, match="in place"):
        services.must_change_files(staff, made)


def test_an_editors_description_opens_nothing_again(
    anna: User, bert: User, rivers: Dataset
) -> None:
    """Nor does who closes it take the description back: each writes what was asked for."""
    services.share_dataset(user=anna, dataset=rivers, person=bert, role="editor")
    services.update_dataset(user=anna, dataset=rivers, for_everybody=True)
    seen_by_bert, seen_by_anna = Dataset.objects.get(), Dataset.objects.get()
    services.update_dataset(user=anna, dataset=seen_by_anna, for_everybody=False)
    services.update_dataset(user=bert, dataset=seen_by_bert, description="of Europe")
    rivers.refresh_from_db()
    assert (rivers.for_everybody, rivers.description) == (False, "of Europe")


def test_a_member_may_leave(anna: User, bert: User, rivers: Dataset) -> None:
    services.share_dataset(user=anna, dataset=rivers, person=bert, role="editor")
    services.unshare_dataset(user=bert, dataset=rivers, person=bert)
    assert not DatasetMember.objects.exists()


def test_a_new_owner_and_the_old_one_stays_an_editor(
    anna: User, bert: User, rivers: Dataset
) -> None:
    services.share_dataset(user=anna, dataset=rivers, person=bert, role="reader")
    services.transfer_dataset(user=anna, dataset=rivers, person=bert)
    rivers.refresh_from_db()
    assert rivers.owner == bert
    assert [(m.user, m.role) for m in rivers.members.all()] == [(anna, "editor")]


def test_the_audit_log_tells_of_it(anna: User, bert: User, rivers: Dataset) -> None:
    services.share_dataset(user=anna, dataset=rivers, person=bert, role="reader")
    services.share_dataset(user=anna, dataset=rivers, person=bert, role="reader")
    services.share_dataset(user=anna, dataset=rivers, person=bert, role="editor")
    services.unshare_dataset(user=anna, dataset=rivers, person=bert)
    services.delete_dataset(user=anna, dataset=rivers)
    services.restore_dataset(user=anna, dataset=rivers)
    told = AuditEntry.objects.filter(subject_id=rivers.public_id).order_by("id")
    assert [each.action for each in told] == [
        "dataset.created",
        "dataset.shared",
        "dataset.role_changed",
        "dataset.unshared",
        "dataset.deleted",
        "dataset.restored",
    ]


# In Tasks and Runs.


def test_the_audit_log_tells_which_a_task_gets(anna: User, bert: User, rivers: Dataset) -> None:
    task = make_task(bert)
    lakes = services.create_dataset(user=bert, name="lakes")
    services.share_dataset(user=anna, dataset=rivers, person=bert, role="reader")
    for chosen in ([rivers], [rivers], [lakes]):
        services.update_task(user=bert, task=task, datasets=chosen)
    told = AuditEntry.objects.filter(action="task.datasets", subject_id=task.public_id)
    assert [each.detail for each in told.order_by("id")] == [
        f"added rivers ({rivers.public_id})",
        f"added lakes ({lakes.public_id}); removed rivers ({rivers.public_id})",
    ]
    made = services.create_task(user=bert, name="New", datasets=[lakes], published=True)
    assert AuditEntry.objects.get(subject_id=made.public_id).detail == (
        f"Its output is published from its start. With the Datasets lakes ({lakes.public_id})."
    )


def test_a_task_gets_only_what_its_editor_may_use(anna: User, bert: User, rivers: Dataset) -> None:
    task = make_task(bert)
    for each in (rivers, Dataset(name="nobodys")):  # Which of them is there is not told.
        with pytest.raises(Refused) as refused:
            services.choose_datasets(user=bert, task=task, datasets=[each])
        assert str(refused.value) == (
            f"There is no Dataset {each.name} that you may use: see /api/v1/datasets."
        )
    services.share_dataset(user=anna, dataset=rivers, person=bert, role="reader")
    services.choose_datasets(user=bert, task=task, datasets=[rivers])
    assert list(task.datasets.all()) == [rivers]
    services.unshare_dataset(user=anna, dataset=rivers, person=bert)
    # What is there already may stay, or go.
    services.choose_datasets(user=bert, task=task, datasets=[rivers])
    services.choose_datasets(user=bert, task=task, datasets=[])
    assert not task.datasets.exists()


def test_a_run_keeps_and_mounts_what_its_task_names(
    root: Path, anna: User, task: Task, rivers: Dataset
) -> None:
    run = submit(anna, task)
    assert run.datasets == kept(rivers)
    task.datasets.clear()
    run.refresh_from_db()
    assert Mount(root / "data/rivers", "/data/rivers", read_only=True) in spec_of(run).mounts


def test_submitting_needs_the_right_to_each(anna: User, bert: User, task: Task) -> None:
    task.members.create(user=bert, role="editor", added_by=anna)
    with pytest.raises(Refused, match="You may not use the Dataset rivers"):
        submit(bert, task)
    assert submit(anna, task)


def test_what_is_in_the_bin_is_refused(anna: User, task: Task, rivers: Dataset) -> None:
    services.delete_dataset(user=anna, dataset=rivers)
    with pytest.raises(Refused, match="rivers is in the bin"):
        submit(anna, task)


def test_run_again_uses_what_was_asked_for_then(anna: User, task: Task, rivers: Dataset) -> None:
    run = submit(anna, task)
    lakes = services.create_dataset(user=anna, name="lakes")
    task.datasets.set([lakes])
    assert services.run_again(user=anna, run=run).datasets == run.datasets


def test_run_again_says_what_is_gone(anna: User, bert: User, task: Task, rivers: Dataset) -> None:
    run = make_run(task, state=RunState.SUCCEEDED, datasets=kept(rivers))
    services.transfer_dataset(user=anna, dataset=rivers, person=bert)
    services.unshare_dataset(user=bert, dataset=rivers, person=anna)
    with pytest.raises(Refused, match="Ask bert to share it"):
        services.run_again(user=anna, run=run)
    rivers.delete()
    with pytest.raises(Refused, match="rivers that this Run used is gone"):
        services.run_again(user=anna, run=run)


def test_another_dataset_of_the_same_name_is_another(
    root: Path, anna: User, task: Task, rivers: Dataset
) -> None:
    run = make_run(task, state=RunState.SUCCEEDED, datasets=kept(rivers))
    rivers.delete()
    (root / "data/rivers").rmdir()
    services.create_dataset(user=anna, name="rivers")
    with pytest.raises(Refused, match="is gone"):
        services.run_again(user=anna, run=run)


class Engine:
    """Notes what it was asked to start."""

    name = "local"
    capabilities = Capabilities(images=False, memory="cgroup", network="none")

    def __init__(self) -> None:
        self.started: list[str] = []
        self.removed: list[str] = []

    def launch(self, spec: Any) -> None:
        self.started.append(spec.handle)

    def remove(self, handle: str) -> None:
        self.removed.append(handle)


@pytest.fixture
def starting(task: Task, rivers: Dataset) -> Run:
    run = make_run(task, state=RunState.STARTING, datasets=kept(rivers))
    attempts.prepare(run.public_id, 1, script_name="main.R", script_text="", stdin=None)
    return run


def start(run: Run) -> Engine:
    engine = Engine()
    launching.start(run, engine)  # type: ignore[arg-type] # all of a backend that is needed here
    run.refresh_from_db()
    return engine


def test_with_all_there_it_starts(starting: Run) -> None:
    assert start(starting).started == [starting.handle]
    assert starting.state == RunState.RUNNING


@pytest.mark.parametrize(
    ("loss", "sentence"),
    [
        ("taken back", "You may not use the Dataset rivers"),
        ("deleted", "is in the bin"),
        ("purged", "is gone"),
        ("folder", "The folder of the Dataset rivers is not there: tell anna."),
        ("link", "The folder of the Dataset rivers is not there: tell anna."),
        ("link above", "The folder of the Dataset rivers is not there: tell anna."),
    ],
)
def test_what_was_lost_while_it_waited_fails_it(
    root: Path, bert: User, starting: Run, rivers: Dataset, loss: str, sentence: str
) -> None:
    if loss == "taken back":
        Run.objects.filter(pk=starting.pk).update(submitted_by=bert)
        starting.refresh_from_db()
    elif loss == "deleted":
        Dataset.objects.update(deleted_at=timezone.now())
    elif loss == "purged":
        rivers.delete()
    elif loss == "link above":
        (root / "data").rename(root / "elsewhere")
        (root / "data").symlink_to(root / "elsewhere")
    else:
        (root / "data/rivers").rmdir()
        if loss == "link":
            (root / "data/rivers").symlink_to("/etc")
    assert start(starting).started == []
    assert (starting.state, starting.reason) == (RunState.FAILED, Reason.DATASET_UNAVAILABLE)
    assert sentence in starting.explanation


def test_a_storage_that_is_away_fails_nothing(root: Path, starting: Run) -> None:
    (root / ".rcluster-storage").unlink()
    (root / "data/rivers").rmdir()
    assert start(starting).started == []
    assert (starting.state, starting.reason) == (RunState.STARTING, Reason.BACKEND_UNAVAILABLE)


def test_runs_without_datasets_ask_nothing(django_assert_num_queries: Any) -> None:
    run = make_run()
    with django_assert_num_queries(0):
        assert why_not_started(run) == ""


# The bin.


@pytest.mark.parametrize("state", [RunState.QUEUED, RunState.STARTING, RunState.RUNNING])
def test_what_runs_use_is_not_deleted(
    anna: User, task: Task, rivers: Dataset, state: RunState
) -> None:
    run = make_run(task, state=state, datasets=kept(rivers))
    with pytest.raises(Refused, match="A Run waits or runs with this Dataset"):
        services.delete_dataset(user=anna, dataset=rivers)
    Run.objects.filter(pk=run.pk).delete()
    services.delete_dataset(user=anna, dataset=rivers)


def age(dataset: Dataset, days: float) -> None:
    Dataset.objects.filter(pk=dataset.pk).update(deleted_at=timezone.now() - timedelta(days=days))


def test_it_comes_back_with_everything(
    root: Path, anna: User, bert: User, task: Task, rivers: Dataset
) -> None:
    services.share_dataset(user=anna, dataset=rivers, person=bert, role="editor")
    (root / "data/rivers/a.csv").write_text("1")
    services.delete_dataset(user=anna, dataset=rivers)
    age(rivers, 6.9)
    assert services.sweep_datasets() == 0
    services.restore_dataset(user=anna, dataset=rivers)
    assert Dataset.objects.visible_to(bert).get() == rivers
    assert list(task.datasets.all()) == [rivers]
    assert (root / "data/rivers/a.csv").read_text() == "1"


def test_after_the_grace_it_goes_with_its_files(root: Path, task: Task, rivers: Dataset) -> None:
    (root / "data/rivers/a.csv").write_text("1")
    lakes = services.create_dataset(user=rivers.owner, name="lakes")
    age(rivers, 7.1)
    assert services.sweep_datasets() == 1
    assert list(Dataset.objects.all()) == [lakes]
    assert [each.name for each in (root / "data").iterdir()] == ["lakes"]
    assert AuditEntry.objects.filter(action="dataset.purged", subject="rivers").exists()
    with pytest.raises(Refused, match="run out"):
        services.restore_dataset(user=rivers.owner, dataset=rivers)


def test_a_folder_in_place_outlives_its_dataset(root: Path) -> None:
    (root / "archive").mkdir()
    (root / "archive/a.csv").write_text("1")
    staff = make_user(staff=True)
    made = services.register_dataset(user=staff, name="old", path="archive")
    services.delete_dataset(user=staff, dataset=made)
    age(made, 8)
    assert services.sweep_datasets() == 1
    assert (root / "archive/a.csv").read_text() == "1"


def test_the_sweep_waits_for_a_run_that_was_submitted_in_that_moment(
    root: Path, task: Task, rivers: Dataset
) -> None:
    run = make_run(task, state=RunState.RUNNING, datasets=kept(rivers))
    age(rivers, 30)
    assert services.sweep_datasets() == 0
    assert (root / "data/rivers").is_dir()
    run.delete()
    assert services.sweep_datasets() == 1


def test_one_that_can_not_be_removed_stops_no_other(
    root: Path, anna: User, rivers: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    lakes = services.create_dataset(user=anna, name="lakes")
    for each in (rivers, lakes):
        age(each, 8)
    hide = folders.hide

    def refuses(dataset: Dataset) -> None:
        if dataset == lakes:
            raise OSError(errno.EIO, "Input/output error")
        hide(dataset)

    monkeypatch.setattr(folders, "hide", refuses)
    assert services.sweep_datasets() == 1
    assert list(Dataset.objects.all()) == [lakes]
    assert not (root / "data/rivers").exists()
    with pytest.raises(Refused, match="Try again later"):
        services.purge_dataset(user=anna, dataset=lakes)
    monkeypatch.setattr(folders, "hide", hide)
    assert services.sweep_datasets() == 1


def test_for_good_without_waiting(
    root: Path, anna: User, bert: User, task: Task, rivers: Dataset
) -> None:
    with pytest.raises(Forbidden):
        services.purge_dataset(user=bert, dataset=rivers)
    services.purge_dataset(user=anna, dataset=rivers)
    assert Dataset.objects.exists(), "only what is in the bin"
    age(rivers, 1)
    run = make_run(task, state=RunState.RUNNING, datasets=kept(rivers))
    with pytest.raises(Refused, match="A Run still uses"):
        services.purge_dataset(user=anna, dataset=rivers)
    run.delete()
    services.purge_dataset(user=anna, dataset=rivers)
    assert not Dataset.objects.exists()
    assert not (root / "data/rivers").exists()
    told = AuditEntry.objects.get(action="dataset.purged")
    assert (told.actor, told.detail) == (anna, "Without waiting for the end of its grace.")


# Used by.


def test_used_by_names_what_one_may_see_and_counts_the_rest(
    anna: User, bert: User, task: Task, rivers: Dataset, django_assert_max_num_queries: Any
) -> None:
    theirs = make_task(bert, name="Secret")
    theirs.datasets.add(rivers)
    gone = make_task(bert, deleted_at=timezone.now())
    gone.datasets.add(rivers)
    mine = make_run(task, datasets=kept(rivers))
    make_run(theirs, state=RunState.RUNNING, datasets=kept(rivers))
    make_run(theirs, state=RunState.SUCCEEDED, datasets=kept(rivers))
    make_run(theirs, state=RunState.RUNNING)
    assert runs_on(rivers).count() == 2
    use = use_of(user=anna, dataset=rivers)
    assert (use.tasks, use.other_tasks, use.runs, use.other_runs) == ([task], 1, [mine], 1)
    for _ in range(3):
        another = make_task(anna)
        another.datasets.add(rivers)
        make_run(another, datasets=kept(rivers))
    with django_assert_max_num_queries(4):
        use = use_of(user=anna, dataset=rivers)
    assert (len(use.tasks), len(use.runs)) == (4, 4)
