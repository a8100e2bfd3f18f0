"""A Run: what was asked, what happened, what it printed and wrote."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from jobs import services
from jobs.models import Run
from jobs.more_memory import more_memory
from jobs.views.guard import SignedInRequest, signed_in
from jobs.views.outcomes import outcomes
from jobs.views.tasks import log_of


def _run(request: SignedInRequest, public_id: str) -> Run:
    runs = Run.objects.visible_to(request.user)
    return get_object_or_404(
        runs.select_related("task__owner", "environment", "submitted_by", "repeats__task"),
        public_id=public_id,
    )


@signed_in
@require_GET
def run(request: SignedInRequest, run: str) -> HttpResponse:
    found = _run(request, run)
    context = {**_head(request, found), "outcomes": outcomes(found), "log": log_of(found)}
    return render(request, "run/page.html", context)


def _head(request: SignedInRequest, run: Run) -> dict[str, Any]:
    return {
        "run": run,
        "task": run.task,
        "timeline": run.timeline.all(),
        "more_memory": more_memory(user=request.user, run=run),
    }


@signed_in
@require_GET
def run_live(request: SignedInRequest, run: str) -> HttpResponse:
    """The parts of the page that change while the Run goes on: `part` is head, used or results."""
    found = _run(request, run)
    part = request.GET.get("part", "head")
    context = {"run": found, "task": found.task}
    if part == "results":
        return render(request, "run/results.html", {**context, "outcomes": outcomes(found)})
    if part == "used":
        return render(request, "run/used.html", context)
    return render(request, "run/head.html", _head(request, found))


@signed_in
@require_POST
def run_cancel(request: SignedInRequest, run: str) -> HttpResponse:
    found = services.cancel(user=request.user, run=_run(request, run))
    if request.htmx:
        return render(request, "run/head.html", _head(request, found))
    return redirect(found)


@signed_in
@require_POST
def run_again(request: SignedInRequest, run: str) -> HttpResponse:
    """The same once more; with `memory` (bytes) in the form, with that much."""
    found = _run(request, run)
    asked = request.POST.get("memory", "")
    memory = int(asked) if asked.isdecimal() and len(asked) < 20 else None
    try:
        return redirect(services.run_again(user=request.user, run=found, memory=memory))
    except services.Refused as refused:
        messages.error(request, str(refused))
        return redirect(found)
