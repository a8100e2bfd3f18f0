"""From a Run's row to a ContainerSpec: what is mounted, what is called, with which limits."""

from __future__ import annotations

from django.conf import settings

from files import storage
from jobs import attempts
from jobs.backends.base import ContainerSpec, Mount
from jobs.models import Lane, Run, RunKind
from jobs.services import over_quota, script_name

_WRITE_NOTHING = (
    "trap '' XFSZ; ulimit -f 0 || exit 1; "
    "echo '[rcluster: the storage is full; this command can look and delete, and writes nothing]' >&2; "
    'exec "$@"'
)
"""No file grows under it, and no process below it gets that right back; what tries is told "File too
large". Removing and renaming need no room."""


def command_of(run: Run) -> list[str]:
    """What the runner executes. The script is the snapshot, not the file as it may be by now."""
    if run.kind == RunKind.SCRIPT:
        return ["Rscript", f"/rcluster/script/{script_name(run)}", *run.arguments]
    return ["/bin/sh", "-c", run.command, "sh", *run.arguments]


def _command_now(run: Run) -> list[str]:
    """Quick commands start though the owner's quota is full, so that deleting by command remains
    possible: such a one may write nothing."""
    command = command_of(run)
    if run.lane == Lane.QUICK and run.kind == RunKind.COMMAND and over_quota(run.task.owner):
        return ["/bin/sh", "-c", _WRITE_NOTHING, "sh", *command]
    return command


def spec_of(run: Run) -> ContainerSpec:
    """The attempt as any backend can start it. `run.task` and its snapshot must be loaded."""
    uid, gid = storage.owner()
    task = storage.task_dir(run.task.public_id)
    return ContainerSpec(
        handle=run.handle,
        run=run.public_id,
        attempt=run.attempt,
        image=run.image_digest,
        command=_command_now(run),
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
        cpus_lent=run.lane == Lane.QUICK,
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
