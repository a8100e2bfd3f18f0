"""The portal goes away, at any moment and without a word, and comes back."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
from dataclasses import replace

from jobs.backends.base import ContainerStatus, Life
from jobs.backends.registry import BackendConfig
from tests.waiting import until

from .attempt import FolderNotes, Lab
from .conftest import REPOSITORY, Site


def test_launching_twice_starts_one_container(lab: Lab) -> None:
    attempt = lab.attempt(["/bin/sh", "-c", "echo once >> /code/count; sleep 0.3; echo end"])
    attempt.launch()
    attempt.launch()
    other = lab.fresh()
    other.launch(attempt.spec)
    attempt.ended()
    attempt.launch()
    other.close()
    status = attempt.ended()
    assert status.exit_code == 0
    assert (attempt.code / "count").read_text() == "once\n"
    assert attempt.log() == b"end\n"
    assert list(lab.backend.containers()) == [attempt.handle]


def test_another_backend_object_finds_everything(lab: Lab) -> None:
    done = lab.run(["/bin/sh", "-c", "exit 9"])
    running = lab.attempt(["/bin/sh", "-c", "echo ready; read line < /code/go; exit 4"])
    subprocess.run(["mkfifo", "-m", "666", str(running.code / "go")], check=True)
    running.launch()
    running.prints(b"ready")
    other = lab.fresh()
    believed = {each.handle: each.spec.node for each in (done, running)}
    # Where an end is told by message, the message may take a moment.
    found = until(
        lambda: _without_silent(other.containers(believed), len(believed)),
        "word of both",
    )
    assert found is not None
    assert {handle: status.life for handle, status in found.items()} == {
        done.handle: Life.ENDED,
        running.handle: Life.RUNNING,
    }
    assert found[done.handle].exit_code == 9
    assert found[running.handle].started_at is not None
    told: list[str] = []
    other.watch(told.append)
    with (running.code / "go").open("w") as go:
        go.write("on\n")

    def ended() -> bool:
        # A word may also be a late one of its being alive.
        status = other.status(running.handle)
        return running.handle in told and status is not None and status.life is Life.ENDED

    until(ended, "word of the end to the new object", seconds=5)
    status = other.status(running.handle)
    assert status is not None
    assert (status.life, status.exit_code) == (Life.ENDED, 4)
    other.remove(done.handle)
    other.close()
    assert lab.backend.status(done.handle) is None


def test_other_installations_are_not_ours(lab: Lab, site: Site) -> None:
    attempt = lab.run(["/bin/sh", "-c", ":"])
    assert attempt.handle in lab.backend.containers()
    stranger = Site(site.name, _elsewhere(site)).backend()
    assert stranger.containers() == {}
    stranger.close()


def _without_silent(
    found: dict[str, ContainerStatus], count: int
) -> dict[str, ContainerStatus] | None:
    known = {
        handle: status for handle, status in found.items() if status.life is not Life.UNREACHABLE
    }
    return known if len(known) == count else None


def _elsewhere(site: Site) -> BackendConfig:
    return replace(
        site.config,
        installation="somebody-else",
        state_dir=site.config.state_dir.with_name("elsewhere"),
        notes=FolderNotes(site.config.state_dir.with_name("notes elsewhere")),
    )


def test_a_run_outlives_the_worker_that_started_it(lab: Lab, site: Site) -> None:
    attempt = lab.attempt(
        [
            "Rscript",
            "-e",
            'for (i in 1:30) { cat("line", i, "\\n"); Sys.sleep(0.05) }; quit(status = 6)',
        ]
    )
    worker = subprocess.Popen(
        [sys.executable, "-m", "tests.contract.worker"],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(pickle.dumps((site, attempt.spec)))
    worker.stdin.flush()
    assert worker.stdout.readline() == b"launched\n"
    attempt.prints(b"line 1")
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdin.close()
    worker.stdout.close()
    assert attempt.status().life is Life.RUNNING
    status = attempt.ended()
    assert status.exit_code == 6
    assert attempt.text() == "".join(f"line {i} \n" for i in range(1, 31))
