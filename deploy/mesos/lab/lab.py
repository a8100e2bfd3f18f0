"""A Mesos master and several agents on this machine, as separate processes on loopback."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from deploy.mesos.lab import build, leftovers
from deploy.mesos.lab.answers import look, master_info
from deploy.mesos.lab.daemons import Daemon
from deploy.mesos.lab.options import (
    AGENTS,
    MASTER,
    PORT,
    Options,
    agent_flags,
    master_flags,
    number_of,
)
from deploy.portal.problem import Problem, Usage
from deploy.portal.progress import Progress

UP_WITHIN = 75.0
"""seconds. An agent whose master was away for long looks for it once a minute only."""
END_WITHIN = 30.0
"""seconds that an agent has for ending its tasks before it is killed"""
VANISHED = "stderr='Error response from daemon: No such container: mesos-"
"""An agent that starts asks Docker about all containers of Mesos, and gives up when one of them
goes meanwhile. Several agents on one engine make that likely; it is started again."""
LAST_DOCKER_API = (1, 44)
"""The last one that says of images what Mesos 1.11 wants to know (`ContainerConfig`)."""


class Lab:
    """`Lab(folder, port).up()`; a second Lab of the same folder means the same processes.

    Several labs on one machine differ in folder and port (and need ports up to port + agents).
    What `kill()` ended comes back with its old state by `start()` or `up()`.
    """

    def __init__(
        self,
        folder: Path,
        port: int = PORT,
        *,
        agents: int = AGENTS,
        progress: Progress | None = None,
        **options: Any,
    ) -> None:
        """`options`: see Options."""
        self.folder = folder.absolute()
        self.options = Options(port=port, agents=agents, **options)
        self._progress = progress

    @classmethod
    def stored(cls, folder: Path, progress: Progress | None = None) -> Lab | None:
        """The lab that was last started in this folder."""
        try:
            options = json.loads((folder / "lab.json").read_text())
        except FileNotFoundError:
            return None
        return cls(folder, progress=progress, **options)

    @staticmethod
    def free_port(agents: int = AGENTS) -> int:
        """A port for a master with as many free ones after it for its agents."""
        while True:
            # Below those that Linux gives to outgoing connections.
            port = random.randrange(20000, 32000 - agents)  # noqa: S311 - not a secret
            if all(_is_free(each) for each in range(port, port + agents + 1)):
                return port

    # -- what it is --

    @property
    def port(self) -> int:
        return self.options.port

    @property
    def master(self) -> str:
        """Its address, as frameworks want it."""
        return self.options.master

    @property
    def url(self) -> str:
        return f"http://{self.master}"

    @property
    def agents(self) -> list[str]:
        return self.names[1:]

    @property
    def names(self) -> list[str]:
        return self.options.names

    def agent_address(self, name: str) -> str:
        return f"127.0.0.1:{self.port + number_of(name)}"

    @property
    def secret_file(self) -> Path | None:
        """What a framework reads its secret from; None where anybody may subscribe."""
        return self.folder / "secret" if self.options.principal else None

    def log(self, name: str) -> Path:
        return self._daemon(name).log

    def pid(self, name: str) -> int | None:
        """None when it does not run."""
        process = self._daemon(name).process
        return process.pid if process else None

    def state(self, path: str = "/state", name: str = MASTER) -> Any:
        """JSON from an endpoint of the master, or of an agent. Raises OSError when it is away."""
        address = self.master if name == MASTER else self.agent_address(name)
        return look(address, path)

    def active(self, *, since: float = 0.0) -> set[str]:
        """Names of the agents that the master counts on now; with `since` (Unix time), only those
        that have registered after it. A killed agent counts until its pings were missed."""
        try:
            rows = self.state("/slaves")["slaves"]
        except OSError:
            return set()
        ports = {
            row["port"]
            for row in rows
            if row["active"]
            and max(row["registered_time"], row.get("reregistered_time", 0.0)) >= since
        }
        return {name for name in self.agents if self.port + number_of(name) in ports}

    # -- what it does --

    def up(self) -> None:
        """Start what is not running, and wait until all agents are registered. Raises Problem."""
        self._start(self.names)

    def start(self, name: str) -> None:
        """Start one part and wait until it is there: an agent is registered if the master runs."""
        self._check(name)
        self._start([name])

    def kill(self, name: str) -> None:
        """kill -9. An agent's executors and tasks go on, as they do in life."""
        self._check(name)
        self._daemon(name).kill()

    def signal(self, name: str, which: signal.Signals) -> None:
        """For example STOP and CONT: a part that hangs."""
        if process := self._daemon(name).process:
            process.send(which)

    def kill_machine(self, name: str) -> None:
        """kill -9 an agent, its executors and tasks and remove their containers: a power cut."""
        self.kill(name)
        leftovers.end_below(self.folder / name)

    def down(self, *, hard: bool = False) -> None:
        """End everything: agents with their tasks and containers, then the master. Idempotent.

        `hard`: without giving tasks time to end by themselves.
        """
        self._end_agents(self._started_agents(), hard=hard)
        leftovers.end_below(self.folder)
        for latest in self.folder.glob("agent*/meta/slaves/latest"):
            # Nothing is left that they could take back: they start as new agents, which may have
            # other resources.
            latest.unlink()
        if hard:
            self._daemon(MASTER).kill()
        else:
            self._daemon(MASTER).end(signal.SIGTERM, 5.0)

    @contextlib.contextmanager
    def running(self) -> Iterator[Lab]:
        """Up, and down at the end."""
        try:
            self.up()
            yield self
        finally:
            self.down(hard=True)

    # -- parts --

    def _start(self, names: list[str]) -> None:
        tools = build.ensure(self._progress)
        self._check_same()
        self._prepare()
        missing = [name for name in names if self.pid(name) is None]
        self._check_ports(missing)
        surplus = self._started_agents() - set(self.agents)
        self._end_agents(surplus)
        for name in surplus:
            leftovers.end_below(self.folder / name)
        docker = leftovers.docker_api()
        since = time.time()
        for name in missing:
            self._launch(name, tools, docker)
        again = partial(self._launch, tools=tools, docker=docker)
        self._wait_for(names, {name for name in missing if name != MASTER}, since, again)

    def _launch(self, name: str, tools: build.Tools, docker: tuple[int, ...]) -> None:
        if name == MASTER:
            program, flags = "mesos-master", master_flags(self.options, self.folder)
        else:
            program = "mesos-agent"
            flags = agent_flags(
                self.options, self.folder, name, launcher_dir=tools.bin, docker=bool(docker)
            )
        variables = {}
        if docker > LAST_DOCKER_API:
            variables["DOCKER_API_VERSION"] = ".".join(map(str, LAST_DOCKER_API))
        words = [f"--{key}={value}" for key, value in flags.items()]
        self._daemon(name).start([str(tools.bin / program), *words], variables)

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # Tasks of other users stand in their sandboxes below it.
        self.folder.chmod(0o755)
        _write(self.folder / "lab.json", json.dumps(asdict(self.options), indent=2) + "\n")
        if self.options.principal:
            credential = {"principal": self.options.principal, "secret": self.options.secret}
            _write(self.folder / "credentials.json", json.dumps({"credentials": [credential]}))
            _write(self.folder / "secret", self.options.secret)

    def _started_agents(self) -> set[str]:
        """Also those that an earlier call started and this one's options don't have."""
        return {file.stem for file in self.folder.glob("agent*.pid")}

    def _end_agents(self, names: set[str], *, hard: bool = False) -> None:
        if not hard:
            for name in names:
                self.signal(name, signal.SIGCONT)
                # It ends its tasks, unregisters and goes.
                self.signal(name, signal.SIGUSR1)
        for name in names:
            daemon = self._daemon(name)
            if not hard and (process := daemon.process):
                process.wait(END_WITHIN)
            daemon.kill()

    def _wait_for(
        self, names: list[str], started: set[str], since: float, again: Callable[[str], None]
    ) -> None:
        agents = {name for name in names if name != MASTER}
        deadline = time.monotonic() + UP_WITHIN
        while True:
            if MASTER in names or self.pid(MASTER) is not None:
                missing = (agents - self.active()) | (started - self.active(since=since))
                if not missing and self._master_answers():
                    return
            else:
                # They register when it is back.
                missing = {name for name in started if not self._has_recovered(name)}
                if not missing:
                    return
            for name in names:
                if self.pid(name) is None:
                    words = self._daemon(name).last_words()
                    if VANISHED not in words:
                        raise Problem(f"{name} has ended; its log {self.log(name)} says:\n{words}")
                    again(name)
            if time.monotonic() > deadline:
                waited = ", ".join(sorted(missing)) or MASTER
                raise Problem(f"{waited} did not come up in {UP_WITHIN:.0f} s: see {self.folder}.")
            time.sleep(0.05)

    def _master_answers(self) -> bool:
        with contextlib.suppress(OSError):
            master_info(self.master)
            return True
        return False

    def _has_recovered(self, name: str) -> bool:
        with contextlib.suppress(OSError):
            self.state("/state", name)  # 503 until then
            return True
        return False

    def _check_same(self) -> None:
        """Another port means other processes: those in this folder must have ended."""
        before = Lab.stored(self.folder)
        if before is None or before.port == self.port:
            return
        if any(before.pid(name) is not None for name in before.names):
            raise Problem(
                f"The Mesos lab in {self.folder} runs on port {before.port} already: "
                "end it first (./rcluster mesos-lab down)."
            )

    def _check_ports(self, names: list[str]) -> None:
        for name in names:
            port = self.port + number_of(name)
            if not _is_free(port):
                raise Problem(
                    f"Port {port} of {name} is taken: choose another one for the lab "
                    "(./rcluster mesos-lab up --port N, or RCLUSTER_MESOS_LAB_PORT)."
                )

    def _daemon(self, name: str) -> Daemon:
        return Daemon(self.folder, name)

    def _check(self, name: str) -> None:
        if name not in self.names:
            raise Usage(f"There is no “{name}” in this lab: choose {', '.join(self.names)}.")


def _write(path: Path, text: str) -> None:
    """Secrets are among them: for the owner only."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
