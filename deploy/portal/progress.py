"""One line for every step of a set-up, with its time; what the tools print goes to a log."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from deploy.portal.problem import Problem

HEAD, TAIL = 5, 12
"""Lines of a failed tool's output that are shown: some name the cause first, some last."""
SIGN_OF_LIFE = 5.0
"""seconds after which a step that is still at work prints a dot"""


class Progress:
    def __init__(self, log: Path | None = None) -> None:
        self.log = log
        """Where tools print to. Grows over calls, so that a failure of yesterday can be read."""

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Prints `title ...` now and how long it took (or that it failed) at the end."""
        start = time.monotonic()
        self._write(f"  {title} ... ")
        try:
            yield
        except BaseException:
            self._write("failed\n")
            raise
        self._write(f"{time.monotonic() - start:.1f} s\n")

    def say(self, line: str) -> None:
        self._write(line + "\n")

    def command(
        self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None
    ) -> None:
        """Run a tool; its output goes to the log. Raises Problem with the last lines of it."""
        with self._output() as log:
            log.write(f"\n$ {' '.join(words)}\n".encode())
            log.flush()
            begin = log.tell()
            try:
                process = subprocess.Popen(
                    words, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            except FileNotFoundError:
                raise Problem(f"{words[0]} is missing on this machine.") from None
            while True:
                try:
                    status = process.wait(SIGN_OF_LIFE)
                    break
                except subprocess.TimeoutExpired:
                    self._write(".")
                except BaseException:
                    process.terminate()
                    raise
            if status == 0:
                return
            log.seek(begin)
            text = log.read().decode(errors="replace")
        where = f"\nAll of it: {self.log}" if self.log is not None else ""
        raise Problem(f"{words[0]} failed (exit {status}):\n{excerpt(text)}{where}")

    def _output(self) -> IO[bytes]:
        return tempfile.TemporaryFile() if self.log is None else self.log.open("a+b")

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def excerpt(text: str) -> str:
    """The first and the last lines of what a tool printed, indented."""
    lines = text.strip().splitlines()
    if len(lines) > HEAD + TAIL + 1:
        lines = [*lines[:HEAD], f"... ({len(lines) - HEAD - TAIL} lines)", *lines[-TAIL:]]
    return "\n".join("    " + line for line in lines)
