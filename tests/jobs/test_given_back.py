"""A Run whose runner gave its permit back, because the storage left before the command was executed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone

from jobs import attempts
from jobs.backends.base import ContainerStatus, Life
from jobs.backends.local import LocalBackend
from jobs.models import Run
from jobs.states import Reason, RunState
from jobs.supervision import observing
from tests.factories import make_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def backend(tmp_path: Path, runner_build: Path) -> Iterator[LocalBackend]:
    made = LocalBackend(state_dir=tmp_path, runner_dir=runner_build, installation="given-back")
    yield made
    made.close()


@pytest.fixture
def run() -> Run:
    run = make_run(state=RunState.RUNNING)
    attempts.prepare(run.public_id, 1, script_name="", script_text="", stdin=None)
    return run


def observe(run: Run, backend: LocalBackend) -> None:
    """Its runner ended, and says that it never ran the command."""
    status = ContainerStatus(run.handle, Life.ENDED, exit_code=125)
    observing.observe(run, status, backend, remove=lambda backend, handle: None)
    run.refresh_from_db()


def test_it_goes_back_to_the_queue(run: Run, backend: LocalBackend) -> None:
    observe(run, backend)
    assert (run.state, run.reason) == (RunState.QUEUED, Reason.NEVER_STARTED)
    assert run.started_at is None
    # A script on Docker could forge it: not every second.
    assert run.not_before is not None
    assert run.not_before > timezone.now()


def test_a_cancelled_one_is_cancelled(run: Run, backend: LocalBackend) -> None:
    Run.objects.filter(pk=run.pk).update(
        cancel_requested_at=timezone.now(), cancel_requested_by=run.submitted_by
    )
    observe(run, backend)
    assert run.state == RunState.CANCELLED


def test_a_command_that_ends_with_125_is_not_repeated(run: Run, backend: LocalBackend) -> None:
    folder = attempts.folder(run.public_id, 1)
    (folder / "permit").rename(folder / "started.0123456789abcdef")
    observe(run, backend)
    assert (run.state, run.reason) == (RunState.FAILED, Reason.EXIT_CODE)
