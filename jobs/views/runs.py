"""A Run: what was asked, what happened, what it printed and wrote."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from files.models import Dataset
from files.storage import AREAS
from jobs import services
from jobs.models import Lane, Run
from jobs.more_memory import more_memory
from jobs.quick import ran_out_of_time
from jobs.views.guard import SignedInRequest, signed_in
from jobs.views.outcomes import preview, written
from jobs.views.tasks import log_of
from jobs.views.timeline import attempts_of

OTHERS = 5
"""Runs named that ran in the Task at the same time, and repeats that are named"""
STDIN_SHOWN = 4000
"""characters"""


def visible(request: SignedInRequest, public_id: str) -> Run:
    """The Run with all that its page names, if this person may see it; 404 otherwise."""
    runs = Run.objects.visible_to(request.user)
    return get_object_or_404(
        runs.select_related("task__owner", "environment", "submitted_by", "repeats").defer(
            "repeats__script_text", "repeats__stdin"
        ),
        public_id=public_id,
    )


@signed_in
@require_GET
def run(request: SignedInRequest, run: str) -> HttpResponse:
    found = visible(request, run)
    context = {
        **_head(request, found),
        **_asked(request, found),
        **_results(found),
        "use": use_of(found),
        "log": log_of(found),
    }
    return render(request, "run/page.html", context)


@signed_in
@require_GET
def run_live(request: SignedInRequest, run: str) -> HttpResponse:
    """The parts of the page that change while the Run goes on: `part` is head, used or results."""
    found = visible(request, run)
    part = request.GET.get("part", "head")
    context = {"run": found, "task": found.task}
    if part == "results":
        return render(request, "run/results.html", {**context, **_results(found)})
    if part == "used":
        return render(request, "run/used.html", {**context, "use": use_of(found)})
    return render(request, "run/head.html", _head(request, found))


@signed_in
@require_GET
def run_preview(request: SignedInRequest, run: str) -> HttpResponse:
    """The beginning of a file of the Run's Task: `path` as in output/table.csv."""
    found = visible(request, run)
    area, _, path = request.GET.get("path", "").partition("/")
    shown = preview(found, area, path) if area in AREAS and path else None
    if shown is None:
        raise Http404
    return render(request, "run/preview.html", {"preview": shown})


@signed_in
@require_POST
def run_cancel(request: SignedInRequest, run: str) -> HttpResponse:
    found = visible(request, run)
    try:
        services.cancel(user=request.user, run=found)
    except services.Forbidden as forbidden:
        raise PermissionDenied from forbidden
    if request.htmx:
        return render(request, "run/head.html", _head(request, found))
    return redirect(found)


@signed_in
@require_POST
def run_again(request: SignedInRequest, run: str) -> HttpResponse:
    """The same once more; with `memory` (bytes) in the form, with that much; or in another `lane`."""
    found = visible(request, run)
    asked = request.POST.get("memory", "")
    memory = int(asked) if asked.isdecimal() and len(asked) < 20 else None
    lane = request.POST.get("lane") or None
    try:
        return redirect(services.run_again(user=request.user, run=found, memory=memory, lane=lane))
    except services.Forbidden as forbidden:
        raise PermissionDenied from forbidden
    except services.Refused as refused:
        messages.error(request, str(refused))
        return redirect(found)


def _head(request: SignedInRequest, run: Run) -> dict[str, Any]:
    may_run = services.may_edit(request.user, run.task) and run.task.archived_at is None
    return {
        "run": run,
        "task": run.task,
        "attempts": attempts_of(run, run.timeline.all()),
        "may_run": may_run,
        "may_cancel": services.may_edit(request.user, run.task) if not run.is_final else False,
        "more_memory": more_memory(user=request.user, run=run),
        "ran_out_of_time": ran_out_of_time(run),
    }


def _asked(request: SignedInRequest, run: Run) -> dict[str, Any]:
    names = [str(each["name"]) for each in run.datasets]
    usable = Dataset.objects.visible_to(request.user).filter(name__in=names) if names else []
    return {
        "datasets": [(name, name in {each.name for each in usable}) for name in names],
        "is_quick": run.lane == Lane.QUICK,
        "digest": run.image_digest.rpartition("@")[2],
        "stdin_cut": run.stdin is not None and len(run.stdin) > STDIN_SHOWN,
        "stdin_shown": (run.stdin or "")[:STDIN_SHOWN],
        "repeated": list(
            run.repeated_by.visible_to(request.user)
            .only("public_id", "number", "state")
            .order_by("id")[: OTHERS + 1]
        ),
        "most": OTHERS,
    }


def _results(run: Run) -> dict[str, Any]:
    found = written(run)
    beside: list[Run] = []
    if found.outcomes or found.elsewhere:
        # Runs of one Task share its folders: whose file it is can't be told by its time alone.
        until = run.finished_at or timezone.now()
        beside = list(
            Run.objects.filter(task=run.task, started_at__lte=until)
            .filter(Q(finished_at__isnull=True) | Q(finished_at__gte=run.started_at))
            .exclude(pk=run.pk)
            .only("public_id", "number")
            .order_by("id")[:OTHERS]
        )
    return {"written": found, "beside": beside}


@dataclass(frozen=True)
class Use:
    """What was asked for against what was used; None where it is not known (yet)."""

    waited: float | None
    """seconds from the submission to the (last) start"""
    wall: float | None
    """seconds that it ran, or has run so far"""
    cpus: float | None
    """on average"""
    cpus_percent: int
    memory_percent: int
    wall_percent: int
    """of the time limit; 0 without one"""


def use_of(run: Run) -> Use:
    end = run.finished_at or timezone.now()
    wall = max(0.0, (end - run.started_at).total_seconds()) if run.started_at else None
    cpus = run.cpu_seconds / wall if wall and run.cpu_seconds is not None else None
    return Use(
        waited=max(0.0, (run.started_at - run.created_at).total_seconds())
        if run.started_at
        else None,
        wall=wall,
        cpus=cpus,
        cpus_percent=_percent(cpus, run.cpus),
        memory_percent=_percent(run.peak_memory, run.memory),
        wall_percent=_percent(wall, run.time_limit),
    )


def _percent(part: float | None, whole: float | Decimal) -> int:
    return min(100, round(100 * part / float(whole))) if part and whole else 0
