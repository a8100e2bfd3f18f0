"""Runs one task in a Docker container: stands in for Mesos' own Docker executor.

Like that one it calls the `docker` command, whose output (the container's, and Docker's own word
when it cannot start it) goes to the sandbox' `stdout` and `stderr`; it sends TASK_RUNNING before
any terminal update once the container has started, kills by `docker stop` with the grace period,
and leaves removing the container to the agent (`docker_remove_delay`). Not there: health checks,
`default_container_dns`.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from .docker_options import OptionsError, run_words
from .executor import Executor, base64, log
from .wire import Json

INSPECT_EVERY = 0.1
"""seconds; Mesos has 0.5"""
INSPECT_WITHIN = 5.0
"""seconds that a kill or an end waits for word that the container had started"""


class DockerExecutor(Executor):
    noun = "Container"

    def __init__(self, flags: Mapping[str, str], variables: Mapping[str, str]) -> None:
        super().__init__(variables)
        self._flags = flags
        self._name = flags["container"]
        docker_socket = flags.get("docker_socket", "/var/run/docker.sock")
        self._docker = [flags.get("docker", "docker"), "-H", f"unix://{docker_socket}"]
        self._started = False
        self._wanted: float | None = None
        """A kill with this grace period waits until the container has been seen."""
        self._stopping: subprocess.Popen[bytes] | None = None
        self._listener: socket.socket | None = None

    def subscribed(self) -> None:
        """After a restart of the agent its containerizer takes back only executors whose
        libprocess address it has written down and that accept connections there. Mesos' own has
        such an address; for this one it is made up."""
        if not self.checkpoint or self._listener is not None:
            return
        self._listener = socket.create_server(("127.0.0.1", 0))
        work, _, run = self._flags["sandbox_directory"].rpartition("/slaves/")
        path = Path(f"{work}/meta/slaves/{run}/pids/libprocess.pid")
        fresh = path.with_name("libprocess.pid.new")
        host, port = self._listener.getsockname()
        fresh.write_text(f"executor(1)@{host}:{port}")
        fresh.replace(path)

    def launch(self) -> None:
        try:
            words = run_words(
                self.task,
                name=self._name,
                sandbox=self._flags["sandbox_directory"],
                mapped=self._flags["mapped_directory"],
                variables=json.loads(self._flags.get("task_environment", "{}")),
                enable_cfs=self._flags.get("cgroups_enable_cfs") == "true",
            )
        except OptionsError as error:
            self.update("TASK_FAILED", f"Failed to create docker run options: {error}")
            return
        self.spawn([*self._docker, "run", *words], self.variables)
        self._look()

    def _look(self) -> None:
        """TASK_RUNNING once the container has been started."""
        if self._started or self.ended:
            return
        if self._inspect():
            if self._wanted is not None:
                self._stop_now(self._wanted)
        elif self.child is not None:
            self.after(INSPECT_EVERY, self._look)

    def _inspect(self) -> bool:
        """Has it been started? Tells the agent, the first time."""
        try:
            got = subprocess.run(
                [*self._docker, "inspect", "--type=container", self._name],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=INSPECT_WITHIN,
                check=False,
            )
        except subprocess.TimeoutExpired:
            log("Docker does not say whether the container was started")
            return False
        info = json.loads(got.stdout)[0] if got.returncode == 0 else None
        if info is None or info["State"]["StartedAt"].startswith("0001"):
            return False
        self._started = True
        if not self.killed:
            addresses = self._network_info(info["NetworkSettings"])
            more: Json = {"container_status": {"network_infos": [addresses]}} if addresses else {}
            self.update("TASK_RUNNING", data=base64(got.stdout), **more)
        return True

    def _network_info(self, settings: Json) -> Json:
        networks = settings.get("Networks", {}).values()
        address = settings.get("IPAddress") or next(
            (each["IPAddress"] for each in networks if each.get("IPAddress")), None
        )
        if not address:
            return {}
        given: list[Json] = self.task["container"].get("network_infos") or [{}]
        return given[0] | {"ip_addresses": [{"ip_address": address}]}

    def exited(self, code: int) -> None:
        # A container may end before it was seen; and `docker run` fails with 125 to 127 when it
        # could not start one.
        deadline = time.monotonic() + INSPECT_WITHIN
        while not self._started and not self._inspect() and code not in (125, 126, 127):
            if time.monotonic() > deadline:
                break
            time.sleep(INSPECT_EVERY)
        if self._stopping is not None:
            self._stopping.kill()
        super().exited(code)

    def stop(self, grace: float) -> None:
        """Not before Docker knows the container: it would refuse, and start it afterwards."""
        if self._started:
            self._stop_now(grace)
            return
        if self._wanted is None:
            self.after(INSPECT_WITHIN, self._stop_unseen)
        self._wanted = grace

    def _stop_unseen(self) -> None:
        if not self._started and self._wanted is not None and self.child is not None:
            self._stop_now(self._wanted)

    def _stop_now(self, grace: float) -> None:
        if self._stopping is not None:
            self._stopping.kill()
            self._stopping.wait()
        self._stopping = subprocess.Popen(
            [*self._docker, "stop", "-t", str(max(0, int(grace))), self._name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )

    def die(self) -> NoReturn:
        if self.child is not None:
            with suppress(OSError):
                subprocess.Popen(
                    [*self._docker, "kill", self._name],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )
        sys.exit(1)


def main() -> NoReturn:
    flags = dict(word[2:].partition("=")[::2] for word in sys.argv[1:] if word.startswith("--"))
    DockerExecutor(flags, os.environ).run()
