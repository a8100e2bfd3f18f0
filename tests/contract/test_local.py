"""What is particular to `local`: notes on disk, interrupted launches, no root, kind words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.backends.base import CommandNotFound, LaunchFailed, Life, Mount
from jobs.backends.local import LocalBackend
from jobs.backends.local_state import State
from jobs.backends.processes import Process, boot_id, process

from .attempt import Attempt, Lab
from .conftest import GID, REPOSITORY, UID

pytestmark = pytest.mark.local


def state_of(lab: Lab) -> State:
    return State(lab.root.parent / "state" / "local")


def test_no_such_program(local_lab: Lab) -> None:
    attempt = local_lab.attempt(["no-such-program"])
    with pytest.raises(CommandNotFound, match="no program no-such-program"):
        attempt.launch()
    no_r = local_lab.attempt(["Rscript", "-e", "1"], variables={"PATH": "/usr/games"})
    with pytest.raises(CommandNotFound, match="no R on here"):
        no_r.launch()
    assert local_lab.backend.containers() == {}


def test_programs_that_the_sandbox_hides_are_not_there(local_lab: Lab) -> None:
    attempt = local_lab.attempt([sys.executable, "-c", "1"])
    with pytest.raises(CommandNotFound):
        attempt.launch()


def test_a_program_of_the_task(local_lab: Lab) -> None:
    attempt = local_lab.attempt(["./tool"])
    with pytest.raises(CommandNotFound):
        attempt.launch()
    (attempt.code / "tool").write_text("#!/bin/sh\necho tool\n")
    (attempt.code / "tool").chmod(0o755)
    attempt.launch()
    attempt.ended()
    assert attempt.log() == b"tool\n"


def test_a_folder_that_is_missing(local_lab: Lab) -> None:
    missing = local_lab.root / "missing"
    attempt = local_lab.attempt(["/bin/true"], mounts=[Mount(missing, "/input")])
    with pytest.raises(LaunchFailed, match="/input, is not there"):
        attempt.launch()


def test_a_runner_that_is_missing(local_lab: Lab, place: Path) -> None:
    backend = LocalBackend(
        state_dir=place / "state" / "local", runner_dir=place / "none", installation=place.name
    )
    assert not backend.health().ok
    attempt = local_lab.attempt(["/bin/true"])
    with pytest.raises(LaunchFailed, match="rcluster-"):
        backend.launch(attempt.spec)


def test_a_sandbox_that_cannot_be_made_says_why(local_lab: Lab) -> None:
    attempt = local_lab.attempt(["/bin/true"])
    (attempt.folder / "log").unlink()
    (attempt.folder / "log").mkdir()
    with pytest.raises(LaunchFailed, match="rcluster-run: cannot open the log"):
        attempt.launch()
    status = attempt.status()
    assert (status.life, status.exit_code) == (Life.ENDED, 125)
    assert "cannot open the log" in status.error


def test_the_attempts_folder_is_out_of_the_scripts_sight(local_lab: Lab) -> None:
    attempt = local_lab.run(
        ["/bin/sh", "-c", "ls -A /rcluster; cat /rcluster/script/main.R; touch /rcluster/script/x"],
        script=b"1 + 1\n",
    )
    assert attempt.text().startswith("script\n1 + 1\n")
    assert "Read-only file system" in attempt.text()


def test_secrets_are_not_on_the_command_line(local_lab: Lab) -> None:
    attempt = local_lab.attempt(
        ["/bin/sh", "-c", "echo ready; read x < /code/go"], variables={"TOKEN": "hush-hush"}
    )
    os.mkfifo(attempt.code / "go")
    (attempt.code / "go").chmod(0o666)
    attempt.launch()
    attempt.prints(b"ready")
    lines = [
        (folder / "cmdline").read_bytes()
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit() and (folder / "cmdline").exists()
    ]
    assert any(b"bwrap" in line for line in lines)
    assert not any(b"hush-hush" in line for line in lines)
    args = state_of(local_lab).root / attempt.handle / "args"
    assert args.stat().st_mode & 0o777 == 0o600
    (attempt.code / "go").write_text("on")


def test_the_machines_mounts_stay(local_lab: Lab, place: Path) -> None:
    """slirp4netns' sandbox detaches copies of all mounts; shared ones must not follow."""
    shared = place / "shared"
    inner = shared / "inner"
    shared.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", shared], check=True)
    try:
        subprocess.run(["mount", "--make-shared", shared], check=True)
        inner.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "none", inner], check=True)
        local_lab.run(["/bin/true"])
        assert inner.is_mount()
    finally:
        subprocess.run(["umount", "-R", shared], check=True)


def test_interrupted_before_the_start(local_lab: Lab) -> None:
    attempt = local_lab.attempt(["/bin/echo", "hi"])
    state_of(local_lab).prepare()
    state_of(local_lab).note(attempt.handle, attempt_dir=attempt.folder)
    assert attempt.status().life is Life.CREATED
    attempt.launch()
    assert attempt.ended().exit_code == 0
    assert attempt.log() == b"hi\n"


def test_interrupted_before_the_start_was_noted(local_lab: Lab) -> None:
    attempt = local_lab.attempt(["/bin/sh", "-c", "echo hi; exit 8"])
    attempt.launch()
    (state_of(local_lab).root / attempt.handle / "pid").unlink()
    assert attempt.ended().exit_code == 8
    attempt.launch()
    assert attempt.log() == b"hi\n"


def forge(attempt: Attempt, **fields: object) -> None:
    record = attempt.record() | fields
    (attempt.folder / "exit").write_text(json.dumps(record).ljust(1023) + "\n")


def test_a_process_number_that_is_used_again_is_not_ours(local_lab: Lab) -> None:
    attempt = local_lab.run(["/bin/true"])
    forge(attempt, phase="started", pid=os.getpid())
    status = attempt.status()
    assert (status.life, status.exit_code) == (Life.ENDED, None)
    local_lab.backend.stop(attempt.handle, grace=1)
    local_lab.backend.kill(attempt.handle)


def test_after_a_restart_of_the_machine_nothing_runs(local_lab: Lab) -> None:
    attempt = local_lab.run(["/bin/true"])
    me = process(os.getpid())
    assert me is not None
    forge(attempt, phase="started", pid=me.pid, pid_start=me.start, boot_id=me.boot)
    assert attempt.status().life is Life.RUNNING
    forge(attempt, phase="started", pid=me.pid, pid_start=me.start, boot_id="another")
    assert (attempt.status().life, attempt.status().exit_code) == (Life.ENDED, None)


def test_who_is_alive() -> None:
    me = process(os.getpid())
    assert me is not None
    assert me.is_alive()
    assert not Process(me.pid, me.start + 1, boot_id()).is_alive()
    child = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    zombie = process(child.pid)
    assert zombie is not None
    assert not zombie.is_alive(), "a zombie's work is done"
    child.wait()
    assert process(child.pid) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="this is what root-less runs always do")
def test_without_root(runner_dir: Path, place: Path) -> None:
    """The same backend as an ordinary user: limits per process, no network, and it says so."""
    home = place / "home"
    home.mkdir()
    os.chown(home, UID, GID)
    done = subprocess.run(
        [sys.executable, "-m", "tests.contract.without_root", home, runner_dir],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        user=UID,
        group=GID,
        extra_groups=[],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["memory"], told["network"]) == ("process", "none")
    assert any("for each process" in note for note in told["notes"])
    assert any("no network" in note for note in told["notes"])
    assert told["hello"] == ["42", 0]
    assert told["interfaces"] == ["lo\n", 0]
    text, code = told["hog"]
    assert code == 1
    assert "cannot allocate" in text
    assert told["polite"] == ["ready\nbye\n", 7]
    assert told["left"] == []
