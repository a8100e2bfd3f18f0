"""The backend on a lab, without a portal: settings, notes and attempts for tests."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from deploy.mesos.lab import Lab
from jobs.backends.base import ContainerSpec, Mount
from jobs.backends.exit_record import RECORD_SIZE
from jobs.backends.mesos_backend import MesosBackend
from jobs.backends.mesos_settings import MesosSettings

UID = GID = 12345
MIB = 1024**2
_numbers = itertools.count(1)


@dataclass
class Notes:
    kept: dict[str, str] = field(default_factory=dict)

    def get(self, key: str) -> str:
        return self.kept.get(key, "")

    def put(self, key: str, value: str) -> None:
        self.kept[key] = value


@dataclass
class Site:
    """What outlives a backend object."""

    folder: Path
    """which everybody can reach; the runner is in it"""
    notes: Notes = field(default_factory=Notes)

    @contextmanager
    def backend(self, master: str, **settings: object) -> Iterator[MesosBackend]:
        made = MesosBackend(
            settings=MesosSettings(master, failover_timeout=20.0, **settings),  # type: ignore[arg-type]
            installation=self.folder.name,
            runner=self.folder / "rcluster-run",
            notes=self.notes,
            attempt_dir=self.attempt_dir,
        )
        made.watch(lambda handle: None)
        try:
            yield made
        finally:
            made.close()

    def attempt_dir(self, handle: str) -> Path:
        return self.folder / handle / "attempt"

    def spec(self, image: str, node: str, *command: str, cpus: float = 0.1) -> ContainerSpec:
        """An attempt that may start, as jobs/attempts.py prepares it."""
        handle = f"rcluster-b{os.getpid()}x{next(_numbers)}-1"
        attempt, code = self.attempt_dir(handle), self.folder / handle / "code"
        for each in (attempt.parent, attempt, code):
            each.mkdir()
            os.chown(each, UID, GID)
        for name, content in (("permit", b""), ("log", b""), ("exit", b"\n" * RECORD_SIZE)):
            (attempt / name).write_bytes(content)
            os.chown(attempt / name, UID, GID)
        return ContainerSpec(
            handle=handle,
            run=handle.split("-")[1],
            attempt=1,
            image=image,
            command=command,
            attempt_dir=attempt,
            mounts=[Mount(code, "/code")],
            cpus=cpus,
            memory=32 * MIB,
            grace=1.0,
            uid=UID,
            gid=GID,
            node=node,
        )


def outstanding(lab: Lab) -> int:
    """Offers that the master has made and that nobody has answered."""
    frameworks = lab.state("/frameworks")["frameworks"]
    return sum(len(each["offers"]) for each in frameworks if each["active"])


def framework_ids(lab: Lab) -> set[str]:
    """Of those that are connected."""
    frameworks = lab.state("/frameworks")["frameworks"]
    return {str(each["id"]) for each in frameworks if each["connected"]}


def tear_down(lab: Lab, framework_id: str) -> None:
    """What an administrator of Mesos does to a framework that shall go."""
    answer = httpx.post(f"{lab.url}/teardown", data={"frameworkId": framework_id}, timeout=10)
    answer.raise_for_status()


def calls(lab: Lab, kind: str) -> int:
    """How many calls of a kind the master has had from frameworks that it knows now."""
    metrics = httpx.get(f"{lab.url}/metrics/snapshot", timeout=10).raise_for_status().json()
    return int(sum(n for name, n in metrics.items() if name.endswith(f"/calls/{kind}")))
