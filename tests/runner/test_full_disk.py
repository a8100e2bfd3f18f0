"""A full disk delays, and costs only what comes after the runner gave up; never the record."""

import errno
import os
import signal
import time

import pytest

from .kit import Attempt, ended, numbers, until

PRINTED = numbers(100_000)  # 588,895 bytes; the disk has 262,144


@pytest.fixture(params=["local", "network"])
def options(request: pytest.FixtureRequest) -> list[str]:
    return ["--storage", request.param]


def is_full(attempt: Attempt) -> bool:
    return os.statvfs(attempt.folder).f_bavail == 0 and len(attempt.log) > 0


def test_what_is_in_the_log_is_an_exact_prefix(small_disk: Attempt, options: list[str]) -> None:
    status = small_disk.run("seq", "1", "100000", options=[*options, "--full-disk-wait", "0.25"])
    assert status == 0
    log, record = small_disk.log, small_disk.record
    assert 100_000 < len(log) < len(PRINTED)
    assert log == PRINTED[: len(log)]
    assert record["log_errno"] == errno.ENOSPC
    assert record["log_size"] == len(log)
    assert record["log_dropped"] == len(PRINTED) - len(log)
    assert (record["phase"], record["exit_code"]) == ("ended", 0)


def test_space_that_is_freed_meanwhile(small_disk: Attempt, options: list[str]) -> None:
    """The log grows in two rests, so that the disk is full twice."""
    printed = numbers(30_000)  # 168,894 bytes
    for name in ("one", "two"):
        (small_disk.folder / name).write_bytes(b"x" * 90_000)
    process = small_disk.start("seq", "1", "30000", options=options)
    for name in ("one", "two"):
        until(lambda: is_full(small_disk), "a full disk")
        assert process.poll() is None
        (small_disk.folder / name).unlink()
        if name == "one":
            until(lambda: len(small_disk.log) > 120_000, "growth")
    assert ended(process) == 0
    assert small_disk.log == printed
    record = small_disk.record
    assert (record["log_errno"], record["log_dropped"], record["log_size"]) == (0, 0, len(printed))


def test_output_of_a_command_that_has_ended_waits_too(small_disk: Attempt) -> None:
    """The runner has its beginning, the rest is in the pipe; the command is long gone."""
    filler = small_disk.folder / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)
    process = small_disk.start("seq", "1", "10000")
    until(lambda: small_disk.record_or_none() is not None, "the first record")
    wait = time.monotonic() + 3.1  # longer than output is drained and processes are cleared
    until(lambda: time.monotonic() > wait, "the drain's end")
    assert process.poll() is None
    filler.unlink()
    assert ended(process) == 0
    assert small_disk.log == numbers(10_000)
    assert small_disk.record["log_errno"] == 0


@pytest.mark.parametrize("by", ["signal", "time limit"])
def test_a_full_disk_holds_up_neither_signals_nor_the_time_limit(
    small_disk: Attempt, by: str
) -> None:
    limit = ["--time-limit", "0.4"] if by == "time limit" else []
    process = small_disk.start("seq", "1", "100000", options=["--grace", "0.3", *limit])
    until(lambda: is_full(small_disk), "a full disk")
    begun = time.monotonic()
    if by == "signal":
        process.send_signal(signal.SIGTERM)
    assert ended(process) == (143 if by == "signal" else 124)
    assert time.monotonic() - begun < 3
    log, record = small_disk.log, small_disk.record
    assert log == PRINTED[: len(log)]
    assert (record["signal"], record["log_errno"]) == (signal.SIGTERM, errno.ENOSPC)
