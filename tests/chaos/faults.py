"""What is done to the portal, and how it comes back. Each fault is struck, lasts, and is mended."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.chaos.rig import Rig

APPEAR = 10.0
"""seconds for a victim to have a process"""


@dataclass
class Strike:
    """One fault, happening once."""

    rig: Rig
    victim: str
    """the Run whose container is the one to be killed, where the fault is that"""
    victim_pid: int = 0
    """of its runner, if the eye was on it before; else it is looked for"""
    hit: bool = True
    """False: there was nothing (any more) to be broken"""
    old_pid: int = 0


class Fault:
    name: str
    lasts: float = 1.0
    """seconds until it is mended"""
    backends: tuple[str, ...] = ("local", "docker")
    needs_postgresql = False
    ends_the_run = False
    """it is the Run itself that is hit"""
    fills_the_disk = False
    models: str
    """for the report: what it is and what it stands for"""

    def strike(self, at: Strike) -> None:
        raise NotImplementedError

    def mend(self, at: Strike) -> None:
        """Bring back what does not come back by itself."""


class KillProcess(Fault):
    def __init__(self, name: str, program: str) -> None:
        self.name, self._program = name, program
        self.models = f"kill -9 of the process `{program}`; the supervisor restarts it"

    def strike(self, at: Strike) -> None:
        at.old_pid = at.rig.portal.process_pid(self._program)
        at.hit = at.old_pid != 0
        if at.hit:
            os.kill(at.old_pid, signal.SIGKILL)

    def mend(self, at: Strike) -> None:
        if at.hit:
            at.rig.portal.wait_restarted(self._program, at.old_pid)


class Flush(Fault):
    name = "Valkey FLUSHALL"
    lasts = 0.0
    models = "everything in Valkey is deleted: messages, queues, Channels' groups"

    def strike(self, at: Strike) -> None:
        socket = at.rig.portal.place.settings.redis_socket
        with redis.Redis(unix_socket_path=str(socket)) as client:
            client.flushall()


class RestartDatabase(Fault):
    name = "database"
    lasts = 0.0
    needs_postgresql = True
    models = (
        "`pg_ctl restart -m immediate`: every server process ends where it stands, then recovery"
    )

    def strike(self, at: Strike) -> None:
        assert at.rig.database is not None
        at.rig.database.restart_now()


class KillEngine(Fault):
    name = "Docker engine"
    lasts = 1.0
    backends = ("docker",)
    models = "kill -9 of dockerd (its containerd dies with it), started again with live-restore"

    def strike(self, at: Strike) -> None:
        assert at.rig.engine is not None
        at.rig.engine.kill()

    def mend(self, at: Strike) -> None:
        assert at.rig.engine is not None
        at.rig.engine.start()


class KillContainer(Fault):
    name = "container"
    lasts = 0.0
    ends_the_run = True
    models = "kill -9 of the container's process 1 (on local: of the runner outside the sandbox)"

    def strike(self, at: Strike) -> None:
        deadline = time.monotonic() + APPEAR
        pid = at.victim_pid
        while not pid and time.monotonic() < deadline:
            time.sleep(0.002)
            pid = at.rig.process_of(at.victim)
        at.hit = _is_a_runner(pid)
        if at.hit:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                at.hit = False


def _is_a_runner(pid: int) -> bool:
    """Numbers of processes are used again: never hit somebody else's."""
    try:
        return pid > 0 and b"rcluster-" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


class FullDisk(Fault):
    name = "storage full"
    lasts = 3.0
    fills_the_disk = True
    models = "the storage's disk (an ext4 of its own) is filled to its last block for 3 s"

    def strike(self, at: Strike) -> None:
        at.rig.disk.fill()

    def mend(self, at: Strike) -> None:
        at.rig.disk.free()


class VanishedDisk(Fault):
    name = "storage vanished"
    lasts = 2.0
    models = (
        "the storage's mount is taken away lazily for 2 s: the portal finds an empty folder, "
        "containers that run keep theirs, as after an administrator's or automounter's umount -l"
    )

    def strike(self, at: Strike) -> None:
        at.rig.disk.vanish()

    def mend(self, at: Strike) -> None:
        at.rig.disk.come_back()


class FrozenDisk(Fault):
    name = "storage hangs"
    lasts = 2.0
    models = (
        "the storage's file system is frozen for 2 s: who writes to it hangs and can't be killed, "
        "as on a hard NFS mount whose server is away (reading goes on, unlike there)"
    )

    def strike(self, at: Strike) -> None:
        at.rig.disk.freeze()

    def mend(self, at: Strike) -> None:
        at.rig.disk.thaw()


FAULTS: tuple[Fault, ...] = (
    KillProcess("backend worker", "backend"),
    KillProcess("web", "web"),
    KillProcess("worker", "worker"),
    KillProcess("beat", "beat"),
    KillProcess("Valkey", "valkey"),
    Flush(),
    RestartDatabase(),
    KillContainer(),
    FullDisk(),
    VanishedDisk(),
    FrozenDisk(),
    KillEngine(),
)
