"""What this machine can do for the `local` backend: its sandbox, its limits, its size."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

from jobs.backends import cgroups
from jobs.backends.base import Capabilities, Health, Offer, memory_to_offer

_HEALTH_KEPT = 30.0


class LocalMachine:
    """It depends on who we are, and on what is installed."""

    def __init__(
        self,
        *,
        runner_dir: Path,
        installation: str,
        cpus: float | None,
        memory: int | None,
        set_aside: int,
        name: str | None,
    ) -> None:
        self.name = name or platform.node()
        self.root = os.geteuid() == 0
        self.hierarchies = cgroups.find(f"rcluster-{installation}")
        """of cgroups that we may make; none: memory is limited for each process"""
        self.slirp = _slirp() if self.root else None
        """the program that gives scripts a network"""
        self._runner_dir = runner_dir
        self._cpus = cpus
        self._memory = memory
        self._set_aside = set_aside
        self._health: tuple[float, Health] | None = None
        self.capabilities = Capabilities(
            images=False,
            memory="cgroup" if self.hierarchies else "process",
            network="full" if self.slirp else "none",
            notes=self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        if self.hierarchies:
            notes = [
                f"The kernel keeps a Run to its limits ({cgroups.describe(self.hierarchies)})."
            ]
        else:
            why = "no cgroup can be made here" if self.root else "not started as root"
            notes = [f"Memory is limited for each process, not for a Run as a whole: {why}."]
        if not self.root:
            notes.append("Scripts have no network: only root can give them one (slirp4netns).")
        elif not self.slirp:
            notes.append("Scripts have no network: apt-get install slirp4netns gives them one.")
        return tuple(notes)

    def health(self) -> Health:
        if self._health is None or time.monotonic() - self._health[0] > _HEALTH_KEPT:
            self._health = (time.monotonic(), self._examine())
        return self._health[1]

    def _examine(self) -> Health:
        needed = ["rcluster-run", "rcluster-enter"] if self.root else ["rcluster-run"]
        for name in needed:
            if not os.access(self._runner_dir / name, os.X_OK):
                return Health(
                    ok=False, sentence=f"{self._runner_dir / name} is missing: make -C runner"
                )
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            return Health(ok=False, sentence="bubblewrap is missing: apt-get install bubblewrap")
        trial = [bwrap, "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "true"]
        nobody = {"user": 65534, "group": 65534, "extra_groups": []} if self.root else {}
        try:
            done = subprocess.run(trial, capture_output=True, timeout=5, cwd="/", **nobody)  # type: ignore[call-overload]
        except subprocess.TimeoutExpired:
            return Health(ok=False, sentence="bubblewrap does not answer.")
        if done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip()
            return Health(ok=False, sentence=f"bubblewrap can't make a sandbox here: {said}")
        version = subprocess.run([bwrap, "--version"], capture_output=True, timeout=5).stdout
        return Health(
            ok=True,
            sentence="Scripts run on this machine in bubblewrap.",
            version=version.decode().strip().removeprefix("bubblewrap "),
            notes=self.capabilities.notes,
        )

    def offers(self) -> list[Offer]:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return [
            Offer(
                machine=self.name,
                cpus=self._cpus if self._cpus else float(len(os.sched_getaffinity(0))),
                memory=self._memory or memory_to_offer(memory, self._set_aside),
            )
        ]


def _slirp() -> str | None:
    return shutil.which("slirp4netns") if Path("/dev/net/tun").exists() else None
