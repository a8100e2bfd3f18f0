"""The backend worker: the one Celery worker (RCLUSTER_PROCESS=backend) that runs supervision.

It alone holds the Docker socket or cluster credentials.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from celery.signals import worker_ready, worker_shutting_down

from jobs.supervision.supervisor import Supervisor

log = logging.getLogger(__name__)
_supervisor: Supervisor | None = None


def wake() -> None:
    if _supervisor is not None:
        _supervisor.wake()


@worker_ready.connect
def _start(**_: Any) -> None:
    global _supervisor
    if os.environ.get("RCLUSTER_PROCESS") == "backend" and _supervisor is None:
        _supervisor = Supervisor()
        _supervisor.start()


@worker_shutting_down.connect
def _stop(**_: Any) -> None:
    if _supervisor is not None:
        _supervisor.stop()
