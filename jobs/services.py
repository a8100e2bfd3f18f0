"""What people can do. Pages, API, admin and commands all call these, with the acting user named.

Each checks that it is possible, changes rows in one transaction, and sends news on commit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from files import storage
from files.safe import UnsafePath
from jobs import constraints, notify, transitions
from jobs.models import Environment, Run, RunKind, Site, Task, UserLimits
from jobs.possible import impossible
from jobs.queue import amount, size
from jobs.states import ACTIVE, Reason, RunState

if TYPE_CHECKING:
    from accounts.models import User

SCRIPT_LIMIT = 2 * 1024**2
STDIN_LIMIT = 1024**2
COMMAND_LIMIT = 64 * 1024
SMALLEST_CPUS = Decimal("0.05")
SMALLEST_MEMORY = 32 * 1024**2
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Refused(Exception):
    """The request can't be granted; nothing was changed. The message says what to do."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field
        """name of the RunRequest's or Task's field at fault; "" if none alone is"""


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
    retry_if_lost: bool = False


def create_task(
    *,
    user: User,
    name: str,
    environment: Environment | None = None,
    cpus: Decimal | float | None = None,
    memory: int | None = None,
    time_limit: int | None = None,
) -> Task:
    """A new workspace with empty folders, owned by `user`."""
    given = {"environment": environment, "cpus": cpus, "memory": memory, "time_limit": time_limit}
    task = Task(owner=user, name=_task_name(name))
    _set_defaults(task, {key: value for key, value in given.items() if value is not None})
    _create_folders(task)
    task.save()
    return task


def update_task(*, user: User, task: Task, **changes: Any) -> Task:
    """Rename a Task or change what its Runs usually ask for."""
    if "name" in changes:
        task.name = _task_name(changes.pop("name"))
    _set_defaults(task, changes)
    task.save(update_fields=["name", "environment", "cpus", "memory", "time_limit"])
    return task


def submit(*, user: User, task: Task, request: RunRequest, repeats: Run | None = None) -> Run:
    """Queue a Run of `task`: the row is committed and its folders exist when this returns."""
    environment = _environment(request.environment or task.environment)
    run = Run(
        task=task,
        submitted_by=user,
        repeats=repeats,
        environment=environment,
        arguments=_arguments(request.arguments),
        variables=_variables(request.variables),
        stdin=_text(request.stdin, "stdin", STDIN_LIMIT),
        cpus=_cpus(task.cpus if request.cpus is None else request.cpus),
        memory=_memory(task.memory if request.memory is None else request.memory),
        time_limit=_time_limit(
            task.time_limit if request.time_limit is None else request.time_limit
        ),
        constraints=_constraints(request.constraints, environment),
        retry_if_lost=request.retry_if_lost,
        reason=Reason.SUBMITTED,
    )
    _what_to_run(run, task, request)
    if no := impossible(run):
        raise Refused(no.sentence, field=no.field)
    _refuse_beyond_limits(run)
    with transaction.atomic():
        Task.objects.filter(pk=task.pk).update(
            last_run_number=F("last_run_number") + 1, used_at=timezone.now()
        )
        run.number = Task.objects.values_list("last_run_number", flat=True).get(pk=task.pk)
        run.save(force_insert=True)
        transitions.record(run)
        transaction.on_commit(notify.wake_supervision)
    return run


def run_again(
    *,
    user: User,
    run: Run,
    cpus: Decimal | float | None = None,
    memory: int | None = None,
    time_limit: int | None = None,
) -> Run:
    """The same request once more, as it was then, but for the resources that are given here."""
    environment = run.environment if run.environment.retired_at is None else None
    if environment is not None and environment.uses_image != Site.load().backend_has_images:
        environment = None
    request = RunRequest(
        kind=run.kind,
        script_path=run.script_path,
        script_text=run.script_text if run.kind == RunKind.SCRIPT else None,
        command=run.command,
        arguments=run.arguments,
        variables=run.variables,
        stdin=run.stdin,
        environment=environment,
        cpus=run.cpus if cpus is None else cpus,
        memory=run.memory if memory is None else memory,
        time_limit=run.time_limit if time_limit is None else time_limit,
        constraints=constraints.again(
            run.constraints, _environment(environment or run.task.environment).constraints
        ),
        retry_if_lost=run.retry_if_lost,
    )
    return submit(user=user, task=run.task, request=request, repeats=run)


def cancel(*, user: User, run: Run) -> Run:
    """Ask for the end. A waiting Run ends at once; a started one when its end is seen. Idempotent."""
    with transaction.atomic():
        asked = Run.objects.filter(
            pk=run.pk, state__in=[RunState.QUEUED, *ACTIVE], cancel_requested_at__isnull=True
        ).update(cancel_requested_at=timezone.now(), cancel_requested_by=user)
        run.refresh_from_db()
        if asked and not cancel_waiting(run):
            transaction.on_commit(lambda: notify.run_changed(run))
            transaction.on_commit(notify.wake_supervision)
    return run


def cancel_waiting(run: Run) -> bool:
    """QUEUED -> CANCELLED for a Run whose end was asked for. False: it is not waiting (any more)."""
    by = run.cancel_requested_by.get_username() if run.cancel_requested_by else "somebody"
    return transitions.advance(
        run,
        RunState.CANCELLED,
        since={RunState.QUEUED},
        reason=Reason.CANCELLED,
        explanation=f"Cancelled by {by} before it started.",
    )


# Checks: each returns the value to keep or raises Refused.


def _task_name(name: str) -> str:
    name = " ".join(name.split())
    if not name.isprintable():
        raise Refused("Use letters, digits and signs that can be seen in the name.", field="name")
    if not name:
        raise Refused("Give the Task a name.", field="name")
    if len(name) > 200:
        raise Refused("Use at most 200 characters for the name.", field="name")
    return name


def _set_defaults(task: Task, changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if key == "environment":
            task.environment = None if value is None else _environment(value)
        elif key == "cpus":
            task.cpus = _cpus(value)
        elif key == "memory":
            task.memory = _memory(value)
        elif key == "time_limit":
            task.time_limit = _time_limit(value)
        else:
            raise TypeError(f"a Task has no setting {key}")


def _create_folders(task: Task) -> None:
    try:
        storage.create_task_folders(task.public_id)
    except OSError as error:
        raise Refused(
            f"The Task's folders could not be made: {error.strerror}. Tell your administrator."
        ) from error


def _environment(chosen: Environment | None) -> Environment:
    offered = Environment.objects.offered()
    if chosen is None:
        found = offered.order_by("-is_default", "name").first()
        if found is None:
            raise Refused(
                "There is no Environment to run in. Ask your administrator to add one.",
                field="environment",
            )
        return found
    if not offered.filter(pk=chosen.pk).exists():
        raise Refused(
            f"The environment “{chosen.name}” can't be used now. Choose another one.",
            field="environment",
        )
    return chosen


def _what_to_run(run: Run, task: Task, request: RunRequest) -> None:
    run.kind = request.kind
    if request.kind == RunKind.COMMAND:
        if request.script_path:
            raise Refused("Give a script or a command, not both.", field="script_path")
        run.command = _text(request.command, "command", COMMAND_LIMIT) or ""
        if not run.command.strip():
            raise Refused("Type a command to run.", field="command")
    elif request.kind == RunKind.SCRIPT:
        if request.command:
            raise Refused("Give a script or a command, not both.", field="command")
        run.script_path = _script_path(request.script_path)
        text = request.script_text
        run.script_text = (
            _text(
                text if text is not None else _read_script(task, run.script_path),
                "script_path",
                SCRIPT_LIMIT,
            )
            or ""
        )
    else:
        raise Refused("Choose “script” or “command”.", field="kind")


def _script_path(path: str) -> str:
    _text(path, "script_path", COMMAND_LIMIT)
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


def _text(value: str | None, name: str, limit: int) -> str | None:
    if value is None:
        return None
    if "\0" in value:
        raise Refused("It contains a NUL character: remove it.", field=name)
    try:
        length = len(value.encode())
    except UnicodeEncodeError:
        raise Refused("It is not valid Unicode text.", field=name) from None
    if length > limit:
        raise Refused(
            f"It is larger than {size(limit)}: put it into a file of the Task.", field=name
        )
    return value


def _arguments(arguments: Sequence[str]) -> list[str]:
    checked = [_text(str(each), "arguments", COMMAND_LIMIT) or "" for each in arguments]
    if sum(map(len, checked)) > COMMAND_LIMIT or len(checked) > 1000:
        raise Refused("Too many arguments: put them into a file of the Task.", field="arguments")
    return checked


def _variables(variables: Mapping[str, str]) -> dict[str, str]:
    for name in variables:
        if not _VARIABLE.fullmatch(name):
            raise Refused(
                f"“{name}” is no variable name: use letters, digits and _.", field="variables"
            )
        if name.startswith(("RCLUSTER_", "LD_")):
            raise Refused(f"{name} is reserved: choose another name.", field="variables")
    checked = {
        name: _text(str(value), "variables", COMMAND_LIMIT) or ""
        for name, value in variables.items()
    }
    if sum(len(value) for value in checked.values()) > COMMAND_LIMIT:
        raise Refused(
            "The variables are too large: put them into a file of the Task.", field="variables"
        )
    return checked


def _cpus(value: Decimal | float | str) -> Decimal:
    try:
        cpus = Decimal(str(value)).quantize(Decimal("0.01"))
    except InvalidOperation:
        raise Refused("Give the CPUs as a number, for example 0.5 or 2.", field="cpus") from None
    if not cpus.is_finite():
        raise Refused("Give the CPUs as a number, for example 0.5 or 2.", field="cpus")
    if cpus < SMALLEST_CPUS:
        raise Refused(f"Ask for at least {SMALLEST_CPUS} CPUs.", field="cpus")
    if cpus >= 10_000:
        raise Refused("Ask for fewer CPUs.", field="cpus")
    return cpus


def _memory(value: int) -> int:
    if value < SMALLEST_MEMORY:
        raise Refused(f"Ask for at least {size(SMALLEST_MEMORY)} of memory.", field="memory")
    if value > 2**60:
        raise Refused("Ask for less memory.", field="memory")
    return int(value)


def _time_limit(value: int) -> int:
    longest = settings.RCLUSTER_TIME_LIMIT
    if value < 0 or value > 10**9:
        raise Refused("Give the time limit in seconds, 0 for none.", field="time_limit")
    if longest and (value == 0 or value > longest):
        raise Refused(f"The longest time limit here is {longest} seconds.", field="time_limit")
    return int(value)


def _constraints(written: str, environment: Environment) -> str:
    """The Environment's and the Run's own, as the Run keeps them."""
    needed = constraints.stored(environment.constraints)
    try:
        return constraints.text(constraints.union((*needed, *constraints.parse(written))))
    except constraints.BadConstraints as error:
        raise Refused(str(error), field="constraints") from error


def _refuse_beyond_limits(run: Run) -> None:
    """What the person's own limits would never let start, or let wait."""
    limits = UserLimits.of(run.submitted_by)
    if limits.max_cpus is not None and run.cpus > limits.max_cpus:
        most = amount(float(limits.max_cpus))
        raise Refused(f"Your limit is {most} at a time: ask for at most {most}.", field="cpus")
    if limits.max_queued is not None:
        waiting = Run.objects.waiting().filter(submitted_by=run.submitted_by).count()
        if waiting >= limits.max_queued:
            raise Refused(
                f"You have {waiting} {'Run' if waiting == 1 else 'Runs'} waiting, which is your "
                "limit. Submit this one when some have started, or cancel some."
            )


def script_name(run: Run) -> str:
    """The name of the script's snapshot in the attempt's folder; "" for a command."""
    return PurePosixPath(run.script_path).name if run.kind == RunKind.SCRIPT else ""
