"""What the benchmarks of the log share: a printer in a Task, and clients in a process of their own."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench._sockets import digest
from tests.client import Client
from tests.portal import Portal, start_portal

HERE = Path(__file__).parent
CPUS, MEMORY = 1.0, 256 * 1024**2


@dataclass
class Bench:
    portal: Portal
    client: Client
    task: str

    @property
    def storage(self) -> Path:
        return self.portal.home / "storage"

    @property
    def area(self) -> Path:
        """The Task's folders."""
        return self.storage / "working_dir" / self.task

    def attempt(self, run: str) -> Path:
        return self.storage / "runs" / run / "1"

    def submit(self, lines: int, per_second: int, *, when: str = "") -> str:
        """A Run that prints; once the file `when` is there in /output, if one is named."""
        command = f"exec /code/printer {lines} {per_second} /output/times"
        if when:
            command = f"until [ -e /output/{when} ]; do sleep 0.05; done; {command}"
        return self.client.command(self.task, command, cpus=CPUS, memory=MEMORY)

    def ended(self, run: str) -> float:
        """When the runner, the container's first process, was done: seconds since 1970."""
        return float(json.loads((self.attempt(run) / "exit").read_text())["ended_at"])

    @contextlib.contextmanager
    def readers(self, run: str, **asked: Any) -> Iterator[subprocess.Popen[str]]:
        """Clients that are connected."""
        token = self.client.headers["Authorization"].split()[1]
        given = {"url": self.portal.url, "token": token, "run": run, **asked}
        with subprocess.Popen(
            [sys.executable, "-m", "tests.bench._sockets", json.dumps(given)],
            cwd=HERE.parent.parent,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", "the clients did not connect"
            yield process

    def same_as_file(self, run: str, digests: list[str]) -> bool:
        """Did every client get the file, byte for byte?"""
        return digests == [digest((self.attempt(run) / "log").read_bytes())]


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """A portal whose Runs are containers, with a Task that has the printer in its code."""
    logging.getLogger("httpx").setLevel(logging.WARNING)
    portal = start_portal(backend="docker", RCLUSTER_LOG_CAP=str(4 * 1024**3))
    try:
        client = Client(portal.url, portal.token("bench"))
        found = Bench(portal, client, client.create_task("Bench"))
        install(found.area / "code")
        yield found
        client.close()
    finally:
        portal.stop()


def install(code: Path) -> None:
    """Compile the printer to `code`/printer, static: any image will do."""
    printer = code / "printer"
    source = str(HERE / "_printer.c")
    subprocess.run(["gcc", "-O2", "-static", "-o", str(printer), source], check=True)
    printer.chmod(0o755)
    owner = code.stat()
    os.chown(printer, owner.st_uid, owner.st_gid)


def times(output: Path) -> tuple[float, float]:
    """When the printer that wrote to this folder began and ended, by its own clock."""
    began, ended = (output / "times").read_text().split()
    return float(began), float(ended)
