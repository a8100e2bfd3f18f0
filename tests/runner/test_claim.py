"""At most one runner of an attempt ever does work, and one that doesn't leaves no trace."""

import os
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .kit import RECORD_SIZE, Attempt, ended
from .test_log import NO_LEAK_CHECK, strace

MakeAttempt = Callable[[], Attempt]


def test_the_claim_renames_the_permit(attempt: Attempt) -> None:
    assert attempt.run("true") == 0
    assert not (attempt.folder / "permit").exists()
    (name,) = attempt.claims
    assert len(name) == len("started.") + 16
    int(name.removeprefix("started."), 16)


def test_without_a_permit_nothing_happens(attempt: Attempt, place: Path) -> None:
    (attempt.folder / "permit").unlink()
    assert attempt.run("touch", place / "ran") == 125
    assert not (place / "ran").exists()
    assert attempt.is_untouched()
    assert sorted(path.name for path in attempt.folder.iterdir()) == ["exit", "log"]


def test_without_a_permit_no_file_is_created(attempt: Attempt) -> None:
    for path in attempt.folder.iterdir():
        path.unlink()
    assert attempt.run("true") == 125
    assert list(attempt.folder.iterdir()) == []


def test_missing_files_are_created(attempt: Attempt) -> None:
    (attempt.folder / "exit").unlink()
    (attempt.folder / "log").unlink()
    assert attempt.run("echo", "hello") == 0
    assert attempt.log == b"hello\n"
    assert attempt.record["phase"] == "ended"
    assert sorted(path.name for path in attempt.folder.iterdir()) == [
        "exit",
        "log",
        *attempt.claims,
    ]


@pytest.mark.parametrize("missing", [True, False], ids=["files missing", "files there"])
def test_of_two_runners_exactly_one_wins(make_attempt: MakeAttempt, missing: bool) -> None:
    rounds = 25 if missing else 200
    attempt = make_attempt()
    if attempt.binaries.is_asan:
        rounds //= 5  # it takes ten times as long to start
    for _ in range(rounds):
        attempt.prepare()
        if missing:
            (attempt.folder / "exit").unlink()
            (attempt.folder / "log").unlink()
        pair = [attempt.start("echo", "won"), attempt.start("echo", "won")]
        assert sorted(map(ended, pair)) == [0, 125]
        assert attempt.log == b"won\n"
        assert attempt.record["phase"] == "ended"
        (claim,) = attempt.claims
        assert len(list(attempt.folder.iterdir())) == 3
        for name in ("log", "exit", claim):
            (attempt.folder / name).unlink()
        attempt.close()
        attempt.started.clear()


def test_revoking_races_with_the_claim(make_attempt: MakeAttempt) -> None:
    """Whoever renames first has it: either all of the Run happens, or nothing."""
    attempt = make_attempt()
    permit, revoked = attempt.folder / "permit", attempt.folder / "revoked"
    chance = random.Random(1)
    for _ in range(15 if attempt.binaries.is_asan else 60):
        attempt.prepare()
        process = attempt.start("echo", "ran")
        until = time.monotonic() + chance.uniform(0, 0.003)
        while time.monotonic() < until:
            pass
        try:
            permit.rename(revoked)
        except FileNotFoundError:
            assert ended(process) == 0
            assert attempt.log == b"ran\n"
            assert attempt.record["exit_code"] == 0
        else:
            assert ended(process) == 125
            assert attempt.is_untouched()
            assert attempt.claims == []
        for path in attempt.folder.iterdir():
            path.unlink()
        attempt.close()
        attempt.started.clear()


@pytest.mark.parametrize("name", ["log", "exit"])
@pytest.mark.parametrize("kind", ["symlink", "dangling", "fifo", "folder"])
def test_only_regular_files_are_written(
    attempt: Attempt, place: Path, name: str, kind: str
) -> None:
    target, path = place / "target", attempt.folder / name
    path.unlink()
    if kind == "symlink":
        target.write_bytes(b"precious")
        path.symlink_to(target)
    elif kind == "dangling":
        path.symlink_to(target)
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    assert attempt.run("touch", place / "ran") == 125
    assert not (place / "ran").exists()
    assert (attempt.folder / "permit").exists()
    assert target.exists() == (kind == "symlink")
    if kind == "symlink":
        assert target.read_bytes() == b"precious"


def test_the_folder_must_not_be_a_link(attempt: Attempt, place: Path) -> None:
    link = place / "link"
    link.symlink_to(attempt.folder)
    line = [str(attempt.binaries.run), "--dir", str(link), "--", "true"]
    assert (
        subprocess.run(line, timeout=20, check=False, env=attempt.binaries.environment).returncode
        == 125
    )
    assert attempt.is_untouched()
    assert attempt.claims == []


@pytest.mark.parametrize("error", ["EIO", "ESTALE"])
def test_the_claim_outlasts_a_hiccup(attempt: Attempt, place: Path, error: str) -> None:
    inject = strace(
        attempt, place, "-e", "trace=/^rename", "-e", f"inject=/^rename:error={error}:when=1"
    )
    assert attempt.run("echo", "ran", before=inject, environment=NO_LEAK_CHECK) == 0
    assert "INJECTED" in (place / "trace").read_text()
    assert attempt.log == b"ran\n"


def test_a_claim_that_was_reported_as_failed(attempt: Attempt, place: Path) -> None:
    """As after a retransmission on NFS: ENOENT, yet the target, known to nobody else, is there."""
    name = attempt.folder / ("started." + "61" * 8)
    (attempt.folder / "permit").rename(name)
    inject = strace(
        attempt,
        place,
        "-e",
        "trace=getrandom",
        "-e",
        f"inject=getrandom:poke_exit=@arg1={'61' * 8}",
    )
    assert attempt.run("echo", "ran", before=inject, environment=NO_LEAK_CHECK) == 0
    assert attempt.log == b"ran\n"


def test_the_first_record(attempt: Attempt) -> None:
    process = attempt.start("sh", "-c", "echo started; sleep 1000")
    attempt.wait_for_log(b"started")
    record = attempt.record
    assert sorted(record) == ["boot_id", "phase", "pid", "pid_start", "started_at", "version"]
    assert (record["version"], record["phase"], record["pid"]) == (1, "started", process.pid)
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    assert record["pid_start"] == int(fields[22 - 3])
    assert record["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert abs(record["started_at"] - time.time()) < 10
    process.terminate()
    assert ended(process) == 143


def test_the_final_record(attempt: Attempt, place: Path) -> None:
    (place / "empty").touch()
    (place / "peak").write_text("123456\n")
    options = (
        "--memory-peak",
        place / "absent",
        "--memory-peak",
        place / "empty",
        "--memory-peak",
        place / "peak",
    )
    work = "x = b'x' * 50_000_000\nfor _ in range(2_000_000): pass\nraise SystemExit(9)"
    assert attempt.run("python3", "-c", work, options=options) == 9
    assert (attempt.folder / "exit").stat().st_size == RECORD_SIZE
    record = attempt.record
    assert sorted(record) == sorted(
        [
            *("version", "phase", "pid", "pid_start", "boot_id", "started_at", "ended_at"),
            *("exit_code", "signal", "timed_out", "terminated_by"),
            *("log_size", "log_dropped", "log_errno", "exec_errno"),
            *("peak_rss_bytes", "peak_memory_bytes", "oom_kills", "user_seconds", "system_seconds"),
        ]
    )
    assert (record["phase"], record["exit_code"], record["signal"]) == ("ended", 9, None)
    assert (record["timed_out"], record["terminated_by"]) == (False, None)
    assert 50_000_000 < record["peak_rss_bytes"] < 500_000_000
    assert record["peak_memory_bytes"] == 123456
    assert record["oom_kills"] is None  # nobody said where to look
    assert 0.01 < record["user_seconds"] < 10
    assert record["started_at"] <= record["ended_at"] < record["started_at"] + 20


@pytest.mark.parametrize(
    ("files", "kills"),
    [
        (["oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"], 3),  # cgroup v1, memory.oom_control
        (["low 0\nhigh 0\nmax 9\noom 9\noom_kill 2\noom_group_kill 0\n"], 2),  # v2, memory.events
        (["oom_kill 0"], 0),
        (
            ["oom_kill_disable 0\nunder_oom 0\n", "oom_kill 1\n"],
            1,
        ),  # an old kernel's, then the other
        (["oom_kill \n"], None),
        ([f"oom_kill {10**40}\n"], None),  # no room for it in the record
        (["", "oom_kill x\n"], None),
        ([], None),
    ],
)
def test_the_kernels_kills_for_memory(
    attempt: Attempt, place: Path, files: list[str], kills: int | None
) -> None:
    options: list[str | Path] = ["--oom-kills", place / "absent"]
    for number, text in enumerate(files):
        (place / f"events{number}").write_text(text)
        options += ["--oom-kills", place / f"events{number}"]
    assert attempt.run("true", options=options) == 0
    assert attempt.record["oom_kills"] == kills


STAT_1 = (
    "cache 900\nrss 7\nshmem 9\ntotal_cache 900000000\ntotal_rss 300000000\ntotal_shmem 12345\n"
)
STAT_2 = "anon 300000000\nfile 900000000\nkernel_stack 16\nshmem 12345\nfile_mapped 77\n"


@pytest.mark.parametrize("stat", [STAT_1, STAT_2], ids=["cgroup v1", "cgroup v2"])
@pytest.mark.parametrize(
    ("peak", "kills", "told"),
    [
        ("1200000000", "0", 300012345),  # most of it were files that the kernel keeps
        ("1200000000", "1", 1200000000),  # all of it was needed, and then some
        ("299000000", "0", 299000000),  # two looks at different moments; the peak is never too low
        ("", "0", None),
    ],
)
def test_memory_is_what_processes_use_not_what_the_kernel_keeps_of_files(
    attempt: Attempt, place: Path, stat: str, peak: str, kills: str, told: int | None
) -> None:
    files = {"stat": stat, "peak": peak, "events": f"oom_kill {kills}\n"}
    for name, text in files.items():
        (place / name).write_text(text)
    options = (
        *("--memory-stat", place / "absent", "--memory-stat", place / "stat"),
        *("--memory-peak", place / "peak", "--oom-kills", place / "events"),
    )
    assert attempt.run("sleep", "0.2", options=options) == 0
    assert attempt.record["peak_memory_bytes"] == told


def test_the_most_memory_of_several_looks_counts(attempt: Attempt, place: Path) -> None:
    (place / "peak").write_text("1000000000")
    stat = place / "stat"
    stat.write_text("anon 400000000\nshmem 0\n")
    options = ("--memory-stat", stat, "--memory-peak", place / "peak")
    shrink = f"sleep 0.2; echo 'anon 1000' > {stat}; sleep 0.3"
    assert attempt.run("sh", "-c", shrink, options=options) == 0
    assert attempt.record["peak_memory_bytes"] == 400000000


def test_a_full_final_record_is_whole(attempt: Attempt, place: Path) -> None:
    """Every number as long as it can be: 1024 bytes are enough."""
    longest = 2**63 - 1
    (place / "peak").write_text(str(longest))
    (place / "events").write_text(f"oom_kill {longest}")
    options = ("--memory-peak", place / "peak", "--oom-kills", place / "events")
    assert attempt.run("true", options=options) == 0
    used = len((attempt.folder / "exit").read_bytes().rstrip())
    assert attempt.record["oom_kills"] == longest
    assert used < RECORD_SIZE - 200  # the other numbers, were they all of 20 digits
