"""What people can do with Runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from accounts import audit
from accounts.audit import Action
from files import storage
from files.safe import UnsafePath
from jobs import constraints, notify, transitions
from jobs.models import Environment, Lane, Run, RunKind, Site, Task
from jobs.possible import impossible
from jobs.services import checks, lanes, outsiders, quota
from jobs.services.granting import granted
from jobs.services.refused import Refused
from jobs.services.rights import must_edit
from jobs.services.tasks import open_for_runs, why_nothing_runs
from jobs.states import ACTIVE, Reason, RunState

if TYPE_CHECKING:
    from accounts.models import User

SCRIPT_LIMIT = 2 * 1024**2
STDIN_LIMIT = 1024**2
CANCEL_REASON = 200
"""characters"""
CHECK_PRIORITY = 10
"""of the smoke test of an Environment: before all that an administrator can raise (priorities.py)"""


@dataclass(frozen=True)
class RunRequest:
    """What to run. None: as the Task usually does."""

    kind: str
    script_path: str = ""
    script_text: str | None = None
    """None: what the file says now"""
    command: str = ""
    arguments: Sequence[str] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    stdin: str | None = None
    environment: Environment | None = None
    cpus: Decimal | float | None = None
    memory: int | None = None
    time_limit: int | None = None
    constraints: str = ""
    """attributes that the machine must have, besides the Environment's: disk:ssd, zone:a"""
    datasets: Sequence[Mapping[str, str]] | None = None
    """as an earlier Run kept them; None: those that the Task names"""
    lane: str | None = None
    """one of Lane; None: a command that asks for no CPUs, memory or time is quick"""
    retry_if_lost: bool = False


def submit(
    *,
    user: User,
    task: Task,
    request: RunRequest,
    repeats: Run | None = None,
    checking: Environment | None = None,
) -> Run:
    """Queue a Run of `task`: the row is committed and its folders exist when this returns.

    `checking`: the Environment whose smoke test this is: it need not be offered, and nobody who waits
    for it shall wait for a long line.
    """
    must_edit(user, task)
    environment = checking or checks.environment_for(request.environment or task.environment)
    share = lanes.share_of(user=user, task=task, request=request)
    run = Run(
        task=task,
        submitted_by=user,
        repeats=repeats,
        environment=environment,
        arguments=checks.arguments(request.arguments),
        variables=checks.variables(request.variables),
        stdin=checks.text(request.stdin, "stdin", STDIN_LIMIT),
        lane=share.lane,
        cpus=share.cpus,
        memory=share.memory,
        time_limit=share.time_limit,
        constraints=checks.constraints_text(request.constraints, environment),
        retry_if_lost=request.retry_if_lost,
        priority=CHECK_PRIORITY if checking else 0,
        datasets=granted(user=user, task=task, asked=request.datasets),
        reason=Reason.SUBMITTED,
    )
    _what_to_run(run, task, request)
    if no := impossible(run):
        raise Refused(no.sentence, field=no.field)
    lanes.refuse_beyond_limits(run)
    # A quick command may delete, and no more than that once the quota is full (supervision/spec.py).
    if run.lane != Lane.QUICK and (full := quota.over_quota(task.owner, asked_by=user)):
        raise Refused(full)
    with transaction.atomic():
        if not open_for_runs(task).update(
            last_run_number=F("last_run_number") + 1, used_at=timezone.now()
        ):
            raise Refused(why_nothing_runs(task))
        run.number = Task.objects.values_list("last_run_number", flat=True).get(pk=task.pk)
        run.save(force_insert=True)
        transitions.record(run)
        if checking is None:
            outsiders.note_run(user, run)
        transaction.on_commit(notify.wake_supervision)
    return run


def run_again(
    *,
    user: User,
    run: Run,
    cpus: Decimal | float | None = None,
    memory: int | None = None,
    time_limit: int | None = None,
    lane: str | None = None,
) -> Run:
    """The same request once more, as it was then, but for what is given here.

    A quick command for which resources are given, or the queue, gets there what the Task usually has
    for those that are not: what it had would only end it again.
    """
    if run.task.is_hidden:
        raise Refused("This was the check of an Environment: check it again on its own page.")
    environment = run.environment if run.environment.retired_at is None else None
    if environment is not None and environment.uses_image != Site.load().backend_has_images:
        environment = None
    as_it_was = run.lane == Lane.QUEUE and lane != Lane.QUICK
    request = RunRequest(
        kind=run.kind,
        script_path=run.script_path,
        script_text=run.script_text if run.kind == RunKind.SCRIPT else None,
        command=run.command,
        arguments=run.arguments,
        variables=run.variables,
        stdin=run.stdin,
        environment=environment,
        cpus=run.cpus if cpus is None and as_it_was else cpus,
        memory=run.memory if memory is None and as_it_was else memory,
        time_limit=run.time_limit if time_limit is None and as_it_was else time_limit,
        lane=Lane.QUEUE if as_it_was else lane,
        constraints=constraints.again(
            run.constraints, checks.environment_for(environment or run.task.environment).constraints
        ),
        retry_if_lost=run.retry_if_lost,
        datasets=run.datasets,
    )
    return submit(user=user, task=run.task, request=request, repeats=run)


def cancel(*, user: User, run: Run, reason: str = "") -> Run:
    """Ask for the end. A waiting Run ends at once; a started one when its end is seen. Idempotent.

    `reason` is told to whoever submitted it, and kept in the audit log.
    """
    must_edit(user, run.task)
    why = " ".join((checks.text(reason, "reason", checks.COMMAND_LIMIT) or "").split())
    if len(why) > CANCEL_REASON:
        raise Refused(f"Use at most {CANCEL_REASON} characters for the reason.", field="reason")
    with transaction.atomic():
        asked = Run.objects.filter(
            pk=run.pk, state__in=[RunState.QUEUED, *ACTIVE], cancel_requested_at__isnull=True
        ).update(cancel_requested_at=timezone.now(), cancel_requested_by=user, cancel_reason=why)
        run.refresh_from_db()
        if asked and run.submitted_by_id != user.pk:
            audit.note(
                user,
                Action.RUN_CANCELLED,
                subject=f"{run.task.name} #{run.number}",
                subject_id=run.public_id,
                detail=f"of {run.submitted_by.get_username()}{': ' if why else ''}{why}",
            )
        if asked and not cancel_waiting(run):
            transaction.on_commit(lambda: notify.run_changed(run))
            transaction.on_commit(notify.wake_supervision)
    return run


def cancel_waiting(run: Run) -> bool:
    """QUEUED -> CANCELLED for a Run whose end was asked for. False: it is not waiting (any more)."""
    by = run.cancelled_by or "somebody"
    return transitions.advance(
        run,
        RunState.CANCELLED,
        since={RunState.QUEUED},
        reason=Reason.CANCELLED,
        explanation=f"Cancelled by {by} before it started.",
    )


def _what_to_run(run: Run, task: Task, request: RunRequest) -> None:
    run.kind = request.kind
    if request.kind == RunKind.COMMAND:
        if request.script_path:
            raise Refused("Give a script or a command, not both.", field="script_path")
        run.command = checks.text(request.command, "command", checks.COMMAND_LIMIT) or ""
        if not run.command.strip():
            raise Refused("Type a command to run.", field="command")
    elif request.kind == RunKind.SCRIPT:
        if request.command:
            raise Refused("Give a script or a command, not both.", field="command")
        run.script_path = _script_path(request.script_path)
        text = request.script_text
        run.script_text = (
            checks.text(
                text if text is not None else _read_script(task, run.script_path),
                "script_path",
                SCRIPT_LIMIT,
            )
            or ""
        )
    else:
        raise Refused("Choose “script” or “command”.", field="kind")


def _script_path(path: str) -> str:
    checks.text(path, "script_path", checks.COMMAND_LIMIT)
    name = PurePosixPath(path).name
    if name in ("", ".."):
        raise Refused("Name the script to run.", field="script_path")
    if len(path) > 500 or len(name.encode()) > 255:
        raise Refused(
            "The script's path is too long: use at most 500 characters.", field="script_path"
        )
    return path


def _read_script(task: Task, path: str) -> str:
    try:
        with storage.area(task.public_id, "code").open_read(path) as file:
            content = file.read(SCRIPT_LIMIT + 1)
    except FileNotFoundError:
        raise Refused(
            f"There is no file {path} in this Task's code.", field="script_path"
        ) from None
    except (UnsafePath, NotADirectoryError, IsADirectoryError) as error:
        raise Refused(f"{path} can't be run: {error}", field="script_path") from error
    except OSError as error:
        raise Refused(f"{path} can't be read: {error.strerror}.", field="script_path") from error
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise Refused(
            f"{path} is not a text file in UTF-8: save it as UTF-8.", field="script_path"
        ) from None


def script_name(run: Run) -> str:
    """The name of the script's snapshot in the attempt's folder; "" for a command."""
    return PurePosixPath(run.script_path).name if run.kind == RunKind.SCRIPT else ""
