"""From a task's description to the words of `docker run`, as Mesos 1.11 makes them.

The order counts: a DockerInfo parameter comes last, and where it repeats an option of Mesos' own
(`memory`, `cpu-shares`), Docker takes the later one.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Mapping

from .wire import Json

MIN_CPU_SHARES, MIN_CPU_QUOTA = 2, 1000
MIN_MEMORY = 32 << 20
CPU_PERIOD = 100_000
"""microseconds; with `--cpu-quota` only, Docker's own default"""


class OptionsError(Exception):
    """What Mesos says of a task that cannot be told to Docker."""


def run_words(
    task: Json,
    *,
    name: str,
    sandbox: str,
    mapped: str,
    variables: Mapping[str, str],
    enable_cfs: bool,
) -> list[str]:
    """What follows `docker run`. `variables`: set by the agent; they win over the task's own."""
    container, command = task["container"], task["command"]
    docker = container.get("docker")
    if docker is None:
        raise OptionsError("No docker info found in container info")
    network = _network(container, docker)
    shell = command.get("shell", True)
    words = ["--privileged"] if docker.get("privileged") else []
    words += _limits(task, enable_cfs)
    for item in _variables(task, name, mapped, variables).items():
        words += ["-e", "=".join(item)]
    for volume in _volumes(container, docker, sandbox, mapped):
        words += ["-v", volume]
    if driver := _volume_driver(container, docker):
        words.append(f"--volume-driver={driver}")
    words += ["--net", network]
    if "hostname" in container:
        if network == "host":
            raise OptionsError("Unable to set hostname with host network mode")
        words += ["--hostname", container["hostname"]]
    words += _ports(task, docker, network)
    if shell:
        words += ["--entrypoint", "/bin/sh"]
    words += ["--name", name]
    words += [f"--{each['key']}={each.get('value', '')}" for each in docker.get("parameters", [])]
    words.append(docker["image"])
    if shell:
        if "value" not in command:
            raise OptionsError("Shell specified but no command value provided")
        return [*words, "-c", command["value"]]
    value = [command["value"]] if "value" in command else []
    return [*words, *value, *command.get("arguments", [])]


def _amounts(task: Json) -> dict[str, float]:
    found: dict[str, float] = {}
    resources = [*task.get("resources", []), *task.get("executor", {}).get("resources", [])]
    for each in resources:
        if each["type"] == "SCALAR":
            found[each["name"]] = found.get(each["name"], 0.0) + each["scalar"]["value"]
    return found


def _limits(task: Json, enable_cfs: bool) -> list[str]:
    asked = _amounts(task)
    limits = {name: float(each["value"]) for name, each in task.get("limits", {}).items()}
    words: list[str] = []
    if "cpus" in asked:
        words += ["--cpu-shares", str(max(MIN_CPU_SHARES, int(1024 * asked["cpus"])))]
    quota = limits.get("cpus", asked.get("cpus", math.inf) if enable_cfs else math.inf)
    if not math.isinf(quota):
        words += ["--cpu-quota", str(max(MIN_CPU_QUOTA, int(CPU_PERIOD * quota)))]
    memory = limits.get("mem", asked.get("mem", math.inf))
    if "mem" in limits and "mem" in asked:
        words += ["--memory-reservation", str(_bytes(asked["mem"]))]
    if not math.isinf(memory):
        words += ["--memory", str(_bytes(memory))]
    return words


def _bytes(megabytes: float) -> int:
    return max(MIN_MEMORY, int(megabytes * (1 << 20)))


def _variables(task: Json, name: str, mapped: str, from_agent: Mapping[str, str]) -> dict[str, str]:
    own = task["command"].get("environment", {}).get("variables", [])
    found = {each["name"]: each.get("value", "") for each in own}
    found |= from_agent
    found |= {"MESOS_SANDBOX": mapped, "MESOS_CONTAINER_NAME": name}
    for resource in task.get("resources", []):
        found["MESOS_ALLOCATION_ROLE"] = resource.get("allocation_info", {}).get("role", "")
        break
    return found


def _volumes(container: Json, docker: Json, sandbox: str, mapped: str) -> list[str]:
    found = []
    for volume in container.get("volumes", []):
        inside = posixpath.join(mapped, volume["container_path"])
        if "host_path" in volume:
            host = volume["host_path"]
            if not host.startswith("/") and not volume["container_path"].startswith("/"):
                raise OptionsError(
                    f"Both host_path '{host}' and container_path '{volume['container_path']}' "
                    "of a volume are relative"
                )
            if "volume_driver" not in docker:
                host = posixpath.join(sandbox, host)
        elif volume.get("source", {}).get("type") == "DOCKER_VOLUME":
            host = volume["source"]["docker_volume"]["name"]
        elif "source" in volume:
            continue
        else:
            raise OptionsError("Host path or volume source is required")
        found.append(f"{host}:{inside}:{volume['mode'].lower()}")
    return [*found, f"{sandbox}:{mapped}"]


def _volume_driver(container: Json, docker: Json) -> str:
    drivers = {
        volume["source"]["docker_volume"]["driver"]
        for volume in container.get("volumes", [])
        if "driver" in volume.get("source", {}).get("docker_volume", {})
    }
    drivers |= {docker["volume_driver"]} if "volume_driver" in docker else set()
    if len(drivers) > 1:
        raise OptionsError("Only one volume driver is supported")
    return next(iter(drivers), "")


def _network(container: Json, docker: Json) -> str:
    network: str = docker.get("network", "HOST")
    if network != "USER":
        return network.lower()
    infos = container.get("network_infos", [])
    if not infos:
        raise OptionsError("No network info found in container info")
    if len(infos) > 1:
        raise OptionsError("Only a single network can be defined in Docker run")
    if "name" not in infos[0]:
        raise OptionsError("No network name found in network info")
    return str(infos[0]["name"])


def _ports(task: Json, docker: Json, network: str) -> list[str]:
    mappings = docker.get("port_mappings", [])
    if mappings and network in {"host", "none"}:
        raise OptionsError("Port mappings are only supported for bridge and user-defined networks")
    ranges = [
        each
        for resource in task.get("resources", [])
        if resource["name"] == "ports"
        for each in resource["ranges"]["range"]
    ]
    words = []
    for mapping in mappings:
        port = mapping["host_port"]
        if not any(each["begin"] <= port <= each["end"] for each in ranges):
            raise OptionsError(f"Port [{port}] not included in resources")
        protocol = f"/{mapping['protocol'].lower()}" if "protocol" in mapping else ""
        words += ["-p", f"{port}:{mapping['container_port']}{protocol}"]
    return words
