"""The cluster: machines, who uses what, the queue in order with reasons; draining and losses."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import messages
from django.db.models import Case, F, Value, When
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jobs import capacity
from jobs.machines import declare_lost, drain, undrain, unfinished_runs, why_not_lost
from jobs.models import Machine, Run, RunQuerySet, Site
from jobs.registration import register_anew, registration
from jobs.services import Refused, prioritize
from jobs.states import Reason
from jobs.views.context import site_of
from jobs.views.guard import SignedInRequest, signed_in, staff_only

QUEUE = 100
ROOMY = 8
"""machines at most that show each of their Runs as a line; with more, a machine is a line itself"""
RUNS_ROOMY, RUNS_DENSE = 50, 5
"""Runs shown of one machine"""
NAMED = 20
"""Runs named before a machine is declared lost"""

_BACKENDS = {
    "docker": "Runs start in containers of this machine's Docker engine.",
    "local": "Runs start in sandboxes on this machine, with the R that is installed on it.",
    "mesos": "Runs start in Docker containers on the machines of a Mesos cluster.",
}
_MEMORY = {
    "cgroup": "The memory limit holds for a Run as a whole.",
    "process": "The memory limit holds for each process of a Run, not for all together.",
}
_NETWORK = {
    "full": "Scripts can reach the network.",
    "none": "Scripts have no network here.",
}


_CONDITIONS = {
    "drained": "drained",
    "aside": "set aside",
    "silent": "without word",
    "lost": "lost",
}


def _state(request: SignedInRequest) -> dict[str, Any]:
    site = site_of(request)
    waiting = _waiting()
    dense = Machine.objects.filter(backend=site.backend).count() > ROOMY
    machines = capacity.machines(
        site.backend, request.user, runs_each=RUNS_DENSE if dense else RUNS_ROOMY
    )
    return {
        "site": site,
        "mesos": registration(site),
        "facts": [
            sentence
            for sentence in (
                _BACKENDS.get(site.backend, ""),
                _MEMORY.get(site.backend_memory, ""),
                _NETWORK.get(site.backend_network, ""),
            )
            if sentence
        ],
        "machines": machines,
        "dense": dense,
        "aside": [
            (word, count)
            for condition, word in _CONDITIONS.items()
            if (count := sum(use.condition == condition for use in machines))
        ],
        "total": capacity.total(machines),
        "queue": waiting[:QUEUE],
        "more_waiting": len(waiting) > QUEUE,
    }


def _waiting() -> list[Run]:
    """The start of the line; then those whose place was not told, and those held back by limits."""
    held_back = Case(When(reason=Reason.USER_LIMIT, then=Value(1)), default=Value(0))
    runs = Run.objects.waiting().select_related("task__owner").defer("script_text", "stdin")
    return list(
        runs.order_by(held_back, F("ahead").asc(nulls_last=True), "-priority", "id")[: QUEUE + 1]
    )


@signed_in
@require_GET
def cluster(request: SignedInRequest) -> HttpResponse:
    return render(request, "cluster/page.html", _state(request))


@signed_in
@require_GET
def cluster_now(request: SignedInRequest) -> HttpResponse:
    return render(request, "cluster/now.html", _state(request))


@staff_only
@require_POST
def machine_drain(request: SignedInRequest, machine: int) -> HttpResponse:
    """Drain it; with `undo` in the form, take it back."""
    found = get_object_or_404(Machine, pk=machine)
    act = undrain if request.POST.get("undo") else drain
    act(user=request.user, machine=found)
    if request.htmx:
        return render(request, "cluster/now.html", _state(request))
    return redirect("cluster")


@staff_only
@require_POST
def run_priority(request: SignedInRequest, run: str) -> HttpResponse:
    """Raise or lower a Run that waits. Of one that waits no more the page shows where it is."""
    runs = Run.objects.visible_to(request.user).select_related("task").defer("script_text", "stdin")
    found = get_object_or_404(runs, public_id=run)
    given = request.POST.get("priority", "")
    try:
        if not re.fullmatch(r"-?\d", given):
            raise Refused("Choose whether to raise or to lower it.")
        prioritize(user=request.user, run=found, priority=int(given))
    except Refused as refused:
        if not request.htmx:
            messages.error(request, str(refused))
    if request.htmx:
        return render(request, "cluster/now.html", _state(request))
    return redirect("cluster")


@staff_only
@require_http_methods(["GET", "POST"])
def machine_lost(request: SignedInRequest, machine: int) -> HttpResponse:
    """What declaring it lost would do, and, with its name typed, the doing."""
    found = get_object_or_404(Machine, pk=machine)
    context: dict[str, Any] = {"machine": found, "refused": why_not_lost(found)}
    if request.method == "POST" and not context["refused"]:
        if request.POST.get("name", "").strip() == found.name:
            try:
                declare_lost(user=request.user, machine=found)
            except Refused as refused:
                context["refused"] = str(refused)
            else:
                messages.success(
                    request, f"{found.name} is declared lost. What was on it ends now."
                )
                return redirect("cluster")
        else:
            context["mistyped"] = True
    context |= _fates(unfinished_runs(found))
    wrong = context["refused"] or context.get("mistyped")
    status = 422 if request.method == "POST" and wrong else 200
    return render(request, "cluster/lost.html", context, status=status)


@staff_only
@require_http_methods(["GET", "POST"])
def cluster_register_anew(request: SignedInRequest) -> HttpResponse:
    """What registering anew with Mesos would do, and the doing."""
    context: dict[str, Any] = {"mesos": registration(Site.load())}
    if request.method == "POST":
        try:
            register_anew(user=request.user)
        except Refused as refused:
            context["refused"] = str(refused)
        else:
            messages.success(request, "The portal registers anew. It takes some seconds.")
            return redirect("cluster")
    context |= _fates(Run.objects.active().filter(backend="mesos"))
    status = 422 if request.method == "POST" else 200
    return render(request, "cluster/anew.html", context, status=status)


def _fates(runs: RunQuerySet) -> dict[str, Any]:
    """What becomes of these, once they are known to be gone."""
    every = list(runs.select_related("task__owner").defer("script_text", "stdin").order_by("pk"))
    ending = [each for each in every if each.cancel_requested_at]
    again = [each for each in every if not each.cancel_requested_at and each.retry_if_lost]
    return {
        "runs": every[:NAMED],
        "more_runs": len(every) - NAMED,
        "cancelled": len(ending),
        "again": len(again),
        "failed": len(every) - len(ending) - len(again),
    }
