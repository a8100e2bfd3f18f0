"""How firmly a cancel is carried to its container, and when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import cast

import pytest
from django.conf import settings
from django.utils import timezone

from jobs.backends.base import Backend, BackendUnavailable
from jobs.models import Run
from jobs.states import RunState
from jobs.supervision.cancelling import AGAIN_AFTER, PATIENCE, Canceller
from tests.factories import make_run, make_task

pytestmark = pytest.mark.django_db


class Engine:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.away = False

    def stop(self, handle: str, *, grace: float) -> None:
        self._take("stop")

    def kill(self, handle: str) -> None:
        self._take("kill")

    def _take(self, word: str) -> None:
        if self.away:
            raise BackendUnavailable("It does not answer.")
        self.said.append(word)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1000.0]
    monkeypatch.setattr("jobs.supervision.cancelling.time.monotonic", lambda: now[0])

    def pass_by(seconds: float) -> None:
        now[0] += seconds

    return pass_by


@pytest.fixture
def run() -> Run:
    """Cancelled an hour ago: whoever could have asked it to stop was away."""
    return make_run(
        make_task(), state=RunState.RUNNING, cancel_requested_at=timezone.now() - timedelta(hours=1)
    )


def test_a_portal_that_was_away_still_gives_the_whole_grace(
    run: Run, clock: Callable[[float], None]
) -> None:
    engine, canceller = Engine(), Canceller()
    canceller.press(run, cast(Backend, engine))
    assert engine.said == ["stop"]
    clock(AGAIN_AFTER)
    canceller.press(run, cast(Backend, engine))
    clock(settings.RCLUSTER_GRACE + PATIENCE)
    canceller.press(run, cast(Backend, engine))
    assert engine.said == ["stop", "stop", "kill"]


def test_what_the_engine_did_not_take_does_not_count(
    run: Run, clock: Callable[[float], None]
) -> None:
    engine, canceller = Engine(), Canceller()
    engine.away = True
    for _ in range(4):
        canceller.press(run, cast(Backend, engine))
        clock(settings.RCLUSTER_GRACE + PATIENCE)
    engine.away = False
    canceller.press(run, cast(Backend, engine))
    assert engine.said == ["stop"]
