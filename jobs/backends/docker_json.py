"""What the Docker engine is told and what it tells, as its JSON. No client here."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jobs.backends.base import BackendUnavailable, ContainerSpec, ContainerStatus, Life
from jobs.backends.exit_record import ExitRecord, read_record
from jobs.backends.variables import container_variables

LABEL_INSTALLATION = "rcluster.installation"
LABEL_RUN = "rcluster.run"
LABEL_ATTEMPT = "rcluster.attempt"
RUNNER = "/.rcluster-run"
ATTEMPT_DIR = "/rcluster"

NETWORK = "rcluster"
"""A bridge of ours on which containers don't reach each other: R's own cluster sockets, for one,
would let a neighbour in."""
TEMPORARY = ("/tmp", "/var/tmp", "/run")  # noqa: S108

PIDS_LIMIT = 4096
CPU_PERIOD = 100_000
LOST_EXIT = 255
"""What the engine says of a container that was gone when the engine came back."""
BELIEVED_AFTER = 10.0
"""seconds after its end that a record is believed, of a container whose start the engine forgot"""

LIVES = {
    "created": Life.CREATED,
    "running": Life.RUNNING,
    "paused": Life.RUNNING,
    "restarting": Life.RUNNING,
    "removing": Life.ENDED,
    "exited": Life.ENDED,
    "dead": Life.ENDED,
}
"""The engine's states, and ours."""


def create_body(
    spec: ContainerSpec, *, installation: str, runner: Path, proxies: Mapping[str, str]
) -> dict[str, Any]:
    """The body of the engine's "create", written out: the SDK's own builder asks more questions."""
    variables = container_variables(spec, proxies)
    return {
        "Image": spec.image,
        "Entrypoint": [RUNNER],
        "Cmd": runner_arguments(spec),
        "User": f"{spec.uid}:{spec.gid}",
        "WorkingDir": "/",
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "Labels": {
            LABEL_INSTALLATION: installation,
            LABEL_RUN: spec.run,
            LABEL_ATTEMPT: str(spec.attempt),
        },
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            # Mounts, not Binds: a missing folder is an error instead of a new one of root's.
            "Mounts": [
                _mount(runner, RUNNER, read_only=True),
                _mount(spec.attempt_dir, ATTEMPT_DIR),
                *(_mount(m.source, m.target, read_only=m.read_only) for m in spec.mounts),
            ],
            "Memory": spec.memory,
            "MemorySwap": spec.memory,
            # Not NanoCpus: that refuses more than the machine has, which the site may allow.
            "CpuPeriod": CPU_PERIOD,
            "CpuQuota": cpu_quota(spec),
            "PidsLimit": PIDS_LIMIT,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "LogConfig": {"Type": "none"},
            "NetworkMode": NETWORK,
            "Init": False,
            "ReadonlyRootfs": True,
            "Tmpfs": dict.fromkeys(TEMPORARY, temporary_options(spec)),
        },
    }


def cpu_quota(spec: ContainerSpec) -> int:
    """Microseconds of CPU in each CPU_PERIOD; the kernel takes no less than 1000."""
    return max(1000, round(spec.cpus * CPU_PERIOD))


def temporary_options(spec: ContainerSpec) -> str:
    """Temporary files count as the Run's memory; what is large belongs into its folders."""
    return f"rw,nosuid,nodev,exec,mode=1777,size={spec.memory}"


def runner_arguments(spec: ContainerSpec) -> list[str]:
    """The command line of process 1 (runner/README.md)."""
    arguments = ["--dir", ATTEMPT_DIR, "--grace", f"{spec.grace:.3f}", "--workdir", spec.workdir]
    if spec.time_limit:
        arguments += ["--time-limit", f"{spec.time_limit:.3f}"]
    if spec.log_cap:
        arguments += ["--log-cap", str(spec.log_cap)]
    if spec.has_stdin:
        arguments += ["--stdin", f"{ATTEMPT_DIR}/stdin"]
    for peak in ("/sys/fs/cgroup/memory/memory.max_usage_in_bytes", "/sys/fs/cgroup/memory.peak"):
        arguments += ["--memory-peak", peak]
    for stat in ("/sys/fs/cgroup/memory/memory.stat", "/sys/fs/cgroup/memory.stat"):
        arguments += ["--memory-stat", stat]
    for events in ("/sys/fs/cgroup/memory/memory.oom_control", "/sys/fs/cgroup/memory.events"):
        arguments += ["--oom-kills", events]
    return [*arguments, "--", *spec.command]


def _mount(source: Path, target: str, *, read_only: bool = False) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": read_only}


def read_status(handle: str, found: dict[str, Any]) -> ContainerStatus:
    """From the engine's "inspect"."""
    state = found["State"]
    life = Life.CREATED if is_half_started(state) else LIVES.get(state["Status"], Life.RUNNING)
    exit_code = state["ExitCode"] if life is Life.ENDED else None
    if exit_code == LOST_EXIT:
        record = _record(found)
        exit_code = record.exit_code if record is not None else None
    elif life is Life.CREATED and (record := _record(found)) is not None:
        return _forgotten(handle, record)
    return ContainerStatus(
        handle=handle,
        life=life,
        exit_code=exit_code,
        out_of_memory=bool(state.get("OOMKilled")),
        started_at=_time(state.get("StartedAt")),
        ended_at=_time(state.get("FinishedAt")),
        error=str(state.get("Error") or "") if life is not Life.RUNNING else "",
    )


def is_half_started(state: Mapping[str, Any]) -> bool:
    """The engine was killed in the middle of this start. It found a process when it came back, and
    says "running" for ever, whether or not that process was ever executed or has ended since."""
    return state["Status"] == "running" and _time(state.get("StartedAt", "0001-")) is None


def _forgotten(handle: str, record: ExitRecord) -> ContainerStatus:
    """Of a container of whose start the engine does not know, although its runner took the permit:
    it is just being started, or the engine was killed in the middle of that, and will never tell
    of its end. Only the record does then."""
    over = record.ended_at is not None and time.time() - record.ended_at > BELIEVED_AFTER
    return ContainerStatus(
        handle=handle,
        life=Life.ENDED if over else Life.RUNNING,
        exit_code=record.exit_code if over else None,
        out_of_memory=over and bool(record.oom_kills),
        started_at=record.started_at,
        ended_at=record.ended_at if over else None,
    )


def _record(found: dict[str, Any]) -> ExitRecord | None:
    """What the runner wrote last, which it always does before it exits, also with 255. The engine
    says 255 as well of an end that it did not see. None: nobody knows."""
    folders = [m["Source"] for m in found.get("Mounts", ()) if m.get("Destination") == ATTEMPT_DIR]
    try:
        return read_record(Path(folders[0])) if folders else None
    except OSError as error:
        raise BackendUnavailable(f"The storage does not answer: {error.strerror}.") from error


def _time(text: str | None) -> float | None:
    """The engine's times have nanoseconds; year 1 stands for "not yet"."""
    if not text or text.startswith("0001-"):
        return None
    whole, _, rest = text.partition(".")
    return datetime.fromisoformat(whole.removesuffix("Z") + "+00:00").timestamp() + (
        float(f"0.{rest.rstrip('Z')}") if rest.rstrip("Z").isdigit() else 0.0
    )
