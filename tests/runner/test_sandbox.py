"""The runner as the parent of a real bubblewrap, as an ordinary user."""

import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from .kit import IS_ROOT, PERSON, Attempt, a_mark, ended, having, until

FLAGS = [
    *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
    *("--unshare-user", "--unshare-pid", "--unshare-ipc"),
    *("--new-session", "--die-with-parent", "--json-status-fd", "9"),
]
INFO = ("--sandbox-info-fd", "9")


@pytest.fixture
def person(attempt: Attempt) -> list[str | Path]:
    """What stands in front of the runner so that it is an ordinary user's."""
    if shutil.which("bwrap") is None:
        pytest.skip("bubblewrap is not installed")
    return [attempt.binaries.enter, "--user", f"{PERSON}:{PERSON}", "--"] if IS_ROOT else []


def sandboxed(script: str) -> Sequence[str]:
    return ["bwrap", *FLAGS, "--", "sh", "-c", script]


def test_the_exit_code_comes_through(attempt: Attempt, person: list[str | Path]) -> None:
    assert attempt.run(*sandboxed("echo inside; exit 7"), before=person, options=INFO) == 7
    assert attempt.log == b"inside\n"
    assert attempt.record["exit_code"] == 7


def test_a_handler_inside_finishes(attempt: Attempt, person: list[str | Path]) -> None:
    script = "trap 'echo bye; exit 5' TERM; echo ready; sleep 1000 & wait"
    process = attempt.start(*sandboxed(script), before=person, options=INFO)
    attempt.wait_for_log(b"ready\n")
    process.terminate()
    assert ended(process) == 5
    assert attempt.log == b"ready\nbye\n"
    assert attempt.record["terminated_by"] == signal.SIGTERM


def test_a_handler_inside_finishes_at_the_time_limit(
    attempt: Attempt, person: list[str | Path]
) -> None:
    script = "trap 'echo bye; exit 5' TERM; echo ready; sleep 1000 & wait"
    options = [*INFO, "--time-limit", "0.4"]
    assert attempt.run(*sandboxed(script), before=person, options=options) == 124
    assert attempt.log == b"ready\nbye\n"
    assert (attempt.record["exit_code"], attempt.record["timed_out"]) == (5, True)


def test_the_kill_takes_the_whole_tree(attempt: Attempt, person: list[str | Path]) -> None:
    mark = a_mark()
    script = f"trap '' TERM; (setsid sleep {mark} &); sleep {mark} & echo ready; wait; wait"
    process = attempt.start(*sandboxed(script), before=person, options=[*INFO, "--grace", "0.3"])
    attempt.wait_for_log(b"ready\n")
    until(lambda: len(having(mark)) >= 3, "the sleepers")
    asked = time.monotonic()
    process.terminate()
    assert ended(process) == 137
    assert time.monotonic() - asked < 2
    assert having(mark) == []


def test_nothing_outlives_a_killed_runner(attempt: Attempt, person: list[str | Path]) -> None:
    mark = a_mark()
    script = f"setsid sleep {mark} & echo ready; wait"
    process = attempt.start(*sandboxed(script), before=person, options=INFO)
    attempt.wait_for_log(b"ready\n")
    until(lambda: len(having(mark)) >= 2, "the sleeper")
    process.kill()
    assert ended(process) == -signal.SIGKILL
    until(lambda: not having(mark), "the end of the tree")


def test_a_term_at_any_moment_ends_it(attempt: Attempt, person: list[str | Path]) -> None:
    """Also before the sandbox is known or has made its group. Each round waits a bit longer."""
    for step in range(4 if attempt.binaries.is_asan else 12):
        mark = a_mark()
        attempt.prepare()
        process = attempt.start(*sandboxed(f"sleep {mark}"), before=person, options=INFO)
        until(lambda: attempt.claims != [], "the claim")
        wait = time.monotonic() + step * 0.001
        until(lambda wait=wait: time.monotonic() > wait, "the moment")  # type: ignore[misc]
        process.terminate()
        assert ended(process) == 143
        assert having(mark) == []
        for path in attempt.folder.iterdir():
            path.unlink()


def without_its_storage(attempt: Attempt, *command: str) -> Sequence[str]:
    """The folder goes away between the runner's claim and the sandbox, as by an unmount."""
    words = ["bwrap", *FLAGS, "--bind", str(attempt.folder), "/mnt", "--", *command]
    script = f'mv {attempt.folder} {attempt.folder}.away && exec "$@"'
    return ["sh", "-c", script, "sh", *words]


def come_back(attempt: Attempt) -> None:
    attempt.folder.with_suffix(".away").rename(attempt.folder)


def test_a_storage_that_leaves_before_the_sandbox_gets_its_permit_back(
    attempt: Attempt, person: list[str | Path]
) -> None:
    command = without_its_storage(attempt, "true")
    assert attempt.run(*command, before=person, options=INFO) == 125
    come_back(attempt)
    assert (attempt.folder / "permit").exists()
    assert attempt.claims == []
    assert (attempt.record["phase"], attempt.record["exit_code"]) == ("ended", 125)


def test_a_sandbox_that_fails_for_another_reason_keeps_its_claim(
    attempt: Attempt, person: list[str | Path]
) -> None:
    command = ["bwrap", *FLAGS, "--bind", "/nowhere", "/mnt", "--", "true"]
    assert attempt.run(*command, before=person, options=INFO) == 1
    assert len(attempt.claims) == 1
    assert b"/nowhere" in attempt.log


def test_a_command_that_was_executed_keeps_its_claim_whatever_the_storage_does(
    attempt: Attempt, person: list[str | Path]
) -> None:
    inside = f"mv {attempt.folder} {attempt.folder}.away; exit 3"
    command = ["bwrap", "--bind", "/", "/", *FLAGS[3:], "--", "sh", "-c", inside]
    assert attempt.run(*command, before=person, options=INFO) == 3
    come_back(attempt)
    assert len(attempt.claims) == 1
    assert attempt.record["exit_code"] == 3
