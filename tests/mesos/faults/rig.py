"""A portal on a Mesos of its own: a master, three agents, and a way between that can be broken."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from deploy.mesos.lab import Lab
from deploy.portal import portal, supervisor
from tests.chaos.rig import Rig
from tests.mesos.faults.proxy import Proxy
from tests.waiting import until

AGENTS = 3
CPUS = 4.0
MEMORY = 6144
"""of each agent; MB"""
REMOVED_AFTER = 2
"""seconds until an agent removes a container that has ended, or whose executor has"""


class MesosRig(Rig):
    lab: Lab
    proxy: Proxy

    def __init__(self, database: str) -> None:
        self._standby: subprocess.Popen[bytes] | None = None
        super().__init__("mesos", database)

    def _make_engine(self) -> dict[str, str]:
        self.lab = Lab(
            self.folder / "lab",
            Lab.free_port(AGENTS),
            agents=AGENTS,
            cpus=CPUS,
            mem=MEMORY,
            agent_flags={"docker_remove_delay": f"{REMOVED_AFTER}secs"},
        )
        self._stack.callback(self.lab.down, hard=True)
        self.lab.up()
        self.proxy = Proxy(self.lab.master, Lab.free_port(0))
        self._stack.callback(self.proxy.close)
        self._stack.callback(self.end_standby)
        return {"RCLUSTER_MESOS_MASTER": self.proxy.address}

    # What is to be broken.

    def agent_of(self, run: str) -> str:
        """The agent that the Run was placed on; some agent while it wasn't."""
        found = self.run(run) if run else None
        name = str(found["machine"]).partition(":")[0] if found else ""
        return name if name in self.lab.agents else self.lab.agents[0]

    def executor_of(self, run: str) -> int:
        """Process id of what watches over the Run's container; 0 while there is none."""
        mark = f"MESOS_EXECUTOR_ID=rcluster-{run}-".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    variables = (entry / "environ").read_bytes().split(b"\0")
                    command = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if b"executor" in command and any(each.startswith(mark) for each in variables):
                    return int(entry.name)
        return 0

    def process_of(self, run: str, attempt: int = 1) -> int:
        names = _docker("ps", "--quiet", "--filter", f"label=rcluster.run={run}")
        for name in names:
            said = _docker("inspect", "--format", "{{.State.Pid}}", name)
            if said and int(said[0]):
                return int(said[0])
        return 0

    def kill_portal(self) -> None:
        """kill -9 of every process of it, the supervisor first."""
        place = self.portal.place
        pids = [supervisor.supervisor_pid(place)]
        pids += [state.pid for state in supervisor.states(place) if state.pid]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        until(
            lambda: not any(supervisor.is_alive(pid) for pid in pids),
            "the portal's end",
            seconds=30,
        )

    def start_portal(self) -> None:
        portal.up(self.portal.place)

    def said(self) -> int:
        """Where the backend worker's log ends now."""
        return len(self.portal.log("backend"))

    def said_since(self, mark: int) -> list[str]:
        """What it logged after that, for who must find out why."""
        return self.portal.log("backend")[mark:].splitlines()[-200:]

    # The standby.

    def start_standby(self) -> None:
        """A second backend worker on the same database; returns when it is ready to take over."""
        place = self.portal.place
        program = next(each for each in supervisor.programs(place) if each.name == "backend")
        log = self.folder / "standby.log"
        with log.open("ab") as file:
            start = file.tell()
            self._standby = subprocess.Popen(
                [word.replace("backend@%h", "standby@%h") for word in program.command],
                cwd=place.clone,
                env={**place.environment(), "RCLUSTER_PROCESS": "backend"},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self._known.append(self._standby.pid)

        def is_ready() -> bool:
            return b" ready." in log.read_bytes()[start:]

        until(is_ready, f"the standby to be ready, see {log}", seconds=60)

    def end_standby(self) -> None:
        """It gives the lease back, and the other goes on."""
        standby, self._standby = self._standby, None
        if standby is None:
            return
        standby.terminate()
        try:
            standby.wait(timeout=40)
        except subprocess.TimeoutExpired:
            standby.kill()
            standby.wait()
            raise

    # Is everything as it should be?

    def wait_whole(self) -> None:
        super().wait_whole()
        self.lab.up()
        until(
            lambda: self.connected(), "the portal to be connected to Mesos", seconds=90, every=0.2
        )

    def connected(self) -> bool:
        frameworks: list[dict[str, Any]] = self.lab.state("/frameworks")["frameworks"]
        return any(each["active"] and each["connected"] for each in frameworks)

    def _processes(self) -> list[str]:
        ours = {pid for name in self.lab.names if (pid := self.lab.pid(name))}
        kept, self._known = self._known, [*self._known, *ours]
        try:
            found = super()._processes()
        finally:
            self._known = kept
        # What an agent starts to look round lives for an instant, and may be seen.
        return [each for each in found if not each.endswith(": ")]

    def _containers(self) -> list[str]:
        """Those that live. One that has ended is removed by its agent some seconds later, and if that
        is killed meanwhile, at its next start; but not here, where agents share one engine."""
        words = ["ps", "--filter", f"label=rcluster.installation={self.installation}"]
        words += [f"--filter=status={state}" for state in ("created", "running", "paused")]
        return [f"container {name}" for name in _docker(*words, "--format", "{{.Names}}")]


def _docker(*words: str) -> list[str]:
    done = subprocess.run(["docker", *words], capture_output=True, timeout=60, check=False)
    return done.stdout.decode().split()
