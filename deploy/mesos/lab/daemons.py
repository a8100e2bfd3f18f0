"""Processes that outlive whoever started them: pid files and ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.portal.place import ROOT_PATH
from deploy.portal.problem import Problem

# The shell goes at once, so the program is nobody's child: no zombie when a test kills it, and
# nothing that keeps its starter from ending.
_DETACH = 'log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!'


TAIL = 300
"""lines of a log that may be about its program's end"""
_ERROR = re.compile(r"[EF]\d{4} ")
"""How Mesos begins an error in its log."""


@dataclass(frozen=True)
class Process:
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    born: int
    """in clock ticks since boot"""

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """None where there is none, or only its zombie."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        state, *columns = stat.rpartition(")")[2].split()
        # A zombie with threads is still at its end, and keeps its ports.
        ended = state in "ZX" and int(columns[16]) <= 1
        return None if ended else cls(pid, int(columns[18]))

    @property
    def lives(self) -> bool:
        return Process.of(self.pid) == self

    def send(self, which: signal.Signals) -> None:
        if self.lives:
            try:
                os.kill(self.pid, which)
            except ProcessLookupError:
                return

    def wait(self, seconds: float) -> bool:
        """True once it has ended."""
        deadline = time.monotonic() + seconds
        while self.lives:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.send(signal.SIGKILL)
        if not self.wait(10.0):
            raise Problem(f"Process {self.pid} does not end, even by kill -9.")


@dataclass(frozen=True)
class Daemon:
    """One program of a lab: `<folder>/<name>.pid` and `<folder>/<name>.log`."""

    folder: Path
    name: str

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def _pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"

    @property
    def process(self) -> Process | None:
        try:
            pid, born = map(int, self._pid_file.read_text().split())
        except (FileNotFoundError, ValueError):
            return None
        process = Process(pid, born)
        return process if process.lives else None

    def start(self, words: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
        """Nothing happens when it runs already."""
        if self.process is not None:
            return
        done = subprocess.run(
            ["sh", "-c", _DETACH, "sh", str(self.log), *words],
            cwd=self.folder,
            env={"PATH": ROOT_PATH, "LANG": "C.UTF-8", **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            start_new_session=True,
        )
        process = Process.of(int(done.stdout))
        if process is None:
            raise Problem(f"{self.name} ended at once:\n{self.last_words()}")
        self._pid_file.write_text(f"{process.pid} {process.born}\n")

    def kill(self) -> None:
        if process := self.process:
            process.kill()
        self._pid_file.unlink(missing_ok=True)

    def end(self, which: signal.Signals, patience: float) -> None:
        """Ask it to end with a signal; kill -9 when it takes too long."""
        if process := self.process:
            process.send(which)
            process.wait(patience)
        self.kill()

    def last_words(self, lines: int = 12) -> str:
        """The end of its log: from its last error on, if it told one."""
        try:
            tail = self.log.read_text(errors="replace").splitlines()[-TAIL:]
        except FileNotFoundError:
            return "    (no log)"
        errors = [at for at, line in enumerate(tail) if _ERROR.match(line)]
        shown = tail[errors[-1] :][:lines] if errors else tail[-lines:]
        return "\n".join("    " + line for line in shown)
