"""What a lab is made of, and what its master and agents are told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MASTER = "master"
PORT = 5050
AGENTS = 3


@dataclass(frozen=True)
class Options:
    """Kept in the lab's folder, so that every later call means the same lab."""

    port: int = PORT
    """of the master; agent N listens on the Nth after it"""
    agents: int = AGENTS
    cpus: float = 4.0
    """of each agent. All agents share this machine, so the sums may exceed what it has."""
    mem: int = 4096
    """MB of each agent"""
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For example {"agent1": {"disk": "ssd"}}"""
    master_flags: Mapping[str, str] = field(default_factory=dict)
    """Without dashes: {"agent_ping_timeout": "1secs"}"""
    agent_flags: Mapping[str, str] = field(default_factory=dict)
    """Of every agent; %n in a value is the agent's number."""
    principal: str = ""
    secret: str = ""
    """Not empty: only frameworks that give both may subscribe."""

    @property
    def names(self) -> list[str]:
        return [MASTER, *(f"agent{number}" for number in range(1, self.agents + 1))]

    @property
    def master(self) -> str:
        return f"127.0.0.1:{self.port}"


def number_of(name: str) -> int:
    """0 is the master."""
    return 0 if name == MASTER else int(name.removeprefix("agent"))


def master_flags(options: Options, folder: Path) -> dict[str, str]:
    flags = {
        "ip": "127.0.0.1",
        "port": str(options.port),
        "hostname": "localhost",
        "work_dir": str(folder / MASTER),
        "allocation_interval": "200ms",
        # Nobody tells these agents of a new master (no ZooKeeper): they look for it when its
        # pings stop, hence soon.
        "agent_ping_timeout": "1secs",
        "max_agent_ping_timeouts": "5",
    }
    if options.principal:
        flags |= {
            "credentials": str(folder / "credentials.json"),
            "authenticate_http_frameworks": "true",
            "http_framework_authenticators": "basic",
        }
    return flags | dict(options.master_flags)


def agent_flags(
    options: Options, folder: Path, name: str, *, launcher_dir: Path, docker: bool
) -> dict[str, str]:
    number, work = number_of(name), folder / name
    ports = f"[{31000 + 100 * number}-{31099 + 100 * number}]"
    flags = {
        "master": options.master,
        "ip": "127.0.0.1",
        "port": str(options.port + number),
        "hostname": name,
        "work_dir": str(work),
        "runtime_dir": str(work / "run"),
        "fetcher_cache_dir": str(work / "fetch"),
        "launcher_dir": str(launcher_dir),
        # Fixed: an agent whose resources changed refuses to come back.
        "resources": f"cpus:{options.cpus:g};mem:{options.mem};disk:10240;ports:{ports}",
        "containerizers": "docker,mesos" if docker else "mesos",
        # Agents of one machine must not take each other's containers for orphans, nor share
        # cgroups.
        "docker_kill_orphans": "false",
        "launcher": "posix",
        "isolation": "posix/cpu,posix/mem",
        "systemd_enable_support": "false",
        "docker_remove_delay": "5secs",
        # Above the longest pull, as docs/admin/mesos.md asks for.
        "executor_registration_timeout": "1hrs",
        "executor_reregistration_timeout": "1secs",
        "registration_backoff_factor": "100ms",
        "switch_user": "true" if os.geteuid() == 0 else "false",
    }
    if attributes := options.attributes.get(name):
        flags["attributes"] = ";".join(f"{key}:{value}" for key, value in attributes.items())
    given = {key: value.replace("%n", str(number)) for key, value in options.agent_flags.items()}
    return flags | given
