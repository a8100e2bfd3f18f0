"""What the command prints is what the log holds."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .kit import Attempt, a_mark, children, ended, having, numbers, until

LINES = 1_000_000
HUNDRED_MB = f"""
import sys
block = (b"x" * 99 + b"\\n") * 10_000
for _ in range({LINES} // 10_000):
    sys.stdout.buffer.write(block)
"""


@pytest.fixture(params=["local", "network"])
def storage(request: pytest.FixtureRequest) -> tuple[str, str]:
    return ("--storage", request.param)


def test_every_byte_in_order(attempt: Attempt, storage: tuple[str, str]) -> None:
    assert attempt.run("seq", "1", "300000", options=storage) == 0
    assert attempt.log == numbers(300_000)
    record = attempt.record
    assert record["log_size"] == len(attempt.log)
    assert (record["log_dropped"], record["log_errno"], record["exec_errno"]) == (0, 0, 0)


def test_any_bytes(attempt: Attempt, storage: tuple[str, str], place: Path) -> None:
    noise = os.urandom(3_000_001) + b"\0" * 5000
    (place / "noise").write_bytes(noise)
    assert attempt.run("cat", place / "noise", options=storage) == 0
    assert attempt.log == noise


def test_no_output(attempt: Attempt, storage: tuple[str, str]) -> None:
    assert attempt.run("true", options=storage) == 0
    assert attempt.log == b""
    assert attempt.record["log_size"] == 0


def test_stderr_keeps_its_place(attempt: Attempt) -> None:
    script = 'i=0; while [ $i -lt 300 ]; do echo "out $i"; echo "err $i" >&2; i=$((i+1)); done'
    assert attempt.shell(script) == 0
    assert attempt.log == b"".join(b"out %d\nerr %d\n" % (i, i) for i in range(300))


def test_a_hundred_megabytes(attempt: Attempt) -> None:
    assert attempt.run(sys.executable, "-c", HUNDRED_MB) == 0
    assert attempt.log == (b"x" * 99 + b"\n") * LINES


def test_appends_to_what_is_there(attempt: Attempt, storage: tuple[str, str]) -> None:
    (attempt.folder / "log").write_bytes(b"before\n")
    assert attempt.run("echo", "after", options=storage) == 0
    assert attempt.log == b"before\nafter\n"
    assert attempt.record["log_size"] == len(b"after\n")


def test_output_is_in_the_log_while_the_command_runs(
    attempt: Attempt, storage: tuple[str, str]
) -> None:
    process = attempt.start("sh", "-c", "printf first; read _ || exec sleep 1000", options=storage)
    attempt.wait_for_log(b"first")
    assert process.poll() is None
    process.terminate()
    assert ended(process) == 128 + signal.SIGTERM


def test_a_closed_stdout_does_not_end_the_run(attempt: Attempt, place: Path) -> None:
    go = place / "go"
    process = attempt.start(
        "sh", "-c", f"echo closing; exec >&- 2>&-; until [ -e {go} ]; do sleep 0.01; done; exit 4"
    )
    attempt.wait_for_log(b"closing\n")
    assert process.poll() is None
    go.touch()
    assert ended(process) == 4


@pytest.mark.parametrize("storage_kind", ["local", "network"])
@pytest.mark.parametrize("cap", [1, 1000, 65536, 100_000])
def test_the_cap_is_exact(attempt: Attempt, cap: int, storage_kind: str) -> None:
    printed = numbers(50_000)
    assert (
        attempt.run("seq", "1", "50000", options=("--log-cap", str(cap), "--storage", storage_kind))
        == 0
    )
    marker = (
        b"\n[rcluster: the log reached its limit of %d bytes; further output is dropped]\n" % cap
    )
    assert attempt.log == printed[:cap] + marker
    record = attempt.record
    assert record["log_size"] == cap + len(marker)
    assert record["log_dropped"] == len(printed) - cap
    assert record["exit_code"] == 0


def test_output_of_exactly_the_cap_has_no_marker(attempt: Attempt) -> None:
    printed = numbers(1000)
    assert attempt.run("seq", "1", "1000", options=("--log-cap", str(len(printed)))) == 0
    assert attempt.log == printed
    assert attempt.record["log_dropped"] == 0


def test_no_cap(attempt: Attempt) -> None:
    assert attempt.run("seq", "1", "1000", options=("--log-cap", "0")) == 0
    assert attempt.log == numbers(1000)


def test_network_storage_gathers(attempt: Attempt, place: Path) -> None:
    """Many small writes of the command become few of the runner, each synced."""
    writes = traced(attempt, place, "network")
    record = attempt.record
    assert 1 <= writes <= (record["ended_at"] - record["started_at"]) / 0.1 + 2
    assert "O_DSYNC" in (place / "trace").read_text()


def test_local_disk_is_written_at_once(attempt: Attempt, place: Path) -> None:
    assert traced(attempt, place, "local") > 30
    assert "O_DSYNC" not in (place / "trace").read_text()


def traced(attempt: Attempt, place: Path, storage: str) -> int:
    """Run 60 small writes, some time apart, under strace; how many writes the runner made."""
    trace = strace(attempt, place, "-e", "trace=write,openat")
    script = "i=0; while [ $i -lt 60 ]; do echo line; sleep 0.005; i=$((i+1)); done"
    options = ("--storage", storage)
    process = attempt.start(
        "sh", "-c", script, options=options, before=trace, environment=NO_LEAK_CHECK
    )
    assert ended(process) == 0
    assert attempt.log == b"line\n" * 60
    return (place / "trace").read_text().count("write(")


NO_LEAK_CHECK = {"ASAN_OPTIONS": "detect_leaks=0"}  # LeakSanitizer can't work under ptrace


def strace(attempt: Attempt, place: Path, *arguments: str) -> list[str]:
    try:
        subprocess.run(["strace", "-V"], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("strace is not installed")
    return ["strace", "-o", str(place / "trace"), *arguments]


@pytest.mark.parametrize(
    ("kind", "error"),
    [("local", "ENOSPC"), ("local", "EIO"), ("network", "ESTALE"), ("network", "EDQUOT")],
)
def test_a_storage_that_recovers_loses_nothing(
    attempt: Attempt, kind: str, error: str, place: Path
) -> None:
    inject = strace(attempt, place, "-e", "trace=write", "-e", f"inject=write:error={error}:when=1")
    assert (
        attempt.run(
            "seq",
            "1",
            "50000",
            options=("--storage", kind),
            before=inject,
            environment=NO_LEAK_CHECK,
        )
        == 0
    )
    assert (place / "trace").read_text().count("INJECTED") == 1
    assert attempt.log == numbers(50_000)
    assert attempt.record["log_errno"] == 0


def test_short_writes(attempt: Attempt) -> None:
    """A file size limit makes the kernel write a part of a chunk, and refuse the rest for good."""
    script = ["sh", "-c", 'ulimit -f 100; exec "$@"', "sh"]
    process = attempt.start("seq", "1", "50000", before=script)
    assert ended(process) == 0
    limit = len(attempt.log)
    assert limit in (100 * 512, 100 * 1024)
    assert attempt.log == numbers(50_000)[:limit]
    record = attempt.record
    assert record["log_errno"] == 27
    assert record["log_dropped"] == len(numbers(50_000)) - limit


def test_background_children_do_not_hold_the_run_open(attempt: Attempt, place: Path) -> None:
    """Neither one in the group nor those with sessions of their own; and none outlives the Run."""
    mark, go = a_mark(), place / "go"
    sessions = f"setsid sh -c 'setsid sleep {mark} & echo >{go}; sleep {mark}' &"
    script = f"sleep {mark} & {sessions} until [ -e {go} ]; do sleep 0.01; done; echo done; exit 3"
    process = attempt.start("sh", "-c", script)
    attempt.wait_for_log(b"done")
    assert ended(process) == 3
    assert having(mark) == []
    record = attempt.record
    assert 1.9 < record["ended_at"] - record["started_at"] < 3.5


def test_what_a_background_child_prints_in_time_is_kept(attempt: Attempt) -> None:
    assert attempt.shell("(sleep 0.3; echo late) & echo early") == 0
    assert attempt.log == b"early\nlate\n"


def test_orphans_are_reaped(attempt: Attempt, place: Path) -> None:
    go = place / "go"
    orphans = "for i in 1 2 3 4 5 6 7 8 9; do (true & true & exit); done"
    process = attempt.start(
        "sh", "-c", f"{orphans}; echo made; until [ -e {go} ]; do sleep 0.01; done"
    )
    attempt.wait_for_log(b"made")
    until(lambda: len(children(process.pid)) == 1, "only the command is left")
    go.touch()
    assert ended(process) == 0
