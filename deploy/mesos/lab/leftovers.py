"""Executors, tasks and containers that no agent is left to end."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from deploy.mesos.lab.daemons import Process
from deploy.portal.place import ROOT_PATH


def end_below(folder: Path) -> None:
    """All that agents started whose work is below `folder`: kill -9, containers removed."""
    # Containers first: an executor whose container goes ends by itself.
    names = [
        name
        for name in _docker("ps", "--all", "--filter=name=mesos-", "--format={{.Names}}")
        if _was_started_below(folder, name.removeprefix("mesos-"))
    ]
    if names:
        _docker("rm", "--force", "--volumes", *names)
    for process in list(_processes_below(folder)):
        process.kill()


def docker_api() -> tuple[int, ...]:
    """The newest version of its API that the Docker engine speaks; () where there is none."""
    said = _docker("version", "--format={{.Server.APIVersion}}")
    return tuple(map(int, said[0].split("."))) if said else ()


def _processes_below(folder: Path) -> Iterator[Process]:
    """Executors, tasks, and what those started: all of them were told their sandbox."""
    mark = f"MESOS_DIRECTORY={folder}/".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # gone meanwhile, or another user's
        if any(each.startswith(mark) for each in variables):
            process = Process.of(int(entry.name))
            if process is not None:
                yield process


def _was_started_below(folder: Path, container: str) -> bool:
    """Did an agent with its work below `folder` start the container of this id?"""
    if not re.fullmatch(r"[0-9a-f-]{36}", container):
        return False
    pattern = f"slaves/*/frameworks/*/executors/*/runs/{container}"
    folders = [folder, *folder.glob("agent*")]
    return any(next(each.glob(pattern), None) is not None for each in folders)


def _docker(*words: str) -> list[str]:
    """The lines that the docker command prints; none where there is no engine."""
    try:
        done = subprocess.run(
            ["docker", *words],
            env={**os.environ, "PATH": ROOT_PATH},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split() if done.returncode == 0 else []
