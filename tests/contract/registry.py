"""A Docker registry on loopback, and tiny images to put into it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tarfile
import uuid
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import until

HELLO = '#include <unistd.h>\nint main(void) { return write(1, "%s\\n", %d) < 0; }\n'


def docker(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.strip()


@dataclass
class Registry:
    """`start()` and `stop()` as often as wanted; always the same address and content."""

    folder: Path
    port: int = 0
    more: str = ""
    """lines that its configuration gets besides"""
    process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        if not self.port:
            with socket.create_server(("127.0.0.1", 0)) as probe:
                self.port = probe.getsockname()[1]
        config = self.folder / "registry.yml"
        config.write_text(
            "version: 0.1\n"
            f"storage: {{filesystem: {{rootdirectory: {self.folder}/data}}}}\n"
            f"http: {{addr: '{self.name}'}}\nlog: {{level: error}}\n{self.more}"
        )
        program = shutil.which("docker-registry")
        assert program, "docker-registry is missing: apt-get install docker-registry"
        self.process = subprocess.Popen(
            [program, "serve", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
        )
        until(self._answers, "the registry")

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None


class Images:
    """Images with nothing in them but one static program that prints a word."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[str] = []

    def make(self, reference: str, word: str) -> str:
        """Build it in the engine under this name; returns the image id."""
        source = self._folder / f"{uuid.uuid4().hex}.c"
        source.write_text(HELLO % (word, len(word) + 1))
        program = source.with_suffix("")
        subprocess.run(["gcc", "-static", "-Os", "-o", program, source], check=True, timeout=60)
        tar = source.with_suffix(".tar")
        with tarfile.open(tar, "w") as archive:
            archive.add(program, "hello")
        image = docker("import", str(tar), reference)
        self._made += [reference, image]
        return image

    def push(self, reference: str, word: str) -> str:
        """Put it into the registry and forget it here; returns its digest."""
        image = self.make(reference, word)
        docker("push", "--quiet", reference)
        digests = docker("image", "inspect", "-f", '{{join .RepoDigests " "}}', image).split()
        docker("rmi", "--force", image)
        repository = reference.rpartition(":")[0]
        self._made += digests
        return next(each for each in digests if each.startswith(f"{repository}@"))

    def clean(self) -> None:
        for each in self._made:
            docker("rmi", "--force", each, check=False)
