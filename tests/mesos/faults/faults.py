"""What is done to a portal and its Mesos, and how it comes back."""

from __future__ import annotations

import os
import signal
import time
from itertools import combinations
from pathlib import Path

from tests.chaos.faults import APPEAR, Fault, KillContainer, KillProcess, Strike
from tests.mesos.faults.rig import REMOVED_AFTER, MesosRig


def rig_of(at: Strike) -> MesosRig:
    assert isinstance(at.rig, MesosRig)
    return at.rig


class KillMaster(Fault):
    name = "master"
    lasts = 1.0
    models = "kill -9 of mesos-master; a second later it is started again, and remembers its agents"

    def strike(self, at: Strike) -> None:
        rig_of(at).lab.kill("master")

    def mend(self, at: Strike) -> None:
        rig_of(at).lab.start("master")


class KillAgent(Fault):
    def __init__(self, name: str, lasts: float, models: str) -> None:
        self.name, self.lasts, self.models = name, lasts, models
        self._agent = ""

    def strike(self, at: Strike) -> None:
        self._agent = rig_of(at).agent_of(at.victim)
        rig_of(at).lab.kill(self._agent)

    def mend(self, at: Strike) -> None:
        if self._agent:
            rig_of(at).lab.start(self._agent)


class KillExecutor(Fault):
    name = "executor"
    lasts = 0.0
    ends_the_run = True
    models = (
        "kill -9 of what watches over the container on its machine; its agent removes the container "
        f"{REMOVED_AFTER} s later (here), so it may come to its own end before"
    )

    def strike(self, at: Strike) -> None:
        deadline = time.monotonic() + APPEAR
        while not (pid := rig_of(at).executor_of(at.victim)) and time.monotonic() < deadline:
            time.sleep(0.01)
        at.hit = pid > 0
        if at.hit:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                at.hit = False


class KillPortal(Fault):
    name = "whole portal"
    lasts = 1.0
    models = "kill -9 of all processes of the portal, the supervisor first; then `./rcluster up`"

    def strike(self, at: Strike) -> None:
        rig_of(at).kill_portal()

    def mend(self, at: Strike) -> None:
        rig_of(at).start_portal()


class Cut(Fault):
    name = "connection cut"
    lasts = 3.0
    models = "between portal and master: connections are reset, for 3 s new ones are refused"

    def strike(self, at: Strike) -> None:
        rig_of(at).proxy.cut()

    def mend(self, at: Strike) -> None:
        rig_of(at).proxy.resume()


class Silence(Fault):
    name = "connection silent"
    lasts = 3.0
    models = (
        "between portal and master: nothing comes through any more and no connection is closed; "
        "after 3 s new connections work, the old ones stay dead, as behind a firewall that forgot them"
    )

    def strike(self, at: Strike) -> None:
        rig_of(at).proxy.silence()

    def mend(self, at: Strike) -> None:
        rig_of(at).proxy.resume()


class Failover(KillProcess):
    """The case starts the standby beforehand."""

    def __init__(self) -> None:
        super().__init__("failover", "backend")
        self.models = (
            "kill -9 of the backend worker while a second one stands by on the same database"
        )


class Hang(Fault):
    name = "backend worker hangs"
    lasts = 20.0
    models = (
        "SIGSTOP of the backend worker for 20 s: its lease runs out, a standby takes over, and the "
        "first wakes up to find another in its place"
    )

    def strike(self, at: Strike) -> None:
        at.old_pid = at.rig.portal.process_pid("backend")
        os.kill(at.old_pid, signal.SIGSTOP)

    def mend(self, at: Strike) -> None:
        if at.old_pid and Path(f"/proc/{at.old_pid}").exists():
            os.kill(at.old_pid, signal.SIGCONT)


class Both(Fault):
    """Two at once."""

    def __init__(self, first: Fault, second: Fault) -> None:
        self._both = first, second
        self.name = f"{first.name} + {second.name}"
        self.models = ""
        self.lasts = max(first.lasts, second.lasts)
        self.ends_the_run = first.ends_the_run or second.ends_the_run

    def strike(self, at: Strike) -> None:
        # What hits the Run goes first: the other may take away what leads there.
        hits = []
        for fault in sorted(self._both, key=lambda each: not each.ends_the_run):
            fault.strike(at)
            hits.append(at.hit)
            if not fault.ends_the_run:
                at.hit = hits[0] if self.ends_the_run else True

    def mend(self, at: Strike) -> None:
        for fault in self._both:
            fault.mend(at)


AGENT = KillAgent(
    "agent", 1.0, "kill -9 of the Run's mesos-agent, started again a second later: tasks go on"
)
AGENT_AWAY = KillAgent(
    "agent away",
    8.0,
    "the same for 8 s: the master calls it unreachable (after 5 s here), and it returns",
)
SINGLE: tuple[Fault, ...] = (
    KillMaster(),
    AGENT,
    AGENT_AWAY,
    KillExecutor(),
    KillContainer(),
    KillProcess("backend worker", "backend"),
    KillPortal(),
    Cut(),
    Silence(),
)
STANDBY: tuple[Fault, ...] = (Failover(), Hang())
_PAIRED = (SINGLE[0], AGENT, *SINGLE[3:8])
PAIRS: tuple[Fault, ...] = tuple(
    Both(first, second)
    for first, second in combinations(_PAIRED, 2)
    # The whole portal has its backend worker; and an executor's end is its container's.
    if {first.name, second.name}
    not in ({"backend worker", "whole portal"}, {"executor", "container"})
)
ALL = (*SINGLE, *STANDBY, *PAIRS)
