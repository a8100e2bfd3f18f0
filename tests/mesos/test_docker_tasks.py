"""Container tasks through real agents and the lab's Docker executor, end to end."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.mesos.lab import Lab
from deploy.mesos.lab.answers import look
from tests.mesos.conftest import make_lab
from tests.mesos.framework import Framework, Json
from tests.waiting import until

pytestmark = [pytest.mark.mesos, pytest.mark.docker]

HARDENED = {
    "user": "1234:1235",
    "read-only": "true",
    "tmpfs": "/tmp:rw,size=1m",
    "cap-drop": "ALL",
    "security-opt": "no-new-privileges",
    "pids-limit": "64",
    "log-driver": "none",
    "label": "rcluster.test=lab",
    "memory": str(64 << 20),
    "memory-swap": str(64 << 20),
    "cpu-period": "100000",
    "cpu-quota": "50000",
}
LOOK_ROUND = """
id -u; id -g; cat /data/input; echo
cp /data/input /data/output
touch /tmp/x && echo tmp can be written
touch /etc/x || echo system is read-only
touch /shared/x || echo mount is read-only
grep -E 'CapEff|NoNewPrivs' /proc/self/status
"""
OBEYS_TERM = "trap 'echo bye; exit 7' TERM; while :; do sleep 0.1; done"
IGNORES_TERM = "trap '' TERM; while :; do sleep 0.1; done"


class Containers:
    """Launches scripts as container tasks of one image."""

    def __init__(self, framework: Framework, lab: Lab, image: str) -> None:
        self.framework, self.lab, self.image = framework, lab, image

    def launch(
        self,
        task: str,
        script: str,
        *,
        parameters: dict[str, str] | None = None,
        volumes: list[Json] | None = None,
        docker: Json | None = None,
        **more: Any,
    ) -> None:
        words = [{"key": key, "value": value} for key, value in (parameters or {}).items()]
        info = {"image": self.image, "network": "NONE", "parameters": words} | (docker or {})
        container = {"type": "DOCKER", "docker": info, "volumes": volumes or []}
        command = {"shell": False, "value": "sh", "arguments": ["-c", script]}
        more = {"command": command} | more
        self.framework.launch(task, container=container, **more)

    def sandbox(self, task: str) -> Path:
        found = self.lab.folder.glob(f"agent*/slaves/*/frameworks/*/executors/{task}/runs/latest")
        return max(found, key=lambda path: path.stat().st_mtime)

    def inspect(self, task: str, what: str) -> str:
        """A field of the task's container; "" when the engine knows no such container."""
        name = f"mesos-{self.sandbox(task).resolve().name}"
        words = ["docker", "inspect", "--type=container", f"--format={what}", name]
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()

    def runs(self, task: str) -> bool:
        return self.inspect(task, "{{.State.Running}}") == "true"


@pytest.fixture
def run(framework: Framework, lab: Lab, busybox: str) -> Containers:
    return Containers(framework, lab, busybox)


def test_mounts_user_limits_and_a_read_only_system(run: Containers, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    (tmp_path / "input").write_text("hello")
    run.launch(
        "hard",
        LOOK_ROUND + "while [ ! -e /data/go ]; do sleep 0.05; done",
        parameters=HARDENED | {"mount": f"type=bind,source={tmp_path},target=/shared,readonly"},
        volumes=[{"host_path": str(tmp_path), "container_path": "/data", "mode": "RW"}],
        cpus=1,
        mem=128,
    )
    run.framework.state("hard", "TASK_RUNNING")
    host = run.inspect(
        "hard",
        "{{with .HostConfig}}{{.PidsLimit}} {{.Memory}} {{.MemorySwap}} {{.CpuShares}} "
        "{{.CpuQuota}}{{end}} {{index .Config.Labels `rcluster.test`}}",
    )
    # A parameter wins over what Mesos makes of the resources (128 MB).
    assert host == f"64 {64 << 20} {64 << 20} 1024 50000 lab"
    (tmp_path / "go").touch()
    end = run.framework.state("hard", "TASK_FINISHED", "TASK_FAILED")
    assert end["message"] == "Container exited with status 0"
    assert (run.sandbox("hard") / "stdout").read_text().splitlines() == [
        "1234",
        "1235",
        "hello",
        "tmp can be written",
        "system is read-only",
        "mount is read-only",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
    ]
    assert (tmp_path / "output").read_text() == "hello"
    assert (tmp_path / "output").stat().st_uid == 1234


def test_an_entrypoint_of_ones_own(run: Containers) -> None:
    command = {"shell": False, "arguments": ["-c", "echo $0 $1; exit 4", "zero", "one"]}
    run.launch("entry", "", parameters={"entrypoint": "/bin/sh"}, command=command)
    end = run.framework.state("entry", "TASK_FINISHED", "TASK_FAILED")
    assert (end["state"], end["message"]) == ("TASK_FAILED", "Container exited with status 4")
    assert (run.sandbox("entry") / "stdout").read_text() == "zero one\n"
    assert run.framework.states("entry") == ["TASK_STARTING", "TASK_RUNNING", "TASK_FAILED"]


def test_docker_s_own_word_is_in_the_sandbox_and_can_be_read(run: Containers) -> None:
    run.launch("bad", "true", command={"shell": False, "value": "no-such-program"}, on="agent2")
    end = run.framework.state("bad", "TASK_FAILED")
    assert end["message"] == "Container exited with status 127"
    assert run.framework.states("bad") == ["TASK_STARTING", "TASK_FAILED"]
    path = run.sandbox("bad").resolve() / "stderr"
    got = look(run.lab.agent_address("agent2"), f"/files/read?path={path}&offset=0&length=9999")
    assert '"no-such-program": executable file not found' in got["data"]


def test_options_that_make_no_sense_never_reach_docker(run: Containers) -> None:
    run.launch("user", "true", docker={"network": "USER"})
    end = run.framework.state("user", "TASK_FAILED")
    assert end["message"] == (
        "Failed to create docker run options: No network info found in container info"
    )


def test_an_image_that_cannot_be_pulled_fails_before_the_executor(run: Containers) -> None:
    run.launch("none", "true", docker={"image": "127.0.0.1:9/no/such:1"})
    end = run.framework.state("none", "TASK_FAILED")
    assert end["reason"] == "REASON_CONTAINER_LAUNCH_FAILED"
    assert "docker -H unix:///var/run/docker.sock pull 127.0.0.1:9/no/such:1" in end["message"]
    assert "connection refused" in end["message"]


def test_force_pull_asks_the_registry_for_an_image_that_is_there(run: Containers) -> None:
    run.launch("force", "true", docker={"force_pull_image": True})
    end = run.framework.state("force", "TASK_FAILED")
    assert f"pull {run.image}" in end["message"]


def grace(seconds: int) -> Json:
    return {"grace_period": {"nanoseconds": seconds * 10**9}}


def test_kill_sends_term_and_grants_the_grace_period(run: Containers) -> None:
    run.launch("polite", OBEYS_TERM, kill_policy=grace(60))
    run.framework.state("polite", "TASK_RUNNING")
    run.framework.kill("polite")
    end = run.framework.state("polite", "TASK_KILLED", seconds=20)
    assert end["message"] == "Container exited with status 7"
    assert run.framework.states("polite")[-2:] == ["TASK_KILLING", "TASK_KILLED"]
    assert (run.sandbox("polite") / "stdout").read_text() == "bye\n"


def test_a_second_kill_may_be_shorter(run: Containers) -> None:
    run.launch("deaf", IGNORES_TERM, kill_policy=grace(60))
    run.framework.state("deaf", "TASK_RUNNING")
    run.framework.kill("deaf")
    run.framework.state("deaf", "TASK_KILLING")
    assert run.runs("deaf")
    run.framework.kill("deaf", grace=0)
    end = run.framework.state("deaf", "TASK_KILLED", seconds=20)
    assert end["message"] == "Container exited with status 137"
    assert run.framework.states("deaf").count("TASK_KILLING") == 1


def test_a_time_limit_of_mesos_own(run: Containers) -> None:
    run.launch("slow", IGNORES_TERM, max_completion_time={"nanoseconds": 10**9})
    end = run.framework.state("slow", "TASK_FAILED")
    assert end["reason"] == "REASON_MAX_COMPLETION_TIME_REACHED"
    assert "TASK_KILLING" not in run.framework.states("slow")


def test_the_container_is_removed_after_its_end(run: Containers) -> None:
    run.launch("short", "true")
    run.framework.state("short", "TASK_FINISHED")
    until(lambda: not run.inspect("short", "{{.Id}}"), "the container to be removed")


def test_a_container_outlives_its_agent(run: Containers) -> None:
    run.launch("long", OBEYS_TERM, on="agent3")
    run.framework.state("long", "TASK_RUNNING")
    run.lab.kill("agent3")
    assert run.runs("long")
    run.lab.start("agent3")
    assert run.runs("long")
    run.framework.kill("long")
    assert run.framework.state("long", "TASK_KILLED")["message"] == "Container exited with status 7"


def test_an_executor_that_is_killed_takes_the_container_with_it(run: Containers) -> None:
    run.launch("orphan", IGNORES_TERM)
    run.framework.state("orphan", "TASK_RUNNING")
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if f"--container=mesos-{run.sandbox('orphan').resolve().name}".encode() in words:
            subprocess.run(["kill", "-9", entry.parent.name], check=True)
    end = run.framework.state("orphan", "TASK_FAILED")
    assert end["reason"] == "REASON_EXECUTOR_TERMINATED"
    until(lambda: not run.runs("orphan"), "the container's end")


def test_a_power_cut_ends_the_containers(run: Containers) -> None:
    run.launch("cut", IGNORES_TERM, on="agent1")
    run.framework.state("cut", "TASK_RUNNING")
    run.lab.kill_machine("agent1")
    assert run.inspect("cut", "{{.Id}}") == ""
    run.lab.start("agent1")
    run.framework.state("cut", "TASK_FAILED", "TASK_LOST")


@contextmanager
def slow_registry() -> Iterator[str]:
    """One that takes the question and never answers; yields an image of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}/slow:1"


def test_a_task_whose_image_is_pulled_is_staging_and_can_be_killed(run: Containers) -> None:
    with slow_registry() as image:
        run.launch("pull", "true", docker={"image": image}, on="agent2")

        def states() -> list[str]:
            tasks = run.lab.state("/tasks?limit=10000")["tasks"]
            return [each["state"] for each in tasks if each["id"] == "pull"]

        until(states, "the task to be known to the master")
        executors = until(
            lambda: [
                executor
                for framework in run.lab.state("/state", "agent2")["frameworks"]
                for executor in framework["executors"]
            ],
            "the agent's executor",
        )
        assert [each["id"] for each in executors] == ["pull"]
        assert states() == ["TASK_STAGING"]
        run.framework.kill("pull")
        end = run.framework.state("pull", "TASK_KILLED")
        assert end["reason"] == "REASON_TASK_KILLED_DURING_LAUNCH"


def test_a_pull_must_not_take_longer_than_the_agent_waits_for_an_executor(busybox: str) -> None:
    flags = {"executor_registration_timeout": "2secs"}
    lab = make_lab("lab-slow-pull", agents=1, agent_flags=flags)
    with slow_registry() as image, lab.running(), Framework(lab.master) as framework:
        Containers(framework, lab, image).launch("slow", "true")
        end = framework.state("slow", "TASK_FAILED")
        assert end["reason"] == "REASON_CONTAINER_LAUNCH_FAILED"
        assert end["message"].startswith("Failed to launch container: discarded")


DOCKER_WHERE_ONE_GOES = """\
#!/bin/sh
case "$*" in
*" ps"*)
    docker "$@" || exit
    [ -e {told} ] || echo "1 image command 1s Up mesos-11111111-1111-1111-1111-111111111111" ;;
*inspect*mesos-11111111-*)
    touch {told}
    echo "Error response from daemon: No such container: mesos-11111111-..." >&2
    exit 1 ;;
*) exec docker "$@" ;;
esac
"""


def test_an_agent_that_gave_up_for_another_one_s_container_is_started_again(
    busybox: str, tmp_path: Path
) -> None:
    told, program = tmp_path / "told", tmp_path / "docker"
    program.write_text(DOCKER_WHERE_ONE_GOES.format(told=told))
    program.chmod(0o755)
    lab = make_lab("lab-vanished", agents=1, agent_flags={"docker": str(program)})
    with lab.running():
        assert told.exists()
        assert "Failed to perform recovery" in lab.log("agent1").read_text()
        assert lab.active() == {"agent1"}
