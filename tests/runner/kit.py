"""What the runner's tests share: an attempt's folder, starting the runner in it, waiting."""

import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

REPOSITORY = Path(__file__).resolve().parents[2]
RECORD_SIZE = 1024
PERSON = 4321  # the uid and gid that root's tests drop to; needs no account
T = TypeVar("T")
DEADLINE = 20.0
IS_ROOT = os.geteuid() == 0


def until(look: Callable[[], T], what: str, deadline: float = DEADLINE) -> T:
    """Look again and again until the answer is true; its answer."""
    give_up = time.monotonic() + deadline
    while True:
        answer = look()
        if answer:
            return answer
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {deadline} s: {what}")
        time.sleep(0.003)


@dataclass(frozen=True)
class Binaries:
    """One build of the two programs, and the environment that they are to run in."""

    run: Path
    enter: Path
    environment: dict[str, str]
    is_asan: bool


@dataclass
class Attempt:
    """An attempt's folder as the portal leaves it, open to every user."""

    folder: Path
    binaries: Binaries
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def prepare(self) -> None:
        (self.folder / "permit").touch()
        (self.folder / "log").touch()
        (self.folder / "exit").write_bytes(b"\n" * RECORD_SIZE)
        if IS_ROOT:
            for name in ("permit", "log", "exit", "."):
                os.chown(self.folder / name, PERSON, PERSON)

    @property
    def log(self) -> bytes:
        return (self.folder / "log").read_bytes()

    @property
    def record(self) -> dict[str, Any]:
        """The record; it must fill its 1024 bytes exactly."""
        raw = (self.folder / "exit").read_bytes()
        assert len(raw) == RECORD_SIZE
        assert raw.endswith(b"\n")
        record = json.loads(raw)
        assert isinstance(record, dict)
        return record

    def record_or_none(self) -> dict[str, Any] | None:
        """The record, or None as long as the file is blank."""
        return self.record if (self.folder / "exit").read_bytes().strip() else None

    @property
    def claims(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("started.*"))

    def is_untouched(self) -> bool:
        return self.log == b"" and (self.folder / "exit").read_bytes() == b"\n" * RECORD_SIZE

    def line(self, command: Sequence[str | Path], options: Sequence[str | Path] = ()) -> list[str]:
        return [
            str(self.binaries.run),
            "--dir",
            str(self.folder),
            *map(str, options),
            "--",
            *map(str, command),
        ]

    def start(
        self,
        *command: str | Path,
        options: Sequence[str | Path] = (),
        before: Sequence[str | Path] = (),
        environment: dict[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start the runner; `before` is what stands in front of it, such as rcluster-enter."""
        line = [*map(str, before), *self.line(command, options)]
        process = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.binaries.environment | (environment or {}),
            cwd="/",
        )
        self.started.append(process)
        return process

    def run(
        self,
        *command: str | Path,
        options: Sequence[str | Path] = (),
        before: Sequence[str | Path] = (),
        environment: dict[str, str] | None = None,
    ) -> int:
        """Start the runner and wait for it; its exit status."""
        return ended(self.start(*command, options=options, before=before, environment=environment))

    def shell(self, script: str, *options: str | Path) -> int:
        return self.run("/bin/sh", "-c", script, options=options)

    def wait_for_log(self, text: bytes) -> None:
        until(lambda: text in self.log, f"{text!r} in the log")

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=DEADLINE)


def ended(process: subprocess.Popen[bytes]) -> int:
    process.wait(timeout=DEADLINE)
    return process.returncode


def numbers(last: int) -> bytes:
    """What `seq 1 last` prints."""
    return b"".join(b"%d\n" % number for number in range(1, last + 1))


def a_mark() -> str:
    """A duration for `sleep` that nobody else sleeps."""
    return f"1000.{secrets.randbelow(10**12):012d}"


def having(mark: str) -> list[int]:
    """The processes with this word on their command line; zombies have none."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if mark.encode() in line:
            found.append(int(path.parent.name))
    return found


def children(pid: int) -> list[int]:
    """The children of a process, zombies included."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(path.parent.name))
    return found
