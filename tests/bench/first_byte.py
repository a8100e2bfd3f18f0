"""From the POST that submits `Rscript -e 'cat(1)'` to the first byte on the WebSocket.

Interleaved with the same done bare: the Docker SDK's create, attach, start, first byte; bwrap with
slirp4netns, first byte. Image, user, limits, network and mounts are alike on both sides.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import tests.home  # noqa: F401 - settings before Django
from tests.bench._figures import Figure, at_most
from tests.client import Client, Piece
from tests.portal import Portal, start_portal

COMMAND = ["Rscript", "-e", "cat(1)"]
CPUS, MEMORY = 1.0, 512 * 1024**2


def main(argv: list[str]) -> list[dict[str, Any]]:
    """The figures `first-byte docker` and `first-byte local`."""
    parser = argparse.ArgumentParser(prog="first-byte", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=15)
    repetitions = parser.parse_args(argv).repetitions
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rcluster_site.settings")
    django.setup()
    figures = [_docker(repetitions), _local(repetitions)]
    return [figure.as_json() for figure in figures]


def _docker(repetitions: int) -> Figure:
    from django.conf import settings

    from tests.bench._bare import BareDocker, make_spec

    portal = start_portal(backend="docker")
    folder = new_folder()
    try:
        client = Client(portal.url, portal.token("bench"))
        bare = BareDocker(
            settings.RCLUSTER_DOCKER_HOST, settings.RCLUSTER_RUNNER_DIR / "rcluster-run"
        )
        task = client.create_task("Bench")
        first = client.wait_for_end(_submit(client, task), seconds=120)
        spec = make_spec(
            folder, command=COMMAND, image=first["image_digest"], cpus=CPUS, memory=MEMORY
        )
        ours, theirs = [], []
        for turn in range(repetitions + 2):
            a, b = _through_the_portal(client, task), bare.first_byte(spec)
            if turn >= 2:  # the first two warm caches on both sides
                ours.append(a * 1000)
                theirs.append(b * 1000)
        bare.close()
        client.close()
        return at_most("first-byte docker", ours, theirs, ratio=1.2)
    finally:
        end_portal(portal, folder)


def _local(repetitions: int) -> Figure:
    from tests.bench._bare import BareBubblewrap, make_spec

    portal = start_portal(backend="local")
    folder = new_folder()
    try:
        client = Client(portal.url, portal.token("bench"))
        bare = BareBubblewrap(folder)
        task = client.create_task("Bench")
        spec = make_spec(folder, command=COMMAND, image="", cpus=CPUS, memory=MEMORY)
        ours, theirs = [], []
        for turn in range(repetitions + 2):
            a, b = _through_the_portal(client, task), bare.first_byte(spec)
            if turn >= 2:
                ours.append(a * 1000)
                theirs.append(b * 1000)
        client.close()
        return at_most("first-byte local", ours, theirs, ratio=1.5)
    finally:
        end_portal(portal, folder)


def _submit(client: Client, task: str) -> str:
    return client.command(task, "Rscript -e 'cat(1)'", cpus=CPUS, memory=MEMORY)


def _through_the_portal(client: Client, task: str) -> float:
    """Seconds from the POST to the first byte of output; waits for the Run's end afterwards."""
    began = time.perf_counter()
    run = _submit(client, task)
    took = None
    for frame in client.follow(run):
        if took is None and isinstance(frame, Piece):
            took = time.perf_counter() - began
            assert frame.data == b"1", frame.data
    assert took is not None, client.run(run)
    client.wait_for_end(run)
    return took


def new_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="rc-bench-"))
    folder.chmod(0o755)
    return folder


def end_portal(portal: Portal, folder: Path) -> None:
    portal.stop()
    shutil.rmtree(folder, ignore_errors=True)
