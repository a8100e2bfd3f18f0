"""The lab itself: real parts that start, die, come back with what they knew, and end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from deploy.mesos.lab import Lab, build
from deploy.mesos.lab.daemons import Daemon, Process
from deploy.portal.problem import Problem, Usage
from tests.mesos.conftest import make_lab
from tests.mesos.framework import Framework, Refused
from tests.waiting import until

pytestmark = pytest.mark.mesos

SLEEP = {"value": "sleep 300"}


def pid_of(lab: Lab, task: str) -> int:
    """The process that the task's command wrote into its sandbox."""

    def written() -> str:
        for file in lab.folder.glob(f"agent*/slaves/*/frameworks/*/executors/{task}/runs/*/pid"):
            return file.read_text().strip()
        return ""

    return int(until(written, f"the process of {task}"))


WRITE_PID = {"value": "echo $$ > pid.new; mv pid.new pid; exec sleep 300"}


def test_all_parts_run_and_are_registered(lab: Lab) -> None:
    assert lab.names == ["master", "agent1", "agent2", "agent3"]
    assert len({lab.pid(name) for name in lab.names} - {None}) == 4
    assert lab.active() == {"agent1", "agent2", "agent3"}
    slaves = {each["hostname"]: each for each in lab.state("/slaves")["slaves"]}
    assert slaves["agent1"]["attributes"] == {"disk": "ssd"}
    assert slaves["agent2"]["attributes"] == {}
    assert {each["version"] for each in slaves.values()} == {build.VERSION}
    for each in slaves.values():
        assert (each["resources"]["cpus"], each["resources"]["mem"]) == (4.0, 4096.0)


def test_up_again_changes_nothing(lab: Lab) -> None:
    before = [lab.pid(name) for name in lab.names]
    lab.up()
    again = Lab.stored(lab.folder)
    assert again is not None
    again.up()
    assert [again.pid(name) for name in lab.names] == before
    assert again.options == lab.options


@pytest.mark.parametrize(
    ("command", "state"), [("true", "TASK_FINISHED"), ("exit 3", "TASK_FAILED")]
)
def test_a_command_runs_on_the_agent_that_was_asked(
    framework: Framework, command: str, state: str
) -> None:
    framework.launch("t", on="agent2", command={"value": command})
    status = framework.state("t", "TASK_FINISHED", "TASK_FAILED")
    assert status["state"] == state
    assert status["message"] == f"Command exited with status {3 if '3' in command else 0}"
    assert framework.states("t")[:2] == ["TASK_STARTING", "TASK_RUNNING"]


def test_a_killed_agent_comes_back_as_itself_with_its_task(lab: Lab, framework: Framework) -> None:
    framework.launch("t", on="agent2", command=WRITE_PID)
    agent = framework.state("t", "TASK_RUNNING")["agent_id"]
    task = pid_of(lab, "t")
    lab.kill("agent2")
    assert lab.pid("agent2") is None
    assert Process.of(task) is not None
    lab.start("agent2")
    framework.kill("t")
    assert framework.state("t", "TASK_KILLED")["agent_id"] == agent
    assert Process.of(task) is None


def test_a_killed_master_comes_back_and_knows_its_agents(lab: Lab) -> None:
    with Framework(lab.master) as framework:
        framework.launch("t", on="agent3", command=WRITE_PID)
        framework.state("t", "TASK_RUNNING")
        ids = {each["id"] for each in lab.state("/slaves")["slaves"]}
        lab.kill("master")
        assert lab.active() == set()
        lab.up()
        assert {each["id"] for each in lab.state("/slaves")["slaves"]} == ids
        identity = framework.info["id"]
        framework.subscribe()
        assert framework.info["id"] == identity
        framework.kill("t")
        framework.state("t", "TASK_KILLED")


def test_a_machine_without_power_takes_its_tasks_with_it(lab: Lab, framework: Framework) -> None:
    framework.launch("t", on="agent1", command=WRITE_PID)
    framework.state("t", "TASK_RUNNING")
    task = pid_of(lab, "t")
    lab.kill_machine("agent1")
    assert Process.of(task) is None
    assert framework.state("t", "TASK_UNREACHABLE")["reason"] == "REASON_AGENT_REMOVED"
    assert lab.active() == {"agent2", "agent3"}
    lab.up()
    assert framework.state("t", "TASK_FAILED")["reason"] == "REASON_AGENT_REREGISTERED"


def test_an_agent_that_hangs_is_unreachable_until_it_goes_on(
    lab: Lab, framework: Framework
) -> None:
    framework.launch("t", on="agent3", command=SLEEP)
    framework.state("t", "TASK_RUNNING")
    lab.signal("agent3", signal.SIGSTOP)
    try:
        framework.state("t", "TASK_UNREACHABLE")
    finally:
        lab.signal("agent3", signal.SIGCONT)
    framework.until(lambda: framework.states("t")[-1] == "TASK_RUNNING", "TASK_RUNNING again")


def test_down_ends_tasks_and_is_idempotent() -> None:
    lab = make_lab("lab-down", agents=1)
    lab.up()
    framework = Framework(lab.master)
    framework.subscribe()
    framework.launch("t", command=WRITE_PID)
    framework.state("t", "TASK_RUNNING")
    framework.close()
    task = pid_of(lab, "t")
    lab.kill("agent1")
    assert Process.of(task) is not None
    lab.down()
    assert Process.of(task) is None
    assert [lab.pid(name) for name in lab.names] == [None, None]
    lab.down()


def test_fewer_agents_at_the_next_up() -> None:
    lab = make_lab("lab-fewer", agents=2)
    fewer = Lab(lab.folder, lab.port, agents=1)
    try:
        lab.up()
        fewer.up()
        assert lab.pid("agent2") is None
        assert fewer.active() == {"agent1"}
        # It said goodbye: the master does not wait for it.
        assert len(fewer.state("/slaves")["slaves"]) == 1
    finally:
        fewer.down(hard=True)


def test_other_resources_are_for_new_agents_only() -> None:
    lab = make_lab("lab-resources", agents=1)
    other = Lab(lab.folder, lab.port, agents=1, mem=2048)
    try:
        lab.up()
        lab.kill("agent1")
        with pytest.raises(Problem, match="Incompatible agent info detected"):
            other.up()
        other.down()
        other.up()
        assert other.state("/slaves")["slaves"][0]["resources"]["mem"] == 2048
    finally:
        other.down(hard=True)


def test_only_frameworks_with_the_secret_may_subscribe() -> None:
    with make_lab("lab-secret", agents=1, principal="rc", secret="s3cret").running() as lab:
        with pytest.raises(Refused, match="401"):
            Framework(lab.master).subscribe()
        with pytest.raises(Refused, match="401"):
            Framework(lab.master, principal="rc", secret="wrong").subscribe()
        assert lab.secret_file is not None
        assert lab.secret_file.stat().st_mode & 0o77 == 0
        secret = lab.secret_file.read_text()
        with Framework(lab.master, principal="rc", secret=secret) as framework:
            framework.launch("t", command={"value": "true"})
            framework.state("t", "TASK_FINISHED")


def test_a_wrong_flag_is_told_with_what_the_agent_says(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "lab", Lab.free_port(1), agents=1, agent_flags={"containerizers": "no"})
    try:
        with pytest.raises(Problem, match="Unknown or unsupported containerizer: no"):
            lab.up()
    finally:
        lab.down(hard=True)


def test_a_taken_port_is_told(lab: Lab, tmp_path: Path) -> None:
    with pytest.raises(Problem, match=f"Port {lab.port} of master is taken"):
        Lab(tmp_path / "lab", lab.port, agents=1).up()


def test_a_folder_is_one_lab(lab: Lab) -> None:
    with pytest.raises(Problem, match=f"runs on port {lab.port} already"):
        Lab(lab.folder, Lab.free_port(1), agents=1).up()
    assert Lab.stored(lab.folder) is not None


def test_a_name_that_is_not_there(lab: Lab) -> None:
    with pytest.raises(Usage, match="choose master, agent1, agent2, agent3"):
        lab.kill("agent4")


def test_a_pid_file_of_a_process_that_is_long_gone_means_nothing(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "master")
    (tmp_path / "master.pid").write_text(f"{os.getpid()} 1\n")
    assert daemon.process is None
    daemon.kill()
    assert not (tmp_path / "master.pid").exists()
