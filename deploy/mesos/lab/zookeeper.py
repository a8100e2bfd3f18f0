"""Debian's ZooKeeper on loopback, and in it the record that a leading Mesos master writes.

The lab's master takes no part in elections, so the record is written for it: by the same means
(an ephemeral, numbered node, gone with the session that made it) and with the same content (the
master's own account of itself) as by a master that was started with `--zk`.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from kazoo.client import KazooClient

from deploy.mesos.lab.answers import master_info
from deploy.mesos.lab.daemons import Daemon
from deploy.portal.problem import Problem

JAR = Path("/usr/share/java/zookeeper.jar")
"""of the package libzookeeper-java; names the jars that it needs"""
MAIN = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
LABEL = "json.info_"
UP_WITHIN = 30.0
PATIENCE = 10.0
"""seconds"""

CONFIGURATION = """\
tickTime=500
dataDir={folder}/zookeeper
clientPortAddress=127.0.0.1
clientPort={port}
admin.enableServer=false
4lw.commands.whitelist=srvr
"""


class ZooKeeper:
    """One server with a data folder of its own. What it was told outlives its restart."""

    def __init__(self, folder: Path, port: int = 2181) -> None:
        self.folder = folder.absolute()
        self.port = port
        self._daemon = Daemon(self.folder, "zookeeper")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str = "/mesos") -> str:
        """What frameworks and agents are given as the master."""
        return f"zk://{self.address}{path}"

    @property
    def pid(self) -> int | None:
        process = self._daemon.process
        return process.pid if process else None

    def start(self) -> None:
        """Idempotent; returns when it answers. Raises Problem."""
        if not JAR.exists():
            raise Problem(
                "ZooKeeper is missing:\n    apt-get install libzookeeper-java default-jre-headless"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "zookeeper.cfg"
        settings.write_text(CONFIGURATION.format(folder=self.folder, port=self.port))
        heap = ["-Xmx128m", "-XX:+UseSerialGC", "-Dzookeeper.jmx.log4j.disable=true"]
        self._daemon.start(["java", *heap, "-cp", str(JAR), MAIN, str(settings)])
        deadline = time.monotonic() + UP_WITHIN
        while not self._answers():
            if self.pid is None or time.monotonic() > deadline:
                raise Problem(f"ZooKeeper does not come up:\n{self._daemon.last_words()}")
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9"""
        self._daemon.kill()

    def stop(self) -> None:
        self._daemon.end(signal.SIGTERM, PATIENCE)

    @contextlib.contextmanager
    def running(self) -> Iterator[ZooKeeper]:
        try:
            self.start()
            yield self
        finally:
            self.stop()

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as asking:
                # Not `ruok`: that is answered before sessions are.
                asking.sendall(b"srvr")
                return asking.recv(64).startswith(b"Zookeeper version")
        except OSError:
            return False


class Leader:
    """A master's record in ZooKeeper, for as long as the session lasts that holds it."""

    def __init__(self, client: KazooClient, path: str) -> None:
        self._client = client
        self.path = path

    def resign(self) -> None:
        """The record goes: as when the master has ended."""
        self._client.stop()
        self._client.close()


def publish_in_zookeeper(url: str, master: str) -> Leader:
    """Write the record of the master at `host:port` as the leader's, below a zk:// URL.

    Its number is the next one: it leads only when no record with a lower number is left.
    """
    hosts, _, path = url.removeprefix("zk://").partition("/")
    info = master_info(master)
    client = KazooClient(hosts=hosts, timeout=PATIENCE)
    client.start(timeout=PATIENCE)
    client.ensure_path(f"/{path}")
    content = json.dumps(info, separators=(",", ":")).encode()
    made = client.create(f"/{path}/{LABEL}", content, ephemeral=True, sequence=True)
    return Leader(client, made)
