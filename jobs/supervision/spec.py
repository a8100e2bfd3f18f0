"""From a Run's row to a ContainerSpec: what is mounted, what is called, with which limits."""

from __future__ import annotations

from django.conf import settings

from files import storage
from jobs import attempts
from jobs.backends.base import ContainerSpec, Mount
from jobs.models import Run, RunKind
from jobs.services import script_name


def command_of(run: Run) -> list[str]:
    """What the runner executes. The script is the snapshot, not the file as it may be by now."""
    if run.kind == RunKind.SCRIPT:
        return ["Rscript", f"/rcluster/script/{script_name(run)}", *run.arguments]
    return ["/bin/sh", "-c", run.command, "sh", *run.arguments]


def spec_of(run: Run) -> ContainerSpec:
    """The attempt as any backend can start it. `run.task` and its snapshot must be loaded."""
    uid, gid = storage.owner()
    task = storage.task_dir(run.task.public_id)
    return ContainerSpec(
        handle=run.handle,
        run=run.public_id,
        attempt=run.attempt,
        image=run.image_digest,
        command=command_of(run),
        attempt_dir=attempts.folder(run.public_id, run.attempt),
        mounts=[
            *(Mount(task / area, f"/{area}") for area in storage.AREAS),
            *(
                Mount(
                    storage.storage_root() / each["path"], f"/data/{each['name']}", read_only=True
                )
                for each in run.datasets
            ),
        ],
        cpus=float(run.cpus),
        memory=run.memory,
        variables={"TZ": settings.TIME_ZONE, **run.variables},
        has_stdin=run.stdin is not None,
        time_limit=float(run.time_limit) or None,
        grace=settings.RCLUSTER_GRACE,
        log_cap=settings.RCLUSTER_LOG_CAP,
        uid=uid,
        gid=gid,
        machine=run.machine,
        node=run.node,
    )
