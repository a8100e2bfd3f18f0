"""A PostgreSQL of our own for tests: in a temporary folder, on a Unix socket, gone afterwards."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from deploy.portal.place import ROOT_PATH
from deploy.portal.problem import Problem

SETTINGS = (
    "listen_addresses=''",
    # The data is thrown away: no need to wait for the disk.
    *("fsync=off", "synchronous_commit=off", "full_page_writes=off"),
    "max_connections=60",
)


@contextmanager
def temporary_postgresql() -> Iterator[str]:
    """Yields its address for RCLUSTER_DATABASE_URL. The socket's folder can be entered by every
    user (the portal's ordinary user needs it); a generated password guards it."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="rc-pg-"))
    # initdb refuses root: the account that Debian's package made, or our own.
    account = _account()
    try:
        sockets, data, word = folder / "s", folder / "data", folder / "password"
        password = secrets.token_urlsafe(24)
        sockets.mkdir()
        word.write_text(password)
        word.chmod(0o600)
        if account:
            for path in (folder, sockets, word):
                os.chown(path, account["user"], account["group"])
        folder.chmod(0o755)
        _run(
            [
                *(
                    programs / "initdb",
                    "--pgdata",
                    data,
                    "--encoding",
                    "UTF8",
                    "--locale",
                    "C.UTF-8",
                ),
                *("--username", "rcluster", "--auth", "scram-sha-256", "--pwfile", word),
                "--no-sync",
            ],
            account,
        )
        options = " ".join(
            f"-c {setting}" for setting in (*SETTINGS, f"unix_socket_directories={sockets}")
        )
        start = [programs / "pg_ctl", "--pgdata", data, "--log", folder / "log", "--wait"]
        _run([*start, "--options", options, "start"], account)
        try:
            yield f"postgresql://rcluster:{password}@{quote(str(sockets), safe='')}/postgres"
        finally:
            _run([*start, "--mode", "immediate", "stop"], account)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    """Where initdb and pg_ctl are; Debian keeps them out of PATH. The newest version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb", path=f"{os.environ.get('PATH', '')}:{ROOT_PATH}")
    if elsewhere is None:
        raise Problem("PostgreSQL's initdb is missing: apt-get install postgresql")
    return Path(elsewhere).parent


def _version(initdb: Path) -> float:
    try:
        return float(initdb.parent.parent.name)
    except ValueError:
        return 0.0


def _account() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    try:
        entry = pwd.getpwnam("postgres")
    except KeyError:
        raise Problem("There is no user postgres: apt-get install postgresql") from None
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _run(words: list[Any], account: dict[str, Any]) -> None:
    """With files instead of pipes: the server would hold a pipe open for ever."""
    with tempfile.TemporaryFile() as output:
        status = subprocess.run(
            [str(word) for word in words],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
            env={"PATH": ROOT_PATH, "LC_ALL": "C.UTF-8"},
            **account,
        ).returncode
        if status != 0:
            output.seek(0)
            raise Problem(f"{words[0]} failed: {output.read()[-1500:].decode(errors='replace')}")
