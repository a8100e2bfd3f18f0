"""How the command is started, and what happens when it can't be."""

import os
import subprocess
from pathlib import Path

import pytest

from .kit import Attempt, Binaries


def test_not_found(attempt: Attempt) -> None:
    assert attempt.run("no-such-command") == 127
    assert attempt.log == b"rcluster-run: no-such-command: No such file or directory\n"
    record = attempt.record
    assert (record["exit_code"], record["exec_errno"], record["phase"]) == (127, 2, "ended")
    assert record["log_size"] == len(attempt.log)
    assert record["log_dropped"] == 0


def test_not_executable(attempt: Attempt, place: Path) -> None:
    file = place / "file"
    file.write_text("text")
    assert attempt.run(file) == 126
    assert attempt.log == f"rcluster-run: {file}: Permission denied\n".encode()
    assert attempt.record["exec_errno"] == 13


def test_a_command_that_itself_answers_127(attempt: Attempt) -> None:
    assert attempt.shell("exit 127") == 127
    assert attempt.log == b""
    assert attempt.record["exec_errno"] == 0


@pytest.mark.parametrize("code", [0, 1, 124, 125, 137, 255])
def test_the_exit_code_is_the_commands(attempt: Attempt, code: int) -> None:
    assert attempt.shell(f"exit {code}") == code
    record = attempt.record
    assert (record["exit_code"], record["signal"], record["timed_out"]) == (code, None, False)


@pytest.mark.parametrize("number", [6, 9, 11, 15])
def test_a_command_that_a_signal_ended(attempt: Attempt, number: int) -> None:
    assert attempt.shell(f"kill -{number} $$") == 128 + number
    record = attempt.record
    assert (record["exit_code"], record["signal"], record["terminated_by"]) == (None, number, None)


def test_stdin_is_empty(attempt: Attempt) -> None:
    assert attempt.shell("cat; readlink /proc/self/fd/0") == 0
    assert attempt.log == b"/dev/null\n"


def test_stdin_from_a_file(attempt: Attempt, place: Path) -> None:
    (place / "input").write_bytes(b"from a file\n")
    assert attempt.run("cat", options=("--stdin", place / "input")) == 0
    assert attempt.log == b"from a file\n"


def test_stdin_that_is_not_there(attempt: Attempt, place: Path) -> None:
    assert attempt.run("cat", options=("--stdin", place / "absent")) == 126
    assert (
        attempt.log
        == f"rcluster-run: cannot read {place}/absent: No such file or directory\n".encode()
    )


def test_workdir(attempt: Attempt, place: Path) -> None:
    assert attempt.run("pwd", options=("--workdir", place)) == 0
    assert attempt.log == f"{place}\n".encode()


def test_workdir_that_is_not_there(attempt: Attempt, place: Path) -> None:
    assert attempt.run("pwd", options=("--workdir", place / "absent")) == 126
    assert (
        attempt.log
        == f"rcluster-run: cannot enter {place}/absent: No such file or directory\n".encode()
    )
    assert attempt.record["exec_errno"] == 2


def test_the_command_inherits_nothing(attempt: Attempt) -> None:
    """No fd but 0, 1, 2 and ls's own; no blocked or ignored signal; a process group of its own."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    line = attempt.line(
        [
            "sh",
            "-c",
            "ls /proc/self/fd; grep -E '^Sig(Blk|Ign)' /proc/self/status; cat /proc/$$/stat",
        ]
    )
    with subprocess.Popen(line, pass_fds=(writer,), env=attempt.binaries.environment) as process:
        assert process.wait(20) == 0
    os.close(reader)
    os.close(writer)
    *fds, blocked, ignored, stat = attempt.log.decode().splitlines()
    assert fds == ["0", "1", "2", "3"]
    assert blocked.split()[1] == ignored.split()[1] == "0" * 16
    fields = stat.rpartition(")")[2].split()
    assert fields[2] == stat.split()[0]


def test_closed_standard_fds_do_no_harm(attempt: Attempt) -> None:
    assert attempt.run("seq", "1", "10", before=("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh")) == 0
    assert attempt.log == b"".join(b"%d\n" % i for i in range(1, 11))
    assert attempt.record["exit_code"] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        "",
        "--dir",
        "--dir DIR",
        "--dir DIR --",
        "-- true",
        "--unknown --dir DIR -- true",
        "--dir DIR --time-limit soon -- true",
        "--dir DIR --time-limit -1 -- true",
        "--dir DIR --time-limit nan -- true",
        "--dir DIR --grace 1.2.3 -- true",
        "--dir DIR --log-cap 1k -- true",
        "--dir DIR --log-cap 99999999999999999999 -- true",
        "--dir DIR --storage tape -- true",
        "--dir DIR --sandbox-info-fd 2 -- true",
        "--dir DIR --full-disk-wait . -- true",
        "--dir /nowhere -- true",
    ],
)
def test_usage_errors(attempt: Attempt, binaries: Binaries, arguments: str) -> None:
    words = [word.replace("DIR", str(attempt.folder)) for word in arguments.split()]
    done = subprocess.run(
        [str(binaries.run), *words],
        capture_output=True,
        timeout=20,
        check=False,
        env=binaries.environment,
    )
    assert done.returncode == 125
    assert b"rcluster-run: " in done.stderr
    assert attempt.is_untouched()
    assert (attempt.folder / "permit").exists()
