"""The permit decides who works, and nobody's folder is taken from under it."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest
from pytest_django import Settings

from accounts.ids import new_public_id
from jobs import attempts
from jobs.attempts import AttemptTaken, Permit
from jobs.backends.exit_record import RECORD_SIZE


@pytest.fixture
def run() -> str:
    run = new_public_id()
    attempts.prepare(run, 1, script_name="a.R", script_text="cat(1)", stdin="in")
    return run


def claim(run: str) -> None:
    """As the runner does it."""
    folder = attempts.folder(run, 1)
    (folder / "permit").rename(folder / "started.0123456789abcdef")


def test_an_attempt_is_prepared_whole_and_may_be_prepared_again(run: str) -> None:
    for _ in range(2):
        folder = attempts.prepare(run, 1, script_name="a.R", script_text="cat(2)", stdin=None)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["exit", "log", "permit", "script"]
    assert (folder / "exit").stat().st_size == RECORD_SIZE
    assert (folder / "script" / "a.R").read_text() == "cat(2)"
    assert attempts.permit(run, 1) is Permit.OPEN


def test_a_process_that_lost_its_lease_does_not_destroy_what_another_started(run: str) -> None:
    claim(run)
    (attempts.folder(run, 1) / "log").write_bytes(b"precious")
    with pytest.raises(AttemptTaken):
        attempts.prepare(run, 1, script_name="", script_text="", stdin=None)
    assert attempts.log_tail(run, 1) == b"precious"
    assert attempts.permit(run, 1) is Permit.TAKEN


def test_a_revoked_permit_is_never_taken_and_its_folder_may_go(run: str) -> None:
    assert attempts.revoke(run, 1) is Permit.REVOKED
    assert attempts.revoke(run, 1) is Permit.REVOKED
    attempts.discard(run, 1)
    assert not attempts.folder(run, 1).exists()


def test_a_started_attempt_keeps_its_folder(run: str) -> None:
    claim(run)
    assert attempts.revoke(run, 1) is Permit.TAKEN
    attempts.discard(run, 1)
    assert attempts.folder(run, 1).exists()


def test_a_folder_that_somebody_removed_counts_as_started(run: str) -> None:
    shutil.rmtree(attempts.folder(run, 1))
    assert attempts.permit(run, 1) is Permit.TAKEN


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n" * 1024,
        b"[1]",
        b'{"exit_code": 1e999}',
        b"\xff",
        b'{"phase": "ended", "log_errno": "x"}',
        b"[" * 1024,
    ],
)
def test_a_record_that_a_script_wrote_is_harmless(run: str, content: bytes) -> None:
    (attempts.folder(run, 1) / "exit").write_bytes(content)
    record = attempts.read_record(run, 1)
    assert record is None or (record.exit_code, record.log_errno) == (None, 0)


@pytest.mark.parametrize("put", ["link", "folder", "fifo", "socket"])
def test_whatever_a_script_puts_in_the_records_place_is_no_record(run: str, put: str) -> None:
    path = attempts.folder(run, 1) / "exit"
    path.unlink()
    if put == "link":
        path.symlink_to("/etc/passwd")
    elif put == "folder":
        path.mkdir()
    elif put == "fifo":
        os.mkfifo(path)
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    assert attempts.read_record(run, 1) is None


def test_nothing_is_written_where_the_storage_is_not_mounted(
    run: str, tmp_path: Path, settings: Settings
) -> None:
    """An empty mount point is not the storage: nobody can tell what became of a permit, either."""
    settings.RCLUSTER_STORAGE = tmp_path
    with pytest.raises(OSError, match="is not mounted"):
        attempts.prepare(run, 2, script_name="", script_text="", stdin=None)
    with pytest.raises(OSError, match="is not mounted"):
        attempts.revoke(run, 1)
    assert list(tmp_path.iterdir()) == []
