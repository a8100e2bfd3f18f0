"""A PostgreSQL of the suite's own that can be restarted the hard way.

Not temporary_postgresql(): that one trades acknowledged commits for speed (synchronous_commit
off), and here a commit that was acknowledged must survive.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deploy.portal import database

SETTINGS = ("listen_addresses=''", "fsync=off", "max_connections=80")
"""fsync guards against a crash of the machine, which nothing here causes."""


class Server:
    def __init__(self, folder: Path) -> None:
        self._programs = database._programs()
        self._account = database._account()
        self._data, self._sockets, self._word = folder / "data", folder / "s", folder / "word"
        password = secrets.token_urlsafe(24)
        folder.mkdir()
        self._sockets.mkdir()
        self._word.write_text(password)
        self._word.chmod(0o600)
        if self._account:
            for path in (folder, self._sockets, self._word):
                os.chown(path, self._account["user"], self._account["group"])
        folder.chmod(0o755)
        self.url = f"postgresql://rcluster:{password}@{quote(str(self._sockets), safe='')}/postgres"
        self._log = folder / "log"

    def start(self) -> None:
        self._run(
            *("initdb", "--pgdata", self._data, "--encoding", "UTF8", "--locale", "C.UTF-8"),
            *("--username", "rcluster", "--auth", "scram-sha-256", "--pwfile", self._word),
            "--no-sync",
        )
        options = " ".join(
            f"-c {setting}" for setting in (*SETTINGS, f"unix_socket_directories={self._sockets}")
        )
        self._control("--log", self._log, "--options", options, "start")

    def stop_now(self) -> None:
        """Every server process is killed where it stands; nothing is written any more."""
        self._control("--mode", "immediate", "stop")

    def restart_now(self) -> None:
        self._control("--log", self._log, "--mode", "immediate", "restart")

    @property
    def pid(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def _control(self, *words: Any) -> None:
        self._run("pg_ctl", "--pgdata", self._data, "--wait", *words)

    def _run(self, program: str, *words: Any) -> None:
        database._run([self._programs / program, *words], self._account)
