"""Limits by cgroup for backends that start processes themselves. Versions 1 and 2, and the mix
of both that Debian 12 can have; needs root.

A Run's group holds one folder per hierarchy: v1 has one hierarchy per controller, v2 one in all.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CONTROLLERS = ("memory", "cpu", "pids")
PERIOD = 100_000
"""microseconds over which CPU time is shared out"""
MIN_QUOTA = 1000
MAKE_TRIES = 5
REMOVE_WITHIN = 5.0
"""seconds that the kernel gets to bury killed processes"""


class CgroupError(Exception):
    """The kernel refused a group; `str()` says which and why."""


@dataclass(frozen=True)
class Limits:
    memory: int
    """bytes, swap included"""
    cpus: float
    pids: int


@dataclass(frozen=True)
class Hierarchy:
    """Where groups of ours are made for some controllers."""

    version: int
    root: Path
    controllers: frozenset[str]


@dataclass(frozen=True)
class Group:
    """One Run's folders, one per hierarchy. Folders that are gone are no error: everything here
    can be asked again, also of a group that another process of ours made."""

    hierarchies: tuple[Hierarchy, ...]
    name: str

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(h.root / self.name for h in self.hierarchies)

    @property
    def peak_files(self) -> tuple[Path, ...]:
        """Files that hold the highest memory use in bytes, as far as this kernel has them."""
        return self._memory_files("memory.max_usage_in_bytes", "memory.peak")

    @property
    def stat_files(self) -> tuple[Path, ...]:
        """Files that tell what memory is in use for."""
        return self._memory_files("memory.stat", "memory.stat")

    @property
    def oom_files(self) -> tuple[Path, ...]:
        """Files that count the processes which the kernel killed for memory."""
        return self._memory_files("memory.oom_control", "memory.events")

    def _memory_files(self, first: str, second: str) -> tuple[Path, ...]:
        """By the version of the hierarchy that limits memory."""
        return tuple(
            h.root / self.name / (second if h.version == 2 else first)
            for h in self.hierarchies
            if "memory" in h.controllers
        )

    def create(self, limits: Limits) -> None:
        """Raises CgroupError. Safe to repeat."""
        for hierarchy, folder in zip(self.hierarchies, self.folders, strict=True):
            try:
                _make(hierarchy, folder)
                for file, text in _settings(hierarchy, limits):
                    _set(folder / file, text)
            except OSError as error:
                raise CgroupError(f"{error.filename or folder}: {error.strerror}") from error

    def out_of_memory(self) -> bool:
        """Has the kernel killed a process of the group for memory?"""
        found = (re.search(r"^oom_kill (\d+)$", _read(file), re.M) for file in self.oom_files)
        return any(each is not None and int(each[1]) > 0 for each in found)

    def peak_memory(self) -> int | None:
        for file in self.peak_files:
            text = _read(file).strip()
            if text.isdigit():
                return int(text)
        return None

    def kill(self, *, spare: int = 0) -> bool:
        """KILL everything in it, but not process `spare`. True if there was somebody."""
        somebody = False
        for folder in self.folders:
            for pid in _read(folder / "cgroup.procs").split():
                if int(pid) != spare:
                    somebody = True
                    with suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
        return somebody

    def remove(self) -> None:
        """Kill what is left in it and give the folders back. Raises CgroupError."""
        deadline = time.monotonic() + REMOVE_WITHIN
        for folder in self.folders:
            while True:
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError as error:
                    # Busy: the dead of a moment ago are still counted.
                    if time.monotonic() > deadline:
                        raise CgroupError(f"{folder}: {error.strerror}") from error
                    self.kill()
                    time.sleep(0.005)
                else:
                    break


def find(name: str, *, mounts: str | None = None) -> tuple[Hierarchy, ...]:
    """The hierarchies for groups of ours, below a parent folder `name` in each; () if this process
    may not make any, or if memory can't be limited. Leaves nothing behind."""
    if os.geteuid() != 0:
        return ()
    text = Path("/proc/self/mounts").read_text() if mounts is None else mounts
    found: list[Hierarchy] = []
    missing = set(CONTROLLERS)
    for mount in _mounted(text):
        wanted = frozenset(missing & mount.controllers)
        hierarchy = Hierarchy(mount.version, mount.root / name, wanted)
        if wanted and _enable(hierarchy):
            found.append(hierarchy)
            missing -= wanted
    leave(found)
    return tuple(found) if "memory" not in missing else ()


def describe(hierarchies: Iterable[Hierarchy]) -> str:
    """For people: "memory, cpu and pids by cgroup v1"."""
    parts = []
    for version in sorted({h.version for h in hierarchies}):
        names = {c for h in hierarchies if h.version == version for c in h.controllers}
        parts.append(f"{', '.join(c for c in CONTROLLERS if c in names)} by cgroup v{version}")
    return "; ".join(parts)


def _mounted(text: str) -> list[Hierarchy]:
    """Every mounted hierarchy with the controllers of ours that live in it, from /proc/self/mounts."""
    found = []
    for line in text.splitlines():
        _, target, kind, options, *_ = line.split()
        root = Path(target)
        if kind == "cgroup2":
            here = frozenset(_read(root / "cgroup.controllers").split())
            found.append(Hierarchy(2, root, here & set(CONTROLLERS)))
        elif kind == "cgroup":
            found.append(Hierarchy(1, root, frozenset(options.split(",")) & set(CONTROLLERS)))
    return found


def leave(hierarchies: Iterable[Hierarchy]) -> None:
    """Give the parent folders back where no group is in them; create() makes them again."""
    for hierarchy in hierarchies:
        with suppress(OSError):
            hierarchy.root.rmdir()


def _enable(hierarchy: Hierarchy) -> bool:
    """Make the parent folder. False where the kernel does not let us."""
    try:
        hierarchy.root.mkdir(exist_ok=True)
        if hierarchy.version == 2:
            # v2 passes a controller down only where each level says so.
            text = " ".join(f"+{controller}" for controller in sorted(hierarchy.controllers))
            for level in (hierarchy.root.parent, hierarchy.root):
                _set(level / "cgroup.subtree_control", text)
    except OSError:
        return False
    return True


def _make(hierarchy: Hierarchy, folder: Path) -> None:
    """The group's folder, with its parent if that was given back, by whomever, at any moment."""
    for _ in range(MAKE_TRIES):
        try:
            folder.mkdir(exist_ok=True)
        except FileNotFoundError:
            _enable(hierarchy)
        else:
            return
    folder.mkdir(exist_ok=True)


def _settings(hierarchy: Hierarchy, limits: Limits) -> list[tuple[str, str]]:
    quota = max(MIN_QUOTA, round(limits.cpus * PERIOD))
    v2 = hierarchy.version == 2
    files: list[tuple[str, str]] = []
    if "memory" in hierarchy.controllers:
        memory = str(limits.memory)
        swap = ("memory.swap.max", "0") if v2 else ("memory.memsw.limit_in_bytes", memory)
        files.append(("memory.max" if v2 else "memory.limit_in_bytes", memory))
        # Where the kernel does not count swap there is no such file.
        if (hierarchy.root / swap[0]).exists():
            files.append(swap)
    if "cpu" in hierarchy.controllers:
        if v2:
            files.append(("cpu.max", f"{quota} {PERIOD}"))
        else:
            files += [("cpu.cfs_period_us", str(PERIOD)), ("cpu.cfs_quota_us", str(quota))]
    if "pids" in hierarchy.controllers:
        files.append(("pids.max", str(limits.pids)))
    return files


def _set(file: Path, text: str) -> None:
    fd = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _read(file: Path) -> str:
    """ "" where the file, its group or its number is not there (any more)."""
    try:
        return file.read_text()
    except OSError:
        return ""
