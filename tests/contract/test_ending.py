"""Ending before the end: asked, told, forced. And forgetting."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

from jobs.backends.base import Life
from tests.waiting import until

from .attempt import Lab

# Every process of the group gets the signal: no `sleep` before it, and later ones ignore it.
POLITE = """
  trap 'trap "" TERM; echo bye; until [ -e /code/go ]; do sleep 0.02; done; exit 7' TERM
  mkfifo wait; exec 3<>wait; echo ready; read -r line <&3
"""
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


def processes(marker: str) -> list[str]:
    """Command lines on this machine that hold the marker, whatever sandbox they are in."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes().decode("utf-8", "replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if marker in line:
                found.append(line)
    return found


def test_stop_lets_the_script_finish_its_own_way(lab: Lab) -> None:
    attempt = lab.attempt(["/bin/sh", "-c", POLITE])
    attempt.launch()
    attempt.prints(b"ready")
    lab.backend.stop(attempt.handle, grace=60)
    assert not attempt.is_over(), "stop() returns without waiting for the end"
    attempt.prints(b"bye")
    lab.backend.stop(attempt.handle, grace=60)
    (attempt.code / "go").touch()
    assert attempt.ended().exit_code == 7
    assert attempt.log() == b"ready\nbye\n"
    assert attempt.record()["terminated_by"] == 15


def test_stop_kills_after_the_grace(lab: Lab) -> None:
    attempt = lab.attempt(["/bin/sh", "-c", STUBBORN], grace=0.5)
    attempt.launch()
    attempt.prints(b"ready")
    began = time.monotonic()
    lab.backend.stop(attempt.handle, grace=0.5)
    assert attempt.ended().exit_code == 137
    assert 0.4 < time.monotonic() - began < 5


def test_stop_interrupts_r(lab: Lab) -> None:
    attempt = lab.attempt(["Rscript", "-e", 'cat("ready\\n"); Sys.sleep(600)'])
    attempt.launch()
    attempt.prints(b"ready")
    lab.backend.stop(attempt.handle, grace=10)
    assert attempt.ended(within=5).exit_code == 143


def test_kill_takes_the_whole_tree(lab: Lab) -> None:
    marker = f"sleep-{uuid.uuid4().hex}"
    script = f"""
      trap '' TERM
      sh -c 'trap "" TERM; sleep 600; echo {marker}' &
      setsid sh -c 'sleep 600; echo {marker}' &
      (setsid sh -c 'sleep 600; echo {marker}' &)
      echo ready; wait
    """
    attempt = lab.attempt(["/bin/sh", "-c", script])
    attempt.launch()
    attempt.prints(b"ready")
    until(lambda: len(processes(marker)) >= 4, "all of the tree")
    lab.backend.kill(attempt.handle)
    assert attempt.ended().exit_code == 137
    until(lambda: not processes(marker), "the end of the whole tree", seconds=5)
    lab.backend.kill(attempt.handle)


def test_what_a_script_leaves_behind_ends_with_it(lab: Lab) -> None:
    marker = f"sleep-{uuid.uuid4().hex}"
    attempt = lab.run(["/bin/sh", "-c", f"setsid sh -c 'sleep 600; echo {marker}' & echo done"])
    assert attempt.status().exit_code == 0
    until(lambda: not processes(marker), "the end of what was left behind", seconds=5)


def test_time_limit(lab: Lab) -> None:
    attempt = lab.attempt(["Rscript", "-e", 'cat("go\\n"); repeat Sys.sleep(1)'], time_limit=1.5)
    began = time.monotonic()
    attempt.launch()
    assert attempt.ended().exit_code == 124
    assert 1.4 < time.monotonic() - began < 8
    assert attempt.record()["timed_out"] is True


def test_time_limit_kills_who_does_not_listen(lab: Lab) -> None:
    attempt = lab.run(["/bin/sh", "-c", STUBBORN], time_limit=0.5, grace=0.5)
    assert attempt.status().exit_code == 124


def test_unknown_handles_are_no_error(lab: Lab) -> None:
    unknown = "rcluster-never-1"
    assert lab.backend.status(unknown) is None
    lab.backend.stop(unknown, grace=1)
    lab.backend.kill(unknown)
    lab.backend.remove(unknown)


def test_remove_forgets_and_can_be_repeated(lab: Lab) -> None:
    attempt = lab.run(["/bin/sh", "-c", "echo kept"])
    assert attempt.handle in lab.backend.containers()
    lab.backend.remove(attempt.handle)
    assert lab.backend.status(attempt.handle) is None
    assert attempt.handle not in lab.backend.containers()
    lab.backend.remove(attempt.handle)
    assert attempt.log() == b"kept\n", "the log is nothing of the backend's"


def test_remove_leaves_a_running_container_alone(lab: Lab) -> None:
    attempt = lab.attempt(["/bin/sh", "-c", POLITE])
    attempt.launch()
    attempt.prints(b"ready")
    lab.backend.remove(attempt.handle)
    assert attempt.status().life is Life.RUNNING


def test_watch_tells_of_ends(lab: Lab) -> None:
    told: list[str] = []
    early = lab.run(["/bin/sh", "-c", "echo before anybody watches"])
    lab.backend.watch(told.append)
    until(lambda: early.handle in told, "word of an end before the watch began", seconds=5)
    attempt = lab.attempt(["/bin/sh", "-c", "echo hi"])
    attempt.launch()
    until(lambda: attempt.handle in told, "word of the end", seconds=5)
    until(lambda: attempt.status().life is Life.ENDED, "the end", seconds=1)
