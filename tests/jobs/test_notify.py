"""What tells the web processes and the worker goes on after an error that nobody thought of."""

from __future__ import annotations

from typing import Any

import pytest

from jobs import notify
from rcluster_site.celery import app
from tests.waiting import until


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The steps that were asked for (other tests' threads may ask, too); what is first asked of each
    fails as no message should."""
    found: list[str] = []
    failed: set[str] = set()

    def send_task(step: str, **_: Any) -> None:
        if step not in failed:
            failed.add(step)
            raise RuntimeError(f"nobody thought of {step}")
        found.append(step)

    monkeypatch.setattr(app, "send_task", send_task)
    for pause in ("GATHER", "BETWEEN_WAKES"):
        monkeypatch.setattr(notify, pause, 0.0)
    return found


def test_supervision_is_woken_again(sent: list[str], caplog: pytest.LogCaptureFixture) -> None:
    waker = notify._Waker()
    waker.wake()
    step = "jobs.steps.wake_supervision"
    until(lambda: f"nobody thought of {step}" in caplog.text, "the error in the log")
    waker.wake()
    until(lambda: step in sent, "the next message")


def test_the_next_step_is_sent(sent: list[str], caplog: pytest.LogCaptureFixture) -> None:
    worker = notify._Worker()
    worker.ask("a step")
    until(lambda: "nobody thought of a step" in caplog.text, "the error in the log")
    worker.ask("a step")
    until(lambda: "a step" in sent, "the next message")


def test_what_watchers_were_not_told_is_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr(notify, "get_channel_layer", broken)
    publisher = notify._Publisher()
    publisher.send(["group"], {"type": "access.changed", "task": ""})
    until(lambda: publisher._waiting == 0, "the end of it")
    assert "nobody thought of this" in caplog.text
    loop = publisher._running_loop()
    loop.call_soon_threadsafe(loop.stop)
    until(lambda: not loop.is_running(), "its loop to end")
    loop.close()
