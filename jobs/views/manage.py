"""Administration, first page: what runs where, who waits, who fills the storage, what failed lately."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import Count, FloatField, Min, Sum
from django.db.models.functions import Cast
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST

from accounts.models import User
from jobs import capacity, services
from jobs.models import Run, Site
from jobs.services.limits import present_use
from jobs.states import RunState
from jobs.views.guard import SignedInRequest, staff_only

RUNS = 200
"""under way, shown at most"""
FAILURES = 20
FULLEST = 10


@dataclass(frozen=True)
class Waiting:
    """What somebody has in the queue."""

    key: int
    """of the person"""
    name: str
    runs: int
    cpus: float
    memory: int
    """bytes"""
    since: Any
    """the oldest of them"""


@dataclass(frozen=True)
class Filled:
    key: int
    """of the person"""
    name: str
    storage: int
    """bytes"""
    percent: int
    """of what the fullest has"""


@staff_only
@require_GET
def overview(request: SignedInRequest) -> HttpResponse:
    return render(request, "manage/overview.html", {"tab": "overview", **_state()})


@staff_only
@require_GET
def overview_now(request: SignedInRequest) -> HttpResponse:
    return render(request, "manage/now.html", _state())


@staff_only
@require_POST
def cancel(request: SignedInRequest, run: str) -> HttpResponse:
    """Cancel anybody's Run, with a reason that they are told."""
    runs = Run.objects.visible_to(request.user).select_related("task__owner", "submitted_by")
    found = get_object_or_404(runs, public_id=run)
    try:
        services.cancel(user=request.user, run=found, reason=request.POST.get("reason", ""))
    except services.Refused as refused:
        messages.error(request, str(refused))
    else:
        if found.state == RunState.CANCELLED or found.is_cancelling:
            messages.success(request, f"{found} is asked to stop.")
        else:
            messages.info(request, f"{found} had ended already.")
    return redirect("manage")


def _state() -> dict[str, Any]:
    site = Site.load()
    active = list(
        Run.objects.active()
        .select_related("task__owner", "submitted_by")
        .defer("script_text", "stdin")
        .order_by("machine", "placed_at")[: RUNS + 1]
    )
    by_machine: dict[str, list[Run]] = defaultdict(list)
    for run in active[:RUNS]:
        by_machine[run.machine or "not placed"].append(run)
    uses = {use.name: use for use in capacity.machines(site.backend)}
    names = sorted({*by_machine, *uses})
    failed = (
        Run.objects.finished()
        .filter(state=RunState.FAILED, task__deleted_at__isnull=True)
        .select_related("task", "submitted_by")
        .defer("script_text", "stdin")
    )
    return {
        "site": site,
        "machines": [(name, uses.get(name), by_machine[name]) for name in names],
        "total": capacity.total(list(uses.values())),
        "running": len(active[:RUNS]),
        "more_running": len(active) > RUNS,
        "waiting": _waiting(),
        "fullest": _fullest(),
        "failures": list(failed.order_by("-id")[:FAILURES]),
    }


def _waiting() -> list[Waiting]:
    rows = (
        Run.objects.waiting()
        .order_by()
        .values_list("submitted_by", "submitted_by__username")
        .annotate(
            runs=Count("pk"),
            all_cpus=Sum(Cast("cpus", FloatField())),
            all_memory=Sum("memory"),
            since=Min("created_at"),
        )
    )
    return sorted((Waiting(*row) for row in rows), key=lambda each: (-each.runs, each.name))


def _fullest() -> list[Filled]:
    use = present_use()
    most = sorted(use.items(), key=lambda each: -each[1].storage)[:FULLEST]
    names = dict(User.objects.filter(pk__in=[key for key, _ in most]).values_list("pk", "username"))
    top = max((each.storage for _, each in most), default=0)
    return [
        Filled(key, names.get(key, "?"), each.storage, round(100 * each.storage / top))
        for key, each in most
        if each.storage
    ]
