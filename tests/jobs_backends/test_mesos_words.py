"""The last word on each task, and the receipts that are due."""

from __future__ import annotations

from typing import Any

from jobs.backends.base import ContainerStatus, Life
from jobs.backends.mesos_troubles import ASIDE, FAILURES, Troubles
from jobs.backends.mesos_words import Words

H = "rcluster-r-1"


def raw(node: str = "n1") -> dict[str, Any]:
    return {"task_id": {"value": H}, "agent_id": {"value": node}, "uuid": "u"}


def test_an_end_stays_an_end_whatever_comes_late() -> None:
    words = Words()
    assert words.hear(ContainerStatus(H, Life.ENDED, exit_code=3, receipt="a"), raw())
    assert not words.hear(ContainerStatus(H, Life.RUNNING), raw())
    assert not words.hear(ContainerStatus(H, Life.GONE), raw())
    status = words.get(H)
    assert status is not None
    assert (status.life, status.exit_code) == (Life.ENDED, 3)


def test_a_machine_that_comes_back_takes_the_loss_back() -> None:
    words = Words()
    words.hear(ContainerStatus(H, Life.UNREACHABLE), raw())
    assert words.hear(ContainerStatus(H, Life.RUNNING), raw())


def test_the_time_of_the_start_is_kept() -> None:
    words = Words()
    words.hear(ContainerStatus(H, Life.RUNNING, started_at=5.0), raw())
    words.hear(ContainerStatus(H, Life.ENDED, exit_code=0), raw())
    status = words.get(H)
    assert status is not None
    assert status.started_at == 5.0


def test_a_receipt_is_given_once_and_outlives_a_connection() -> None:
    words = Words()
    words.hear(ContainerStatus(H, Life.RUNNING, receipt="a"), raw())
    words.connected()
    assert words.due("a") == raw()
    assert words.due("a") is None


def test_what_was_settled_is_no_news_when_mesos_repeats_it() -> None:
    words = Words()
    words.hear(ContainerStatus(H, Life.ENDED, exit_code=0, receipt="a"), raw())
    words.due("a")
    words.forget(H)
    assert not words.hear(ContainerStatus(H, Life.ENDED, exit_code=0, receipt="a"), raw())
    assert words.is_forgotten(H)
    assert words.all() == {}
    assert words.due("a") is not None, "it must be acknowledged again"


def test_only_what_is_over_can_be_forgotten() -> None:
    words = Words()
    words.hear(ContainerStatus(H, Life.RUNNING), raw())
    words.forget(H)
    assert words.get(H) is not None


def test_silence_is_counted_per_connection() -> None:
    words = Words()
    words.launched(H, "n1")
    assert words.silent([H]) == [H], "handed over is not heard of"
    words.hear(ContainerStatus(H, Life.RUNNING), raw())
    assert words.silent([H]) == []
    words.connected()
    assert words.silent([H]) == [H]
    assert words.node(H) == "n1"


def test_a_machine_is_set_aside_after_failures_in_a_row_and_not_for_ever() -> None:
    troubles = Troubles()
    for _ in range(FAILURES - 1):
        troubles.failed("n1", "no such folder", 0.0)
    assert troubles.note("n1", 0.0) == ""
    troubles.went_well("n1")
    for _ in range(FAILURES):
        assert troubles.note("n1", 0.0) == ""
        troubles.failed("n1", "no such folder", 0.0)
    assert "no such folder" in troubles.note("n1", 1.0)
    assert troubles.note("n1", ASIDE + 1) == ""
    assert troubles.note("n2", 1.0) == ""
