"""Rows for tests, each valid on its own: make_user(), make_environment(), make_task(),
make_machine(), make_run().

Only rows: folders come from `files.storage.create_task_folders(task.public_id)`.
"""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any

from django.contrib.auth.hashers import make_password
from django.utils import timezone

from accounts.ids import new_public_id
from accounts.models import ApiToken, User
from jobs.models import GIB, Environment, Machine, Run, RunKind, Site, Task
from jobs.states import FINAL, Reason, RunState

PASSWORD = "correct-horse-battery"


def make_user(username: str = "", *, staff: bool = False, **fields: Any) -> User:
    """A person who can sign in with PASSWORD; staff may also use the admin pages."""
    username = username or f"user-{new_public_id()[:8]}"
    user = User(username=username, is_staff=staff, is_superuser=staff, **fields)
    user.password = _hash()
    user.save()
    return user


@functools.cache
def _hash() -> str:
    """Hashing is slow on purpose: once per test process is enough."""
    return make_password(PASSWORD)


def make_token(
    user: User, *, lifetime: timedelta = timedelta(days=1), scopes: list[str] | None = None
) -> str:
    """The text of a new API token; a negative lifetime makes an expired one."""
    expires_at = timezone.now() + lifetime
    name = new_public_id()
    return ApiToken.issue(user=user, name=name, expires_at=expires_at, scopes=scopes)[1]


def make_environment(slug: str = "r", *, image: str = "", **fields: Any) -> Environment:
    """This machine's R, or one with an image; of the kind that the Site's backend takes. Tested."""
    fields.setdefault("name", f"R ({slug})")
    fields.setdefault("ready_at", timezone.now())
    fields.setdefault("is_default", slug == "r")
    uses_image = fields.pop("uses_image", bool(image) or Site.load().backend_has_images)
    image = image or ("registry.example.org/r:latest" if uses_image else "")
    return Environment.objects.get_or_create(
        slug=slug, defaults={"image": image, "uses_image": uses_image, **fields}
    )[0]


def make_task(owner: User | None = None, **fields: Any) -> Task:
    fields.setdefault("name", "Rivers")
    return Task.objects.create(owner=owner or make_user(), **fields)


def make_machine(name: str = "here", **fields: Any) -> Machine:
    """One that answers, of the backend `local` unless told otherwise."""
    defaults = {"backend": "local", "cpus": 4, "memory": 8 * GIB, "heard_at": timezone.now()}
    return Machine.objects.create(name=name, **(defaults | fields))


def make_run(task: Task | None = None, *, state: RunState = RunState.QUEUED, **fields: Any) -> Run:
    """A Run in the given state, with what a Run in that state has: attempt, times, exit code."""
    task = task or make_task()
    now = timezone.now()
    fields.setdefault("number", task.last_run_number + 1)
    fields.setdefault("submitted_by", task.owner)
    fields.setdefault("environment", task.environment or make_environment())
    for name in ("cpus", "memory", "time_limit"):
        fields.setdefault(name, getattr(task, name))
    if fields.setdefault("kind", RunKind.SCRIPT) == RunKind.SCRIPT:
        fields.setdefault("script_path", "main.R")
        fields.setdefault("script_text", 'cat("hello\\n")\n')
    else:
        fields.setdefault("command", "ls -l")
    if state is not RunState.QUEUED:
        fields.setdefault("reason", Reason.NONE)
        fields.setdefault("attempt", 1)
        fields.setdefault("backend", "local")
        fields.setdefault("machine", "here")
        fields.setdefault("created_at", now - timedelta(seconds=30))
        fields.setdefault("placed_at", now - timedelta(seconds=20))
    if state in FINAL | {RunState.RUNNING}:
        fields.setdefault("started_at", now - timedelta(seconds=19))
    if state in FINAL:
        fields.setdefault("finished_at", now)
    if state is RunState.SUCCEEDED:
        fields.setdefault("exit_code", 0)
    if state is RunState.FAILED and fields["reason"] == Reason.NONE:
        fields.setdefault("exit_code", 3)
        fields["reason"] = Reason.EXIT_CODE
        fields.setdefault("explanation", "The script ended with exit status 3.")
    if state is RunState.CANCELLED:
        fields["reason"] = Reason.CANCELLED
        fields.setdefault("explanation", "Cancelled before it ended.")
    run = Run.objects.create(task=task, state=state, **fields)
    if run.number > task.last_run_number:
        task.last_run_number = run.number
        task.save(update_fields=["last_run_number"])
    return run
