"""Signals, the time limit, and the runner as process 1."""

import os
import signal
import time

import pytest

from .kit import IS_ROOT, Attempt, a_mark, children, ended, having, until

PATIENT = "trap 'echo bye; exit 5' TERM; echo ready; sleep 1000 & wait"
STUBBORN = "trap '' TERM INT; echo ready; while :; do sleep 0.02; done"


def test_the_scripts_own_handler_finishes(attempt: Attempt) -> None:
    process = attempt.start("sh", "-c", PATIENT)
    attempt.wait_for_log(b"ready\n")
    process.terminate()
    assert ended(process) == 5
    assert attempt.log == b"ready\nbye\n"
    record = attempt.record
    assert (record["exit_code"], record["signal"], record["terminated_by"]) == (
        5,
        None,
        signal.SIGTERM,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_ignores_the_signal_is_killed_after_grace(attempt: Attempt, number: int) -> None:
    process = attempt.start("sh", "-c", STUBBORN, options=("--grace", "0.25"))
    attempt.wait_for_log(b"ready\n")
    asked = time.monotonic()
    process.send_signal(number)
    assert ended(process) == 128 + signal.SIGKILL
    assert 0.25 <= time.monotonic() - asked < 2.5
    record = attempt.record
    assert (record["exit_code"], record["signal"], record["terminated_by"]) == (
        None,
        signal.SIGKILL,
        number,
    )


@pytest.mark.parametrize("name", ["HUP", "QUIT", "USR1", "USR2", "INT"])
def test_signals_are_forwarded(attempt: Attempt, name: str) -> None:
    number = getattr(signal, f"SIG{name}")
    process = attempt.start(
        "sh", "-c", f"trap 'echo got; exit 6' {name}; echo ready; while :; do sleep 0.02; done"
    )
    attempt.wait_for_log(b"ready\n")
    process.send_signal(number)
    assert ended(process) == 6
    assert attempt.record["terminated_by"] == (None if name.startswith("USR") else number)


def test_the_signal_reaches_a_whole_pipeline(attempt: Attempt) -> None:
    mark = a_mark()
    process = attempt.start(
        "sh", "-c", f"sleep {mark} | sleep {mark} | (sleep {mark}; true) & echo ready; wait"
    )
    attempt.wait_for_log(b"ready\n")
    until(lambda: len(having(mark)) >= 4, "the pipeline")  # three sleeps and the shell itself
    process.terminate()
    assert ended(process) == 143
    assert having(mark) == []


def test_a_signal_before_the_command_is_not_lost(attempt: Attempt) -> None:
    """It comes at about the time of the fork, and must reach the command all the same."""
    for _ in range(5):
        attempt.prepare()
        process = attempt.start("sleep", "1000")
        until(lambda: attempt.claims != [], "the claim")
        process.terminate()
        assert ended(process) == 143
        for path in attempt.folder.iterdir():
            path.unlink()


def test_the_time_limit(attempt: Attempt) -> None:
    assert attempt.run("sh", "-c", PATIENT, options=("--time-limit", "0.3")) == 124
    assert attempt.log == b"ready\nbye\n"
    record = attempt.record
    assert (record["timed_out"], record["exit_code"], record["terminated_by"]) == (True, 5, None)
    assert 0.29 <= record["ended_at"] - record["started_at"] < 2


def test_the_time_limit_kills_who_ignores_it(attempt: Attempt) -> None:
    assert (
        attempt.run("sh", "-c", STUBBORN, options=("--time-limit", "0.2", "--grace", "0.2")) == 124
    )
    record = attempt.record
    assert (record["timed_out"], record["exit_code"], record["signal"]) == (
        True,
        None,
        signal.SIGKILL,
    )


@pytest.mark.parametrize("limit", ["0", "30"])
def test_a_time_limit_that_is_not_reached(attempt: Attempt, limit: str) -> None:
    assert attempt.run("true", options=("--time-limit", limit)) == 0
    assert attempt.record["timed_out"] is False


def test_the_time_limit_of_a_flood(attempt: Attempt) -> None:
    """A command that never stops printing keeps nobody from looking at the clock."""
    assert attempt.run("yes", options=("--time-limit", "0.3", "--log-cap", "1000")) == 124
    assert attempt.record["signal"] == signal.SIGTERM


def test_a_term_before_the_time_limit_is_no_time_limit(attempt: Attempt) -> None:
    process = attempt.start("sh", "-c", STUBBORN, options=("--time-limit", "0.5", "--grace", "0.7"))
    attempt.wait_for_log(b"ready\n")
    process.terminate()
    assert ended(process) == 137
    record = attempt.record
    assert (record["timed_out"], record["terminated_by"]) == (False, signal.SIGTERM)


@pytest.fixture
def as_process_1() -> list[str]:
    if not IS_ROOT:
        pytest.skip("only root can make a pid namespace here")
    return ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]


def test_as_process_1(attempt: Attempt, as_process_1: list[str]) -> None:
    mark = a_mark()
    script = f"setsid sleep {mark} >&- 2>&- & (true &); echo $PPID; exit 3"
    assert attempt.run("sh", "-c", script, before=as_process_1) == 3
    assert attempt.log == b"1\n"
    assert attempt.record["pid"] == 1
    assert having(mark) == []


@pytest.mark.parametrize(("script", "status"), [(PATIENT, 5), (STUBBORN, 137)])
def test_process_1_hears_signals(
    attempt: Attempt, as_process_1: list[str], script: str, status: int
) -> None:
    process = attempt.start("sh", "-c", script, before=as_process_1, options=("--grace", "0.2"))
    attempt.wait_for_log(b"ready\n")
    (runner,) = children(process.pid)
    os.kill(runner, signal.SIGTERM)
    assert ended(process) == status
    assert attempt.record["terminated_by"] == signal.SIGTERM
