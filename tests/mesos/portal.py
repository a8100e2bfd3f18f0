"""A portal on a Mesos of its own, for tests that need all of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.mesos.lab import Lab
from tests.portal import Portal, start_portal


@contextmanager
def mesos_portal(*, agents: int = 3, **options: Any) -> Iterator[tuple[Lab, Portal]]:
    """`options` of the lab. The R image must be in the engine already (fixture `r_image`)."""
    folder = Path(tempfile.mkdtemp(prefix="rc-mesos-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        lab = Lab(folder / "lab", Lab.free_port(agents), agents=agents, **options)
        with lab.running():
            portal = start_portal(
                folder, backend="mesos", RCLUSTER_MESOS_MASTER=lab.master, RCLUSTER_CPUS=""
            )
            try:
                yield lab, portal
            finally:
                portal.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
