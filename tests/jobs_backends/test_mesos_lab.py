"""Our tasks on a real Mesos, and its own words for what becomes of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from deploy.mesos.lab import Lab
from jobs.backends.base import ContainerSpec, ContainerStatus, Life, Mount
from jobs.backends.exit_record import RECORD_SIZE, read_record
from jobs.backends.mesos_status import may_be_refusal, read, with_record, with_refusal
from jobs.backends.mesos_tasks import MEGABYTE, task_info
from tests.mesos.conftest import busybox, make_lab
from tests.mesos.framework import Framework

pytestmark = pytest.mark.mesos
__all__ = ["busybox"]

REPOSITORY = Path(__file__).resolve().parents[2]
UID = GID = 12345
OVER = ("TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_DROPPED", "TASK_GONE")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with make_lab("tasks", agents=1).running() as lab:
        yield lab


@pytest.fixture
def framework(lab: Lab) -> Iterator[Framework]:
    with Framework(lab.master) as framework:
        yield framework


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that every user can reach, with the runner in it."""
    folder = Path(tempfile.mkdtemp(prefix="mesos-tasks-"))
    folder.chmod(0o755)
    build = ["make", "-s", "-C", str(REPOSITORY / "runner"), f"OUT={folder}"]
    subprocess.run([*build, f"{folder}/rcluster-run"], check=True, timeout=120)
    yield folder
    shutil.rmtree(folder)


@dataclass
class Bench:
    lab: Lab
    framework: Framework
    place: Path
    image: str

    def spec(self, *command: str, **changes: Any) -> ContainerSpec:
        handle = f"rcluster-{uuid.uuid4().hex[:8]}-1"
        folder = self.place / handle
        for each in (folder, folder / "attempt", folder / "code"):
            each.mkdir()
            os.chown(each, UID, GID)
        for name, content in (("permit", b""), ("log", b""), ("exit", b"\n" * RECORD_SIZE)):
            (folder / "attempt" / name).write_bytes(content)
            os.chown(folder / "attempt" / name, UID, GID)
        spec = ContainerSpec(
            handle=handle,
            run=handle.split("-")[1],
            attempt=1,
            image=self.image,
            command=command,
            attempt_dir=folder / "attempt",
            mounts=[Mount(folder / "code", "/code")],
            cpus=0.1,
            memory=32 * MEGABYTE,
            grace=1.0,
            uid=UID,
            gid=GID,
        )
        return replace(spec, **changes)

    def launch(self, spec: ContainerSpec) -> None:
        task = task_info(
            spec,
            agent_id="",
            installation="test",
            runner=self.place / "rcluster-run",
            proxies={},
            role="*",
        )
        for given in ("name", "task_id", "agent_id", "resources"):
            del task[given]
        self.framework.launch(spec.handle, **task)

    def wait(self, spec: ContainerSpec, *states: str) -> ContainerStatus:
        raw = self.framework.state(spec.handle, *states, seconds=60)
        status = read(raw)
        assert status is not None, raw
        return status

    def end(self, spec: ContainerSpec) -> ContainerStatus:
        """With all the evidence, as the backend puts it together."""
        status, record = self.wait(spec, *OVER), read_record(spec.attempt_dir)
        if may_be_refusal(status, record):
            status = with_refusal(status, self.stderr(spec))
        return with_record(status, record)

    def run(self, *command: str, **changes: Any) -> ContainerStatus:
        spec = self.spec(*command, **changes)
        self.launch(spec)
        return self.end(spec)

    def stderr(self, spec: ContainerSpec) -> str:
        pattern = f"**/executors/{spec.handle}/runs/latest/stderr"
        return next(self.lab.folder.glob(pattern)).read_text()

    def ask(self, handle: str, **more: Any) -> dict[str, Any]:
        """What the master answers when it is asked for one task."""
        before = len(self.framework.updates[handle])
        task = {"task_id": {"value": handle}, **more}
        self.framework.call({"type": "RECONCILE", "reconcile": {"tasks": [task]}})
        self.framework.until(lambda: len(self.framework.updates[handle]) > before, "an answer")
        return self.framework.updates[handle][-1]


@pytest.fixture
def bench(lab: Lab, framework: Framework, place: Path, busybox: str) -> Bench:
    return Bench(lab, framework, place, busybox)


def test_it_runs_and_prints_where_it_should(bench: Bench) -> None:
    spec = bench.spec("sh", "-c", 'echo "$0" "$TEXT"; id -u; pwd; touch new', "it's $HOME; ok")
    spec = replace(spec, variables={"TEXT": "two\nlines, 'quoted'"})
    bench.launch(spec)
    assert bench.wait(spec, "TASK_RUNNING").started_at
    ended = bench.end(spec)
    assert (ended.life, ended.exit_code, ended.out_of_memory) == (Life.ENDED, 0, False)
    told = (spec.attempt_dir / "log").read_text()
    assert told == f"it's $HOME; ok two\nlines, 'quoted'\n{UID}\n/code\n"
    assert (spec.mounts[0].source / "new").stat().st_uid == UID


def test_its_own_exit_status(bench: Bench) -> None:
    assert bench.run("sh", "-c", "exit 3").exit_code == 3
    for status in (125, 126, 127, 255):
        ended = bench.run("sh", "-c", f"exit {status}")
        assert (ended.exit_code, ended.error) == (status, "")


def test_killed_for_memory(bench: Bench) -> None:
    ended = bench.run("awk", 'BEGIN { x = "a"; while (1) x = x x }')
    assert (ended.life, ended.exit_code, ended.out_of_memory) == (Life.ENDED, 137, True)
    child = bench.run("sh", "-c", "awk 'BEGIN { x = \"a\"; while (1) x = x x }'; exit 0")
    assert (child.exit_code, child.out_of_memory) == (0, True)


def test_a_kill_is_the_runners_own(bench: Bench) -> None:
    """It gives the command its grace and leaves its record."""
    spec = bench.spec(
        "sh", "-c", "trap 'echo bye; exit 9' TERM; echo up; while :; do sleep .1; done"
    )
    bench.launch(spec)
    bench.framework.until(lambda: (spec.attempt_dir / "log").stat().st_size, "the first line")
    bench.wait(spec, "TASK_RUNNING")
    bench.framework.kill(spec.handle)
    assert bench.wait(spec, "TASK_KILLING").life is Life.RUNNING
    ended = bench.end(spec)
    assert (ended.life, ended.exit_code) == (Life.ENDED, 9)
    record = read_record(spec.attempt_dir)
    assert record is not None
    assert (record.ended, record.terminated_by) == (True, 15)


def test_no_permit_is_no_refusal(bench: Bench) -> None:
    spec = bench.spec("true")
    (spec.attempt_dir / "permit").rename(spec.attempt_dir / "revoked")
    bench.launch(spec)
    ended = bench.end(spec)
    assert (ended.exit_code, ended.error) == (125, "")


def test_docker_refuses_a_folder_that_is_missing(bench: Bench) -> None:
    spec = bench.spec("true", mounts=[Mount(Path("/srv/no such, folder"), "/code")])
    bench.launch(spec)
    ended = bench.end(spec)
    assert (ended.life, ended.exit_code) == (Life.ENDED, None)
    assert "bind source path does not exist: /srv/no such, folder" in ended.error
    assert not Path("/srv/no such, folder").exists()


def test_an_image_that_cannot_be_pulled(bench: Bench) -> None:
    """Nobody listens there: that may be different the next time."""
    ended = bench.run("true", image="127.0.0.1:9/rcluster-test/none:1")
    assert ended.life is Life.GONE
    assert "could not pull its image" in ended.sentence
    assert "connection refused" in ended.sentence


def test_an_executor_that_was_killed(bench: Bench) -> None:
    spec = bench.spec("sleep", "1000")
    bench.launch(spec)
    bench.wait(spec, "TASK_RUNNING")
    found = subprocess.run(
        ["pgrep", "-f", f"mesos-docker-executor.*/executors/{spec.handle}/"],
        capture_output=True,
        text=True,
        check=True,
    )
    for pid in found.stdout.split():
        os.kill(int(pid), 9)
    status = bench.wait(spec, *OVER)
    assert (status.life, status.exit_code, status.error) == (Life.ENDED, None, "")
    assert "killed" in status.sentence
    raw = bench.framework.state(spec.handle, *OVER)
    assert raw["reason"] == "REASON_EXECUTOR_TERMINATED"


def test_an_offer_that_was_used_before(bench: Bench) -> None:
    spec = bench.spec("true")
    offer = bench.framework.until(lambda: next(iter(bench.framework.offers.values()), None), "one")
    assert offer is not None
    bench.framework.call({"type": "DECLINE", "decline": {"offer_ids": [offer["id"]]}})
    bench.launch(spec)
    raw = bench.framework.state(spec.handle, *OVER)
    assert (raw["state"], raw["reason"]) == ("TASK_DROPPED", "REASON_INVALID_OFFERS")
    assert bench.end(spec).life is Life.GONE


def test_a_description_that_mesos_refuses(bench: Bench) -> None:
    spec = bench.spec("true")
    bench.framework.launch(spec.handle, cpus=1000, command={"value": "true"})
    ended = bench.end(spec)
    assert ended.life is Life.ENDED
    assert "more than available" in ended.error


def test_what_the_master_answers_of_one_that_it_never_had(bench: Bench, lab: Lab) -> None:
    agent = {"value": lab.state()["slaves"][0]["id"]}
    known = bench.ask("rcluster-never-1", agent_id=agent)
    status = read(known)
    assert status is not None
    assert status.life is Life.GONE, known
    unknown = bench.ask("rcluster-never-2")
    assert unknown["state"] == "TASK_UNKNOWN"
    assert read(unknown) is None


def test_an_end_is_repeated_without_its_exit_status(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is why the answer to a question is not taken for the end itself: that comes again."""
    spec, framework, call = bench.spec("sh", "-c", "exit 3"), bench.framework, bench.framework.call
    heard = framework.updates[spec.handle]

    def acknowledges_no_end(what: dict[str, Any]) -> None:
        if what["type"] != "ACKNOWLEDGE" or heard[-1]["state"] != "TASK_FAILED":
            call(what)

    monkeypatch.setattr(framework, "call", acknowledges_no_end)
    bench.launch(spec)
    framework.state(spec.handle, "TASK_FAILED")
    answer = bench.ask(spec.handle)
    assert (answer["state"], answer["reason"]) == ("TASK_FAILED", "REASON_RECONCILIATION")
    assert "exited with status" not in answer["message"]
    assert read(answer) is None
    before = len(heard)
    framework.subscribe()  # as the next process would
    framework.until(lambda: len(heard) > before, "the end once more", seconds=8)
    again = read(heard[-1])
    assert again is not None
    assert (again.exit_code, again.receipt) == (3, heard[-1]["uuid"])
