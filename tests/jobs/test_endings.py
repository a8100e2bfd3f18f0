"""From an exit status and evidence to a state, a Reason and a sentence."""

from __future__ import annotations

import errno
from dataclasses import replace

import pytest

from jobs.endings import Facts, conclude, duration, last_error
from jobs.states import Reason, RunState

FINE = Facts(
    exit_code=0,
    out_of_memory=False,
    memory=1024**3,
    time_limit=3600,
    timed_out=False,
    claimed=True,
    exec_errno=0,
    log_errno=0,
    terminated_by=None,
    cancelled_by="",
    program="Rscript",
    environment="R",
    error="",
    log_tail=b"",
)


def test_exit_0_with_nothing_against_it_succeeds() -> None:
    ending = conclude(FINE)
    assert (ending.state, ending.reason, ending.explanation) == (
        RunState.SUCCEEDED,
        Reason.NONE,
        "",
    )


@pytest.mark.parametrize(
    ("facts", "reason", "words"),
    [
        ({"exit_code": 3}, Reason.EXIT_CODE, "exit status 3"),
        ({"exit_code": 137, "out_of_memory": True}, Reason.OUT_OF_MEMORY, "limit of 1 GB"),
        ({"exit_code": 0, "out_of_memory": True}, Reason.OUT_OF_MEMORY, "One of its processes"),
        ({"exit_code": 139}, Reason.KILLED, "SIGSEGV"),
        ({"exit_code": None}, Reason.KILLED, "killed together"),
        ({"exit_code": 124, "timed_out": True}, Reason.TIME_LIMIT, "1 h"),
        ({"exit_code": 124}, Reason.EXIT_CODE, "124"),
        ({"exit_code": 137, "timed_out": True}, Reason.TIME_LIMIT, "1 h"),
        ({"exit_code": 125, "claimed": False}, Reason.LAUNCH_ERROR, "nothing was run"),
        ({"exit_code": 125}, Reason.EXIT_CODE, "125"),
        ({"exit_code": 127, "exec_errno": errno.ENOENT}, Reason.COMMAND_NOT_FOUND, "no R in the environment"),
        ({"exit_code": 127}, Reason.EXIT_CODE, "127"),
        ({"log_errno": errno.ENOSPC}, Reason.DISK_FULL, "full"),
        ({"log_errno": errno.EIO}, Reason.LOG_WRITE_FAILED, "EIO"),
        ({"exit_code": None, "error": "no such device"}, Reason.LAUNCH_ERROR, "no such device"),
    ],
)  # fmt: skip
def test_every_other_end_is_typed_and_explained(
    facts: dict[str, object], reason: Reason, words: str
) -> None:
    ending = conclude(replace(FINE, **facts))  # type: ignore[arg-type]
    assert (ending.state, ending.reason) == (RunState.FAILED, reason)
    assert words in ending.explanation


def test_a_requested_end_is_a_cancel_with_a_name() -> None:
    ending = conclude(replace(FINE, exit_code=143, cancelled_by="ada", terminated_by=15))
    assert (ending.state, ending.explanation) == (RunState.CANCELLED, "Cancelled by ada.")


def test_a_run_that_was_done_before_the_cancel_reached_it_has_succeeded() -> None:
    assert conclude(replace(FINE, cancelled_by="ada")).state is RunState.SUCCEEDED


def test_quotes_rs_own_last_error() -> None:
    log = b'reading\nError in file(file, "rt") : cannot open the connection\nCalls: read.csv\nExecution halted\n'
    ending = conclude(replace(FINE, exit_code=1, log_tail=log))
    assert ending.explanation.endswith('Error in file(file, "rt") : cannot open the connection')


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (
            b"Error in a_long_call(x) :\n  object 'y' not found\n",
            "Error in a_long_call(x) : object 'y' not found",
        ),
        (b"\x1b[31mError: boom\x1b[0m\n", "Error: boom"),
        (b"sh: 1: foo: not found\n", "sh: 1: foo: not found"),
        (b"all is well\n", ""),
        (b"\xff\xfe\x00", ""),
    ],
)
def test_last_error(log: bytes, line: str) -> None:
    assert last_error(log) == line


def test_durations_read_as_people_say_them() -> None:
    assert [duration(s) for s in (45, 300, 5400, 187_200)] == [
        "45 s",
        "5 min",
        "1 h 30 min",
        "2 d 4 h",
    ]
