"""Attempt folders for tests: what jobs/attempts.py prepares for the product, without a database."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.backends.base import Backend, ContainerSpec, ContainerStatus, Life, Mount
from tests.waiting import until

GIB = 1024**3
MIB = 1024**2

_numbers = itertools.count(1)


@dataclass
class Lab:
    """One backend with a storage folder; makes attempts and cleans up after them."""

    backend: Backend
    root: Path
    image: str
    uid: int
    gid: int
    fresh: Callable[[], Backend]
    """Another backend object on the same state, as after a restart of the portal."""
    attempts: list[Attempt] = field(default_factory=list)

    def attempt(
        self,
        command: Sequence[str],
        *,
        permit: bool = True,
        stdin: bytes | None = None,
        script: bytes | None = None,
        mounts: Iterable[Mount] = (),
        variables: Mapping[str, str] | None = None,
        memory: int = 512 * MIB,
        **more: Any,
    ) -> Attempt:
        run = f"t{os.getpid()}x{next(_numbers)}"
        code = self.root / run / "code"
        folder = self.root / run / "1"
        (folder / "script").mkdir(parents=True)
        code.mkdir()
        (folder / "log").write_bytes(b"")
        (folder / "exit").write_bytes(b"\n" * 1024)
        if stdin is not None:
            (folder / "stdin").write_bytes(stdin)
        if script is not None:
            (folder / "script" / "main.R").write_bytes(script)
        if permit:
            (folder / "permit").write_bytes(b"")
        self.give(self.root / run)
        cpus = more.pop("cpus", 1.0)
        machine, node = self.room(cpus, memory)
        spec = ContainerSpec(
            handle=f"rcluster-{run}-1",
            run=run,
            attempt=1,
            image=more.pop("image", self.image),
            command=command,
            attempt_dir=folder,
            mounts=[Mount(code, "/code"), *mounts],
            cpus=cpus,
            memory=memory,
            variables={"TZ": "UTC", **(variables or {})},
            has_stdin=stdin is not None,
            uid=self.uid,
            gid=self.gid,
            machine=machine,
            node=node,
            **more,
        )
        made = Attempt(self.backend, spec)
        self.attempts.append(made)
        return made

    def room(self, cpus: float, memory: int) -> tuple[str, str]:
        """A machine to place it on, as the queue would choose one: name and node."""
        if self.backend.capabilities.launch_is_start:
            return "", ""

        def found() -> tuple[str, str] | None:
            for offer in self.backend.offers():
                if (offer.free_cpus or 0.0) >= cpus and (offer.free_memory or 0) >= memory:
                    return offer.machine, offer.node
            return None

        place = until(found, f"a machine with {cpus} CPUs free", seconds=20)
        assert place is not None
        return place

    def run(self, command: Sequence[str], **more: Any) -> Attempt:
        """Launch and wait for the end."""
        made = self.attempt(command, **more)
        made.launch()
        made.ended()
        return made

    def rscript(self, code: str, **more: Any) -> Attempt:
        return self.run(["Rscript", "-e", code], **more)

    def give(self, path: Path) -> None:
        """To the ordinary user who runs the scripts."""
        if os.geteuid() != 0:
            return
        for folder, _, files in os.walk(path):
            os.chown(folder, self.uid, self.gid)
            for name in files:
                os.chown(Path(folder) / name, self.uid, self.gid)

    def clean(self) -> None:
        for attempt in self.attempts:
            attempt.backend.kill(attempt.handle)
        for attempt in self.attempts:
            until(attempt.is_over, f"the end of {attempt.handle}")
            until(attempt.is_removed, f"the removal of {attempt.handle}")
        self.attempts.clear()


@dataclass
class Attempt:
    backend: Backend
    spec: ContainerSpec

    @property
    def handle(self) -> str:
        return self.spec.handle

    @property
    def folder(self) -> Path:
        return self.spec.attempt_dir

    @property
    def code(self) -> Path:
        return self.folder.parent / "code"

    def launch(self) -> None:
        self.backend.launch(self.spec)
        if not self.backend.capabilities.launch_is_start:
            until(
                lambda: self.status().life is not Life.STAGING,
                f"the start of {self.handle}",
                seconds=20,
            )

    def status(self) -> ContainerStatus:
        status = self.backend.status(self.handle)
        assert status is not None, f"{self.handle} is unknown to the backend"
        if status.life is not Life.ENDED:
            # As supervision does once the database has it; of an end we may want to hear again.
            self.backend.settled(status)
        return status

    def is_over(self) -> bool:
        status = self.backend.status(self.handle)
        if status is not None and status.life is not Life.ENDED:
            self.backend.settled(status)
        return status is None or status.life is not Life.RUNNING

    def is_removed(self) -> bool:
        self.backend.remove(self.handle)
        return self.backend.status(self.handle) is None

    def ended(self, within: float = 30.0) -> ContainerStatus:
        def look() -> ContainerStatus | None:
            status = self.status()
            return status if status.life is Life.ENDED else None

        ended = until(look, f"the end of {self.handle}", seconds=within)
        assert ended is not None
        return ended

    def log(self) -> bytes:
        return (self.folder / "log").read_bytes()

    def text(self) -> str:
        return self.log().decode()

    def lines(self) -> list[str]:
        return self.text().splitlines()

    def prints(self, text: bytes, within: float = 20.0) -> None:
        until(lambda: text in self.log(), f"{text!r} in the log", seconds=within)

    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.folder / "exit").read_bytes())
        return record


def folder_of(root: Path, handle: str) -> Path:
    """Where `Lab.attempt` put the attempt behind a handle."""
    return root / handle.split("-")[1] / "1"


@dataclass(frozen=True)
class FolderNotes:
    """Notes of a backend as files: what the product keeps in its database."""

    folder: Path

    def get(self, key: str) -> str:
        path = self.folder / key
        return path.read_text() if path.exists() else ""

    def put(self, key: str, value: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / key).write_text(value)
