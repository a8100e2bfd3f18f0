"""From a ContainerSpec to Mesos' TaskInfo for the Docker containerizer. Pure: JSON of the v1 API.

The agent's Docker executor turns it into one `docker run`: its own flags first, then `parameters`
as `--key=value`, the image, the arguments, each a word of its own with no shell between
(apache/mesos src/docker/docker.cpp, RunOptions::create and run). What follows from that:

- Of a flag with one value Docker's client takes the last, so our --memory, --cpu-quota and the
  rest overrule what the executor works out. A flag that adds up must not be said twice: --name,
  --net and -e stay the executor's, and so does -v, which mounts the agent's sandbox.
- Bind mounts go by --mount and not as Mesos volumes (-v): those make a missing folder, as root.
- There is nobody to ask afterwards: what Docker refuses here is refused on the machine, after the
  offer is spent. What can be known to be refused raises LaunchFailed now.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.backends.base import ContainerSpec, LaunchFailed
from jobs.backends.docker_json import (
    ATTEMPT_DIR,
    CPU_PERIOD,
    LABEL_ATTEMPT,
    LABEL_INSTALLATION,
    LABEL_RUN,
    PIDS_LIMIT,
    RUNNER,
    TEMPORARY,
    cpu_quota,
    runner_arguments,
    temporary_options,
)
from jobs.backends.variables import container_variables

GRACE_MARGIN = 15.0
"""seconds: after its own TERM, grace and KILL the runner drains the output and writes its record;
Docker's KILL of everything, which leaves no word of the end, must come later than all of that"""

MEGABYTE = 1024**2
"""what Mesos calls one"""


def task_info(
    spec: ContainerSpec,
    *,
    agent_id: str,
    installation: str,
    runner: Path,
    proxies: Mapping[str, str],
    role: str,
    network: str = "",
    resources: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """`network`: a Docker network that every machine has; "" is Docker's own bridge.

    `resources`: those to use, as drawn from an offer; None: `plain_resources()`.
    Raises LaunchFailed where no machine could start it.
    """
    _plain("image", spec.image)
    docker: dict[str, Any] = {
        "image": spec.image,
        "network": "USER" if network else "BRIDGE",
        "privileged": False,
        "force_pull_image": False,
        "parameters": [
            {"key": key, "value": value} for key, value in _parameters(spec, installation, runner)
        ],
    }
    container: dict[str, Any] = {"type": "DOCKER", "docker": docker}
    if network:
        container["network_infos"] = [{"name": network}]
    return {
        "name": spec.handle,
        "task_id": {"value": spec.handle},
        "agent_id": {"value": agent_id},
        "resources": list(plain_resources(spec, role) if resources is None else resources),
        "container": container,
        "command": {
            "shell": False,
            "arguments": [_words(each) for each in runner_arguments(spec)],
            "environment": {
                "variables": [
                    {"name": name, "type": "VALUE", "value": _words(value)}
                    for name, value in container_variables(spec, proxies).items()
                ]
            },
        },
        "kill_policy": {"grace_period": {"nanoseconds": round((spec.grace + GRACE_MARGIN) * 1e9)}},
        "labels": {
            "labels": [
                {"key": key, "value": value} for key, value in _labels(spec, installation).items()
            ]
        },
    }


def needed_cpus(spec: ContainerSpec) -> float:
    """In Mesos' own steps of a thousandth, never less than asked for."""
    return _thousandths(spec.cpus)


def needed_memory(spec: ContainerSpec) -> float:
    """Megabytes in steps of a thousandth, never less than asked for, and no more than an offer of
    exactly as many bytes has. The limit itself is set to the byte, by --memory."""
    return _thousandths(spec.memory / MEGABYTE)


def plain_resources(spec: ContainerSpec, role: str) -> list[dict[str, Any]]:
    """Of the role's share, with no reservation."""
    amounts = {"cpus": needed_cpus(spec), "mem": needed_memory(spec)}
    return [scalar(name, value, role) for name, value in amounts.items()]


def scalar(
    name: str, value: float, role: str, reservations: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """One resource of a task; `reservations` must be those of the resource in the offer."""
    found: dict[str, Any] = {
        "name": name,
        "type": "SCALAR",
        "scalar": {"value": value},
        "allocation_info": {"role": role},
    }
    if reservations:
        found["reservations"] = list(reservations)
    return found


def _thousandths(amount: float) -> float:
    # First to the millionth: 0.1 + 0.2 is 0.3, not a thousandth more.
    return math.ceil(round(amount * 1000, 3)) / 1000


def _labels(spec: ContainerSpec, installation: str) -> dict[str, str]:
    return {
        LABEL_INSTALLATION: installation,
        LABEL_RUN: spec.run,
        LABEL_ATTEMPT: str(spec.attempt),
    }


def _parameters(spec: ContainerSpec, installation: str, runner: Path) -> Iterable[tuple[str, str]]:
    """docker_json.create_body() once more, as options of Docker's client."""
    yield "entrypoint", RUNNER
    yield "user", f"{spec.uid}:{spec.gid}"
    yield "workdir", "/"
    for key, value in _labels(spec, installation).items():
        yield "label", f"{key}={value}"
    yield "no-healthcheck", "true"
    # An image may name another; INT or QUIT would not be what `stop()` promises.
    yield "stop-signal", "SIGTERM"
    yield "mount", _mount(runner, RUNNER, read_only=True)
    yield "mount", _mount(spec.attempt_dir, ATTEMPT_DIR)
    for each in spec.mounts:
        yield "mount", _mount(each.source, each.target, read_only=each.read_only)
    yield "memory", str(spec.memory)
    yield "memory-swap", str(spec.memory)
    yield "cpu-period", str(CPU_PERIOD)
    yield "cpu-quota", str(cpu_quota(spec))
    yield "pids-limit", str(PIDS_LIMIT)
    yield "cap-drop", "ALL"
    yield "security-opt", "no-new-privileges"
    yield "log-driver", "none"
    yield "init", "false"
    yield "read-only", "true"
    for folder in TEMPORARY:
        yield "tmpfs", f"{folder}:{temporary_options(spec)}"


def _mount(source: Path, target: str, *, read_only: bool = False) -> str:
    """Docker's client reads it as one line of CSV."""
    fields = ["type=bind", f"source={source}", f"target={target}"]
    return ",".join(map(_field, fields + ["readonly"] * read_only))


def _field(text: str) -> str:
    _plain("mount", text)
    if "," in text or '"' in text:
        doubled = text.replace('"', '""')
        return f'"{doubled}"'
    return text


def _plain(what: str, text: str) -> None:
    """Refuses what CSV or a command line would read as something else."""
    if not text or text.startswith("-") or any(each < " " or each == "\x7f" for each in text):
        raise LaunchFailed(f"The {what} {text!r} can't be handed to Docker on another machine.")


def _words(text: str) -> str:
    """An argument or a variable may hold anything that a command line can, new lines included."""
    if "\0" in text or any("\ud800" <= each <= "\udfff" for each in text):
        raise LaunchFailed(f"{text[:60]!r} can't be handed to a program on another machine.")
    return text
