"""Three machines and a real NFS server, on one: User-Mode Linux guests in a network of their own.

Each guest has its own kernel and so its own NFS caches; tests/nfs/README.md says more.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.nfs.guest.agent import PORT
from tests.waiting import until

REPOSITORY = Path(__file__).resolve().parents[2]
SERVER, WRITER, READER = "server", "writer", "reader"
_ADDRESSES = {SERVER: "10.99.0.1", WRITER: "10.99.0.2", READER: "10.99.0.3"}
STORAGE = "/mnt/storage"
LEASE = 10
"""seconds of the server's NFSv4 lease; after a crash it lets nobody open a file for as long"""
MEMORY = 512
"""MiB of a guest"""
GUEST_FILES = "/mnt/clone/tests/nfs/guest"
RUNNER = "/mnt/clone/runner/build/rcluster-run"
PYTHON = "/mnt/venv/bin/python"
AS_USER = ("setpriv", "--reuid=rcluster", "--regid=rcluster", "--init-groups")
"""The account, of one uid on all machines, that owns the storage and runs everything."""
_CLONE_NEWNET = 0x40000000


class GuestError(Exception):
    """A command in a guest failed."""


@dataclass(frozen=True)
class Ended:
    """What a command in a guest left."""

    status: int
    output: str
    errors: str


class Conversation:
    """A program in a guest that answers JSON lines with JSON lines, and bytes where it says so."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._file = connection.makefile("rwb")

    def ask(self, **request: Any) -> dict[str, Any]:
        self.tell(**request)
        return self.answer()

    def tell(self, **request: Any) -> None:
        self._file.write(json.dumps(request).encode() + b"\n")
        self._file.flush()

    def answer(self) -> dict[str, Any]:
        line = self._file.readline()
        if not line:
            raise GuestError("The program in the guest has ended: see its console.")
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer

    def take(self, size: int) -> bytes:
        data = self._file.read(size)
        assert len(data) == size
        return data

    def close(self) -> None:
        self._file.close()
        self._connection.close()


class Guest:
    """One of the machines, as seen from here."""

    def __init__(self, name: str, connect: Callable[[str], socket.socket]) -> None:
        self.name = name
        self._connect = connect

    def try_run(self, *command: str, timeout: float = 60) -> Ended:
        with self._connect(_ADDRESSES[self.name]) as connection:
            connection.settimeout(timeout + 10)
            request = {"run": command, "timeout": timeout}
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as file:
                answer = json.loads(file.readline() or b"{}")
        if not answer:
            raise GuestError(f"{self.name} went away.")
        return Ended(**answer)

    def run(self, *command: str, timeout: float = 60) -> str:
        """Its standard output. Raises GuestError if it fails."""
        ended = self.try_run(*command, timeout=timeout)
        if ended.status:
            raise GuestError(f"{self.name}: {' '.join(command)}: {ended.status}\n{ended.errors}")
        return ended.output

    def shell(self, script: str, timeout: float = 60) -> str:
        return self.run("sh", "-euc", script, timeout=timeout)

    @contextlib.contextmanager
    def talk(self, *command: str, timeout: float = 120) -> Iterator[Conversation]:
        connection = self._connect(_ADDRESSES[self.name])
        connection.settimeout(timeout)
        connection.sendall(json.dumps({"talk": command}).encode() + b"\n")
        conversation = Conversation(connection)
        try:
            yield conversation
        finally:
            conversation.close()

    def clock(self) -> int:
        """This guest's monotonic clock minus the host's, in ns, by the quickest of 30 questions."""
        best = (1 << 62, 0)
        with self._connect(_ADDRESSES[self.name]) as connection, connection.makefile("rb") as file:
            for _ in range(30):
                before = time.monotonic_ns()
                connection.sendall(b"clock\n")
                there = int(file.readline())
                after = time.monotonic_ns()
                best = min(best, (after - before, there - (before + after) // 2))
        return best[1]

    def answers(self) -> bool:
        try:
            return self.try_run("true", timeout=5).status == 0
        except (OSError, GuestError):
            return False

    def mount(self, options: str = "") -> None:
        """Mount the storage anew, as an administrator is told to: hard."""
        self.shell(
            f"if mountpoint -q {STORAGE}; then umount {STORAGE}; fi;"
            f"mount -t nfs4 -o hard{options} {_ADDRESSES[SERVER]}:/ {STORAGE}"
        )

    def requests(self) -> int:
        """How many requests this guest has made to the file server so far."""
        for line in self.run("cat", "/proc/net/rpc/nfs").splitlines():
            if line.startswith("rpc "):
                return int(line.split()[1])
        raise GuestError(f"{self.name} counts no requests.")


class Lab:
    """The guests and their network: a context manager. Root only."""

    def __init__(self, work: Path) -> None:
        """`work` gets the server's disk and the guests' consoles."""
        self.work = work
        self._namespace = f"rcluster-nfs-{os.getpid()}"
        self._started: dict[str, subprocess.Popen[bytes]] = {}
        self._thread: ThreadPoolExecutor | None = None
        self.server, self.writer, self.reader = (
            Guest(name, self._connect) for name in (SERVER, WRITER, READER)
        )

    def __enter__(self) -> Lab:
        with contextlib.ExitStack() as undo:
            undo.callback(self._down)
            self._up()
            undo.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._down()

    def start(self, guest: Guest) -> None:
        """Start it and wait until it answers."""
        self._launch(guest)
        self._wait_for(guest)

    def kill(self, guest: Guest) -> None:
        """As if its power had failed."""
        process = self._started.pop(guest.name)
        # A session of its own: the kernel and its helpers, and nobody else.
        with contextlib.suppress(ProcessLookupError):
            while True:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                time.sleep(0.05)

    def console(self, guest: Guest) -> str:
        return (self.work / f"{guest.name}.console").read_text(errors="replace")

    def _up(self) -> None:
        made = subprocess.run(
            [REPOSITORY / "tests" / "nfs" / "make_guests.sh"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        self._tree = made.stdout.strip()
        disk = self.work / "server.disk"
        with disk.open("wb") as file:
            file.truncate(1 << 30)
        subprocess.run(["mkfs.ext4", "-q", disk], check=True)
        subprocess.run(["ip", "netns", "add", self._namespace], check=True)
        self._thread = ThreadPoolExecutor(1, initializer=self._enter_network)
        taps = [f"tap-{name}" for name in _ADDRESSES]
        for words in (
            "link set lo up",
            "link add bridge type bridge",
            "address add 10.99.0.254/24 dev bridge",
            "link set bridge up",
            *(f"tuntap add {tap} mode tap" for tap in taps),
            *(f"link set {tap} master bridge up" for tap in taps),
        ):
            subprocess.run(["ip", "-n", self._namespace, *words.split()], check=True)
        for guest in (self.server, self.writer, self.reader):
            self._launch(guest)
        for guest in (self.server, self.writer, self.reader):
            self._wait_for(guest)

    def _down(self) -> None:
        for guest in (self.reader, self.writer, self.server):
            if guest.name in self._started:
                self.kill(guest)
        if self._thread is not None:
            self._thread.shutdown()
        if Path("/run/netns", self._namespace).exists():
            subprocess.run(["ip", "netns", "delete", self._namespace], check=True)

    def _launch(self, guest: Guest) -> None:
        name = guest.name
        disk = f"ubd0={self.work / 'server.disk'}" if name == SERVER else ""
        command = [
            # Nothing is left if the tests are killed.
            *("setpriv", "--pdeathsig", "KILL"),
            *("ip", "netns", "exec", self._namespace),
            *("linux.uml", f"mem={MEMORY}M", "quiet", "con=null", "con0=null,fd:1"),
            *("rootfstype=hostfs", f"rootflags={self._tree}", "ro", "init=/first.sh"),
            *(f"eth0=tuntap,tap-{name}", disk),
            *(f"role={'server' if name == SERVER else 'client'}", f"name={name}"),
            *(f"address={_ADDRESSES[name]}", f"lease={LEASE}"),
            *(f"clone={REPOSITORY}", f"venv={sys.prefix}"),
        ]
        with (self.work / f"{name}.console").open("ab") as console:
            self._started[name] = subprocess.Popen(
                [word for word in command if word],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                env={**os.environ, "TMPDIR": self._memory_folder()},
            )

    def _wait_for(self, guest: Guest) -> None:
        def answers() -> bool:
            if self._started[guest.name].poll() is not None:
                raise GuestError(f"{guest.name} did not start:\n{self.console(guest)}")
            return guest.answers()

        until(answers, f"{guest.name} to start", seconds=90, every=0.1)

    def _memory_folder(self) -> str:
        """The guests' memory is a file: in memory, where there is room."""
        shared = Path("/dev/shm")
        roomy = shared.is_dir() and shutil.disk_usage(shared).free > 4 * MEMORY << 20
        return str(shared if roomy else self.work)

    def _enter_network(self) -> None:
        """Only the calling thread: the tests themselves stay in the machine's own network."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path("/run/netns", self._namespace).open() as namespace:
            if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def _connect(self, address: str) -> socket.socket:
        assert self._thread is not None
        return self._thread.submit(socket.create_connection, (address, PORT), 5).result()
