"""A container whose start the engine forgot, because it was killed in the middle of it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from jobs.backends.base import Life
from jobs.backends.docker_json import BELIEVED_AFTER, read_status

CREATED = {"Status": "created", "ExitCode": 0, "OOMKilled": False, "Error": ""}


def found(folder: Path, record: dict[str, Any] | None) -> dict[str, Any]:
    """What "inspect" says, with this record in the attempt's folder."""
    (folder / "exit").write_text("\n" * 1024 if record is None else json.dumps(record))
    return {"State": CREATED, "Mounts": [{"Destination": "/rcluster", "Source": str(folder)}]}


def started(**more: Any) -> dict[str, Any]:
    return {"phase": "started", "pid": 1, "started_at": time.time() - 60, **more}


def ended(seconds_ago: float, **more: Any) -> dict[str, Any]:
    return started(phase="ended", ended_at=time.time() - seconds_ago, exit_code=3, **more)


def test_one_that_nobody_claimed_is_created(tmp_path: Path) -> None:
    assert read_status("h", found(tmp_path, None)).life is Life.CREATED


def test_one_that_was_claimed_runs(tmp_path: Path) -> None:
    status = read_status("h", found(tmp_path, started()))
    assert (status.life, status.exit_code) == (Life.RUNNING, None)
    assert status.started_at is not None


def test_one_that_ended_long_ago_ended(tmp_path: Path) -> None:
    status = read_status("h", found(tmp_path, ended(BELIEVED_AFTER + 5)))
    assert (status.life, status.exit_code, status.out_of_memory) == (Life.ENDED, 3, False)


def test_the_record_tells_of_memory(tmp_path: Path) -> None:
    status = read_status("h", found(tmp_path, ended(BELIEVED_AFTER + 5, oom_kills=1)))
    assert status.out_of_memory


def test_of_one_that_ended_just_now_the_engine_may_still_tell(tmp_path: Path) -> None:
    assert read_status("h", found(tmp_path, ended(0))).life is Life.RUNNING


@pytest.mark.parametrize("record", [None, started(), ended(BELIEVED_AFTER + 5)])
def test_one_that_runs_since_year_1_was_forgotten_too(
    tmp_path: Path, record: dict[str, Any] | None
) -> None:
    answer = found(tmp_path, record)
    expected = read_status("h", answer)
    answer["State"] = {**CREATED, "Status": "running", "StartedAt": "0001-01-01T00:00:00Z"}
    assert read_status("h", answer) == expected


@pytest.mark.parametrize("status", ["running", "exited"])
def test_where_the_engine_tells_the_record_counts_for_nothing(tmp_path: Path, status: str) -> None:
    answer = found(tmp_path, ended(BELIEVED_AFTER + 5))
    since = {"StartedAt": "2026-11-22T18:50:30.270227090Z"}
    answer["State"] = {**CREATED, **since, "Status": status, "ExitCode": 7}
    told = read_status("h", answer)
    assert told.exit_code == (7 if status == "exited" else None)
