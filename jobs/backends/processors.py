"""The processors that a Run sees: as many as it has CPUs, part of one counted as a whole.

A CPU quota is invisible to whoever counts processors, so R would start a process for each of the
machine's and they would wait for each other inside the quota. `parallel::detectCores()` counts
/proc/cpuinfo, the C library /sys/devices/system/cpu/online: a file of ours lies over each, as lxcfs
does it. Who asks for the affinity mask obeys the variables (variables.py).
"""

from __future__ import annotations

import math
import os
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from jobs.backends.base import BackendUnavailable, ContainerSpec, Mount

CPUINFO = Path("/proc/cpuinfo")
ONLINE = Path("/sys/devices/system/cpu/online")

_NUMBER = re.compile(r"^processor\s*:\s*\d+$", re.MULTILINE)
_MINIMAL = "processor\t: 0\n"


def cores(cpus: float) -> int:
    """How many processes or threads make full use of so many CPUs; at least 1."""
    return max(1, math.ceil(cpus))


def cpuinfo(count: int, machine: str) -> str:
    """/proc/cpuinfo with `count` processors, each described as one of `machine`, the whole file of
    the machine that the Run is on. Minimal where that is unknown ("") or names no processors."""
    blocks = [block for block in re.split(r"\n{2,}", machine.strip()) if _NUMBER.search(block)]
    blocks = blocks or [_MINIMAL.strip()]
    chosen = []
    for number in range(count):
        block = _NUMBER.sub(f"processor\t: {number}", blocks[number % len(blocks)])
        for name in ("siblings", "cpu cores"):
            block = re.sub(rf"^({name}\s*:) \d+$", rf"\1 {count}", block, flags=re.MULTILINE)
        chosen.append(f"{block}\n\n")
    return "".join(chosen)


class Processors:
    """Makes the files, one pair per number of processors, on the storage: there each machine finds
    them at the same path, and no script reaches them."""

    def __init__(self, *, here: bool = True) -> None:
        """`here`: Runs are on this very machine, and may see what its processors are."""
        self._machine = _text(CPUINFO) if here else ""
        self._made: set[Path] = set()

    def shown(self, spec: ContainerSpec) -> ContainerSpec:
        """`spec` with mounts that show its own share. Raises BackendUnavailable."""
        count = cores(spec.cpus)
        online = f"0-{count - 1}\n" if count > 1 else "0\n"
        # Beside the Runs' folders: an attempt's own is open to its script.
        folder = spec.attempt_dir.parents[1] / ".processors"
        kind = "cpuinfo" if self._machine else "cpuinfo-anywhere"
        seen = folder / f"{kind}-{count}", folder / f"online-{count}"
        try:
            self._make(seen[0], lambda: cpuinfo(count, self._machine))
            self._make(seen[1], lambda: online)
        except OSError as error:
            raise BackendUnavailable(
                f"The storage refuses new files ({error.strerror}): is it mounted?"
            ) from error
        files = zip(seen, (CPUINFO, ONLINE), strict=True)
        mounts = [Mount(file, str(target), read_only=True) for file, target in files]
        return replace(spec, mounts=[*spec.mounts, *mounts])

    def _make(self, file: Path, text: Callable[[], str]) -> None:
        """Once in each process of ours: the machine may be another since the last one."""
        if file in self._made and file.exists():
            return
        file.parent.mkdir(exist_ok=True)
        file.parent.chmod(0o755)  # whatever the umask
        new = file.with_name(f".{file.name}.{os.getpid()}.{threading.get_ident()}")
        new.write_text(text())
        new.chmod(0o644)
        new.replace(file)
        self._made.add(file)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
