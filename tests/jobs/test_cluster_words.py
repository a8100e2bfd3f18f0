"""What a cluster says of a container, and an administrator of a machine, and where the Run goes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobs import attempts
from jobs.backends.base import BackendUnavailable, Capabilities, ContainerStatus, Life
from jobs.models import Run
from jobs.states import Reason, RunState
from jobs.supervision import observing
from jobs.supervision.reconciling import Reconciler
from tests.factories import make_machine, make_run, make_task, make_user

pytestmark = pytest.mark.django_db


class Cluster:
    """What supervision asks of a backend of many machines: it has what it was told to have."""

    name = "mesos"
    capabilities = Capabilities(images=True, memory="cgroup", network="full", launch_is_start=False)

    def __init__(self) -> None:
        self.there: dict[str, ContainerStatus] = {}
        self.asked: dict[str, str] = {}
        self.settled_: list[str] = []
        self.removed: list[str] = []
        self.killed: list[str] = []
        self.error: BackendUnavailable | None = None

    def containers(self, known: dict[str, str]) -> dict[str, ContainerStatus]:
        self.asked = known
        if self.error:
            raise self.error
        return self.there

    def status(self, handle: str) -> ContainerStatus | None:
        return self.there.get(handle)

    def settled(self, status: ContainerStatus) -> None:
        self.settled_.append(status.receipt)

    def remove(self, handle: str) -> None:
        self.removed.append(handle)

    def kill(self, handle: str) -> None:
        self.killed.append(handle)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def placed(state: RunState = RunState.RUNNING, *, claimed: bool = True, **fields: Any) -> Run:
    """A Run on agent1 whose runner has taken the permit, or has not."""
    fields = {"machine": "agent1", "node": "n1", "backend": "mesos", **fields}
    run = make_run(make_task(), state=state, **fields)
    run.placed_at = run.placed_at or timezone.now()
    run.save()
    folder = attempts.prepare(
        run.public_id, run.attempt, script_name="", script_text="", stdin=None
    )
    if claimed:
        (folder / attempts.PERMIT).rename(folder / "started.x")
    return run


def observe(run: Run, cluster: Cluster, life: Life, **more: Any) -> Run:
    status = ContainerStatus(run.handle, life, **more)
    cluster.there[run.handle] = status
    backend: Any = cluster
    observing.observe(run, status, backend, remove=lambda backend, handle: backend.remove(handle))
    run.refresh_from_db()
    return run


def reconcile(cluster: Cluster) -> None:
    backend: Any = cluster
    Reconciler(
        under_way=frozenset, remove=lambda backend, handle: backend.remove(handle)
    ).reconcile(backend)


def test_a_machine_that_has_it_in_hand_is_given_time_for_the_pull(cluster: Cluster) -> None:
    run = placed(RunState.STARTING, claimed=False)
    observe(run, cluster, Life.STAGING)
    assert (run.state, run.explanation) == (RunState.STARTING, "Starting on agent1.")


def test_a_pull_without_end_is_given_up(cluster: Cluster, settings: Any) -> None:
    run = placed(RunState.STARTING, claimed=False)
    settings.RCLUSTER_PULL_TIMEOUT = 0.0
    observe(run, cluster, Life.STAGING)
    assert (run.state, run.reason) == (RunState.QUEUED, Reason.NEVER_STARTED)
    assert cluster.removed == [f"rcluster-{run.public_id}-1"]


def test_a_silent_machine_leaves_its_run_running_and_says_since_when(cluster: Cluster) -> None:
    run = placed()
    observe(run, cluster, Life.UNREACHABLE, sentence="No word since noon.")
    assert (run.state, run.reason) == (RunState.RUNNING, Reason.UNREACHABLE)
    assert run.explanation == "No word since noon. The Run goes on as far as we know."
    observe(run, cluster, Life.RUNNING)
    assert (run.state, run.reason, run.explanation) == (RunState.RUNNING, "", "")


def test_what_never_began_on_a_silent_machine_begins_elsewhere(cluster: Cluster) -> None:
    run = placed(RunState.STARTING, claimed=False)
    observe(run, cluster, Life.UNREACHABLE)
    assert (run.state, run.machine, run.node) == (RunState.QUEUED, "", "")
    assert attempts.permit(run.public_id, 1) is not attempts.Permit.OPEN


def test_positive_word_of_a_loss(cluster: Cluster) -> None:
    run = placed(started_at=timezone.now())
    observe(run, cluster, Life.GONE, sentence="Mesos lost it.")
    assert (run.state, run.reason) == (RunState.FAILED, Reason.NODE_LOST)
    assert run.explanation.endswith("Mesos lost it.")


def test_a_loss_is_repeated_only_where_allowed(cluster: Cluster) -> None:
    run = placed(retry_if_lost=True)
    observe(run, cluster, Life.GONE)
    assert (run.state, run.reason) == (RunState.QUEUED, Reason.NODE_LOST_RETRY)


def test_what_was_dropped_before_it_began_costs_a_retry_not_the_run(cluster: Cluster) -> None:
    run = placed(RunState.STARTING, claimed=False)
    observe(run, cluster, Life.GONE, sentence="It never reached its machine.")
    assert (run.state, run.reason) == (RunState.QUEUED, Reason.NEVER_STARTED)
    assert run.not_before is None, "a single mishap costs no time"


def test_what_is_dropped_again_and_again_is_tried_less_often(cluster: Cluster) -> None:
    run = placed(RunState.STARTING, claimed=False, attempt=3)
    observe(run, cluster, Life.GONE)
    assert run.not_before is not None


def test_a_machine_that_can_start_nothing_fails_nobodys_run_at_once(cluster: Cluster) -> None:
    run = placed(RunState.STARTING, claimed=False)
    observe(run, cluster, Life.ENDED, error="no such folder")
    assert (run.state, run.reason) == (RunState.QUEUED, Reason.NEVER_STARTED)
    assert "could not be started on agent1: no such folder" in run.explanation


def test_what_no_machine_can_start_fails_in_the_end(cluster: Cluster) -> None:
    run = placed(RunState.STARTING, claimed=False, attempt=observing.LAUNCHES)
    observe(run, cluster, Life.ENDED, error="invalid mount")
    assert (run.state, run.reason) == (RunState.FAILED, Reason.LAUNCH_ERROR)
    assert "invalid mount" in run.explanation


def test_each_run_is_asked_for_with_its_machine_and_every_word_is_settled(
    cluster: Cluster,
) -> None:
    run = placed()
    cluster.there[run.handle] = ContainerStatus(
        run.handle, Life.ENDED, exit_code=0, receipt="the end"
    )
    stranger = ContainerStatus("rcluster-gone-1", Life.ENDED, exit_code=0, receipt="a stranger's")
    cluster.there[stranger.handle] = stranger
    backend: Any = cluster
    reconciler = Reconciler(under_way=frozenset, remove=lambda backend, handle: None)
    reconciler.reconcile(backend)
    reconciler.reconcile(backend)
    run.refresh_from_db()
    assert run.state == RunState.SUCCEEDED
    assert {"the end", "a stranger's"} <= set(cluster.settled_)


def test_nothing_is_settled_that_the_database_does_not_have(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = placed()
    cluster.there[run.handle] = ContainerStatus(run.handle, Life.ENDED, exit_code=0, receipt="r")

    def away(*_: Any, **__: Any) -> bool:
        raise OSError("the storage is away")

    monkeypatch.setattr(attempts, "read_record", away)
    reconcile(cluster)
    assert cluster.settled_ == []


# An administrator's word.


@pytest.fixture
def lost_machine() -> Any:
    return make_machine(
        "agent1",
        backend="mesos",
        present=False,
        lost_at=timezone.now() + timedelta(seconds=1),
        lost_by=make_user("ada", staff=True),
    )


def test_declared_lost(cluster: Cluster, lost_machine: Any) -> None:
    run, repeated = placed(), placed(retry_if_lost=True)
    unstarted, elsewhere = placed(RunState.STARTING, claimed=False), placed(machine="agent2")
    for each in (run, repeated, unstarted, elsewhere):
        cluster.there[each.handle] = ContainerStatus(each.handle, Life.UNREACHABLE)
    reconcile(cluster)
    for each in (run, repeated, unstarted, elsewhere):
        each.refresh_from_db()
    assert (run.state, run.reason) == (RunState.FAILED, Reason.NODE_LOST)
    assert "ada declared the machine lost" in run.explanation
    assert (repeated.state, repeated.reason) == (RunState.QUEUED, Reason.NODE_LOST_RETRY)
    assert (unstarted.state, unstarted.reason) == (RunState.QUEUED, Reason.NEVER_STARTED)
    assert elsewhere.state == RunState.RUNNING


def test_declared_lost_while_nobody_answers(cluster: Cluster, lost_machine: Any) -> None:
    run = placed()
    cluster.error = BackendUnavailable("The engine is away.")
    reconcile(cluster)
    run.refresh_from_db()
    assert (run.state, run.reason) == (RunState.FAILED, Reason.NODE_LOST)


def test_a_run_that_is_seen_to_run_is_not_lost_whatever_anybody_says(
    cluster: Cluster, lost_machine: Any
) -> None:
    run = placed()
    cluster.there[run.handle] = ContainerStatus(run.handle, Life.RUNNING)
    reconcile(cluster)
    run.refresh_from_db()
    assert run.state == RunState.RUNNING


def test_what_was_placed_after_the_loss_is_not_meant(cluster: Cluster, lost_machine: Any) -> None:
    run = placed(placed_at=timezone.now() + timedelta(seconds=5))
    cluster.there[run.handle] = ContainerStatus(run.handle, Life.UNREACHABLE)
    reconcile(cluster)
    run.refresh_from_db()
    assert run.state == RunState.RUNNING
