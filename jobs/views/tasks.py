"""A Task: the console and the parts of it that refresh themselves."""

from __future__ import annotations

from typing import Any

from django.db.models.functions import Left
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from files import storage
from files.safe import Entry, UnsafePath
from jobs import capacity, runlog, services
from jobs.models import Environment, Role, Run, RunKind, Task
from jobs.more_memory import more_memory
from jobs.quick import quick_lane, ran_out_of_time
from jobs.views import choices
from jobs.views.context import site_of
from jobs.views.datasets import console_datasets
from jobs.views.guard import SignedInRequest, signed_in
from jobs.views.outcomes import file_url, outcomes
from jobs.views.task_settings import copy_words, task_copy

HISTORY = 30
"""Runs of the history that are shown at first, and with each press of Earlier Runs"""
LONGEST = 600
"""Runs that the newest part of the history grows to while its page stays open"""
COMMANDS = 500
"""newest Runs whose commands the command line has from the start"""
SHOWN = 1000
"""entries of each area's top folder in the page; a script may write any number"""


def _task(request: SignedInRequest, public_id: str) -> Task:
    tasks = Task.objects.visible_to(request.user).select_related("owner", "environment", "copy")
    return get_object_or_404(tasks, public_id=public_id)


def _runs(task: Task, *, since: int = 0, before: int = 0) -> dict[str, Any]:
    """One part of the history, newest first: from number `since` up, or else HISTORY of them;
    below number `before`, or else the newest. `more` says whether earlier ones follow."""
    runs = Run.objects.filter(task=task).order_by("-number")
    if before:
        runs = runs.filter(number__lt=before)
    if since:
        runs = runs.filter(number__gte=since)
    most = LONGEST if since else HISTORY
    found = list(runs[: most + 1])
    for run in found:
        run.task = task
    shown = found[:most]
    return {
        "runs": shown,
        "since": shown[-1].number if shown else 0,
        "before": before,
        "more": len(found) > most,
        "goes_on": any(not run.is_final for run in shown),
        "task": task,
    }


def _number(text: str) -> int:
    """0 for what is no number of a Run."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0


@signed_in
@require_GET
def task(request: SignedInRequest, task: str) -> HttpResponse:
    """The console. `?run=` chooses whose output is shown, `?file=code/x.R` what is edited."""
    found = _task(request, task)
    history = _runs(found)
    site = site_of(request)
    environments = list(Environment.objects.usable().filter(uses_image=site.backend_has_images))
    shown_run = _chosen(found, request.GET.get("run", ""), history["runs"])
    Task.objects.filter(pk=found.pk).update(used_at=timezone.now())
    role = services.role_of(request.user, found)
    may_edit = role in (None, Role.EDITOR)
    uses = capacity.machines(site.backend)
    machines = [use.machine for use in uses]
    most_cpus, most_memory = capacity.largest(machines) or (None, None)
    context = {
        **history,
        "may_edit": may_edit,
        "role": role,
        "may_run": may_edit and found.archived_at is None,
        "copy": task_copy(found),
        "copy_words": copy_words(found),
        "shown_run": shown_run,
        "more_memory": more_memory(user=request.user, run=shown_run)
        if shown_run and may_edit
        else None,
        "ran_out_of_time": bool(shown_run and ran_out_of_time(shown_run)),
        "quick": lane if (lane := quick_lane()).is_open else None,
        "environments": environments,
        "closed_environment": found.environment
        if found.environment is not None and found.environment not in environments
        else None,
        "environment_slug": found.environment.slug
        if found.environment
        else _default_slug(environments),
        "cpus_choices": choices.cpus(found.cpus, most_cpus),
        "memory_choices": choices.memory(found.memory, most_memory),
        "time_choices": choices.time_limits(found.time_limit),
        "free": capacity.total(uses),
        "attributes": capacity.attributes(machines),
        "site": site,
        "console_datasets": console_datasets(request.user, found),
        "console": _console(found, shown_run, may_edit=may_edit),
    }
    return render(request, "task/page.html", context)


@signed_in
@require_GET
def task_history(request: SignedInRequest, task: str) -> HttpResponse:
    """A part of the history. `before`: the next earlier ones, with the button for those before them;
    `since`: a part that refreshes itself asks for what it shows, and the newest one for what is
    newer, too."""
    since, before = (_number(request.GET.get(each, "")) for each in ("since", "before"))
    context = _runs(_task(request, task), since=since, before=before)
    if not before:
        # More than it grows to, or than were there at first: what is between comes with a button.
        return render(request, "task/history.html", context | {"leaves_out": context["more"]})
    context |= {"is_fresh": not since}
    return render(request, "task/history_earlier.html", context)


@signed_in
@require_GET
def task_free(request: SignedInRequest, task: str) -> HttpResponse:
    """What is free now, beside the choices of the Run panel."""
    return render(
        request, "task/free.html", {"free": capacity.total(), "task": _task(request, task)}
    )


@signed_in
@require_GET
def console_run(request: SignedInRequest, task: str, run: str) -> HttpResponse:
    """Headline and files of one Run, above and below its output."""
    found = get_object_or_404(
        Run.objects.filter(task=_task(request, task)).select_related("task"), public_id=run
    )
    if request.GET.get("part") == "results":
        return render(request, "task/results.html", {"run": found, "outcomes": outcomes(found)})
    may_edit = services.may_edit(request.user, found.task)
    context = {
        "run": found,
        "more_memory": more_memory(user=request.user, run=found) if may_edit else None,
        "ran_out_of_time": ran_out_of_time(found),
    }
    return render(request, "task/headline.html", context)


def _chosen(task: Task, public_id: str, newest: list[Run]) -> Run | None:
    if public_id:
        chosen = Run.objects.filter(task=task, public_id=public_id).first()
        if chosen:
            chosen.task = task
            return chosen
    return newest[0] if newest else None


def _default_slug(environments: list[Environment]) -> str:
    return next((each.slug for each in environments if each.is_default), "")


def _console(task: Task, run: Run | None, *, may_edit: bool) -> dict[str, Any]:
    """What the islands of the console start with, so that nothing has to be asked for first."""
    return {
        "task": task.public_id,
        "name": task.name,
        "api": reverse("home") + f"api/v1/tasks/{task.public_id}",
        "page": task.get_absolute_url(),
        "mayEdit": may_edit,
        "mayRun": may_edit and task.archived_at is None,
        "areas": {
            area: [_as_json(task, area, entry) for entry in _entries(task, area)]
            for area in storage.AREAS
        },
        "run": log_of(run) if run else None,
        "lastScript": run.script_path if run else "",
        "commands": _commands(task),
        "newest": task.last_run_number,
    }


def _commands(task: Task) -> list[str]:
    """What was run on the command line lately, each once, oldest first. Long ones are scripts."""
    rows = Run.objects.filter(task=task).order_by("-id").values_list("kind", Left("command", 2001))
    lines = [line for kind, line in rows[:COMMANDS] if kind == RunKind.COMMAND]
    newest_first = dict.fromkeys(line for line in lines if len(line) <= 2000)
    return list(reversed(newest_first))


def log_of(run: Run) -> dict[str, Any]:
    """What the log island needs to know of a Run."""
    return {
        "run": run.public_id,
        "number": run.number,
        "attempt": run.attempt,
        "size": _log_size(run),
        "final": run.is_final,
        "page": run.get_absolute_url(),
        "script": run.script_path,
    }


def _log_size(run: Run) -> int:
    """0 while the storage is away: the page comes, and its log says so by itself."""
    try:
        return runlog.size(run.public_id, run.attempt)
    except OSError:
        return 0


def _entries(task: Task, area: str) -> list[Entry]:
    try:
        return storage.area(task.public_id, area).entries(limit=SHOWN)
    except (OSError, UnsafePath):
        # The page comes without files; the tree asks again and says what is wrong.
        return []


def _as_json(task: Task, area: str, entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "path": entry.path,
        "kind": entry.kind,
        "size": entry.size,
        "modified_at": entry.modified_at.isoformat().replace("+00:00", "Z"),
        "etag": entry.etag,
        "url": file_url(task.public_id, area, entry.path),
    }
