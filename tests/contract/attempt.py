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
        spec = ContainerSpec(
            handle=f"rcluster-{run}-1",
            run=run,
            attempt=1,
            image=more.pop("image", self.image),
            command=command,
            attempt_dir=folder,
            mounts=[Mount(code, "/code"), *mounts],
            cpus=more.pop("cpus", 1.0),
            memory=memory,
            variables={"TZ": "UTC", **(variables or {})},
            has_stdin=stdin is not None,
            uid=self.uid,
            gid=self.gid,
            **more,
        )
        made = Attempt(self.backend, spec)
        self.attempts.append(made)
        return made

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
            attempt.backend.remove(attempt.handle)
            assert attempt.backend.status(attempt.handle) is None
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

    def status(self) -> ContainerStatus:
        status = self.backend.status(self.handle)
        assert status is not None, f"{self.handle} is unknown to the backend"
        return status

    def is_over(self) -> bool:
        status = self.backend.status(self.handle)
        return status is None or status.life is not Life.RUNNING

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

    def prints(self, text: bytes, within: float = 20.0) -> None:
        until(lambda: text in self.log(), f"{text!r} in the log", seconds=within)

    def record(self) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((self.folder / "exit").read_bytes())
        return record
