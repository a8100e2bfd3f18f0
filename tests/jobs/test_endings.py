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
        ({"exit_code": 127, "exec_errno": errno.ENOENT, "is_check": True}, Reason.COMMAND_NOT_FOUND, "install R in it"),
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


MB = 1024**2


@pytest.mark.parametrize(
    ("peak", "words"),
    [
        (None, "Ran out of memory at its limit of 512 MB. Give"),
        (512 * MB, "Ran out of memory: all of its 512 MB were in use. Give"),
        (512 * MB - 4096, "Ran out of memory: all of its 512 MB were in use. Give"),
        (310 * MB, "at its limit of 512 MB; at most 310 MB were in use before it asked for more."),
    ],
)
def test_out_of_memory_says_how_much_was_in_use(peak: int | None, words: str) -> None:
    facts = replace(FINE, exit_code=137, out_of_memory=True, memory=512 * MB, peak_memory=peak)
    told = conclude(facts).explanation
    assert words in told
    assert told.endswith("Give it more memory, or less data at a time.")
    assert "went on" not in told


def test_nobody_knows_how_it_went_on_where_the_exit_status_is_lost() -> None:
    ending = conclude(replace(FINE, exit_code=None, out_of_memory=True))
    assert ending.reason is Reason.OUT_OF_MEMORY
    assert "went on" not in ending.explanation


@pytest.mark.parametrize(
    "line",
    [
        b"Error: cannot allocate vector of size 7.5 Gb\n",
        b"Error in fit(x) :\n  cannot allocate memory block of size 2.0 Gb\n",
        b"Error in read(f) : std::bad_alloc\n",
    ],
)
def test_memory_that_was_refused_instead_of_killed_for_is_the_same_ending(line: bytes) -> None:
    ending = conclude(replace(FINE, exit_code=1, log_tail=line + b"Execution halted\n"))
    assert (ending.state, ending.reason) == (RunState.FAILED, Reason.OUT_OF_MEMORY)
    assert last_error(line) in ending.explanation
    handled = conclude(replace(FINE, exit_code=0, log_tail=line))
    assert handled.state is RunState.SUCCEEDED


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
        # Where R stopped reading is the end of what it quotes.
        (
            b"Error: unexpected '*' in:\n\"y <- function(a) {\n  a +*\"\nExecution halted\n",
            "Error: unexpected '*' in \"a +*\"",
        ),
        (b'Error: unexpected symbol in:\n"x <- c(1,2\ny"\n', 'Error: unexpected symbol in "y"'),
        (b'Error: unexpected symbol in "x y"\n', 'Error: unexpected symbol in "x y"'),
        (b'Error: unexpected input in:\n"cut', 'Error: unexpected input in "cut"'),
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
