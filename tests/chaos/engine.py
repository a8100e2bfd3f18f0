"""A Docker engine of the suite's own: killing it disturbs nobody.

It lives in a network namespace of its own: a second engine in the machine's would take the
first one's bridge away. Its containers reach no network.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.chaos.processes import children_of, forgotten_shims, left
from tests.waiting import until

START = 60.0
"""seconds"""


class Engine:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.address = f"unix://{folder}/sock"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        folder = self._folder
        command = [
            *("unshare", "--net", "dockerd"),
            *("--live-restore", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"),
            *("--pidfile", f"{folder}/pid", "--host", self.address),
        ]
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(self.answers, "the engine to answer", seconds=START, every=0.2)

    def answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
        return self._docker("info", check=False).returncode == 0

    def _containerd(self) -> int:
        """Its process id; 0 if there is none (yet)."""
        try:
            path = self._folder / "exec" / "containerd" / "containerd.pid"
            return int(path.read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def copy_image(self, image: str) -> None:
        """From the machine's usual engine."""
        tar = self._folder / "image.tar"
        subprocess.run(["docker", "save", "--output", str(tar), image], check=True, timeout=300)
        self._docker("load", "--quiet", "--input", str(tar), timeout=300)
        tar.unlink()

    def kill(self) -> None:
        """KILL, and wait for it as init does: its successor takes a zombie for a living engine.

        Its containerd dies with it; the containers and their shims go on (live-restore).
        """
        assert self._process is not None
        containerd = self._containerd()
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(timeout=30)

        def gone() -> bool:
            # containerd is an orphan of ours now: looking waits for zombies.
            left(known=(), trees=())
            return not Path(f"/proc/{containerd}").exists()

        if containerd:
            until(gone, "the end of the engine's containerd", seconds=START)

    def containers(self, label: str = "") -> list[str]:
        filters = ["--filter", f"label={label}"] if label else []
        words = ("ps", "--all", *filters, "--format", "{{.Names}} {{.Status}}")
        return self._docker(*words).stdout.decode().splitlines()

    def process_of(self, name: str) -> int:
        """Process 1 of a container as this machine sees it; 0 while it has none."""
        done = self._docker("inspect", "--format", "{{.State.Pid}}", name, check=False)
        return int(done.stdout) if done.returncode == 0 else 0

    def close(self) -> None:
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            for line in self.containers():
                self._docker("rm", "--force", line.split()[0], check=False)
            process.terminate()
            process.wait(timeout=60)
        self._end_forgotten()
        # The engine mounts its data on itself and, with live-restore, leaves that behind, and
        # the networks of containers that ended while it was away.
        for mount in (self._folder / "data", *(self._folder / "exec" / "netns").glob("*")):
            with suppress(subprocess.CalledProcessError):
                subprocess.run(["umount", "--lazy", str(mount)], check=True, capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end_forgotten(self) -> None:
        """What the engine lost sight of when it was killed (see processes.py)."""
        for pid in forgotten_shims(str(self._folder)):
            for each in (*children_of(pid), pid):
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)

    def _docker(
        self, *words: str, check: bool = True, timeout: float = 30
    ) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "DOCKER_HOST": self.address}
        try:
            return subprocess.run(
                ["docker", *words],
                capture_output=True,
                check=check,
                timeout=timeout,
                env=environment,
            )
        except subprocess.TimeoutExpired:
            if check:
                raise
            return subprocess.CompletedProcess(words, 124, b"", b"")
