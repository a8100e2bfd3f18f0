"""Environments, for administrators: which there are, how their checks went, what can be done."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jobs.models import Environment, EnvironmentState, PullPolicy, Run, Site, Task
from jobs.services import Refused
from jobs.services import environments as services
from jobs.views.guard import SignedInRequest, staff_only
from jobs.views.present import Shown
from jobs.views.tasks import log_of
from jobs.views.timeline import attempts_of

LATELY = timedelta(days=30)
CHECKS = 10
"""earlier checks that are listed"""

_FORM = ("name", "image", "description", "packages", "pull_policy", "constraints")
_SHOWN = {
    EnvironmentState.READY: Shown("succeeded", "Ready", ""),
    EnvironmentState.CHECKING: Shown("starting", "Being checked", ""),
    EnvironmentState.FAILED: Shown("failed", "Check failed", "Nobody can choose it."),
    EnvironmentState.UNCHECKED: Shown("waiting", "Not checked", "Nobody can choose it yet."),
    EnvironmentState.RETIRED: Shown("cancelled", "Retired", "No new Run can choose it."),
}


def _shown(environment: Environment) -> Shown:
    state = environment.state
    if state is EnvironmentState.READY and environment.last_check_failed:
        return Shown("unreachable", "Ready", "Its last check failed.")
    if state is EnvironmentState.READY and environment.is_checked_now:
        return Shown("succeeded", "Ready", "It is being checked again.")
    return _SHOWN[state]


@staff_only
@require_GET
def environments(request: SignedInRequest) -> HttpResponse:
    return render(request, "manage/environments.html", _listed())


@staff_only
@require_GET
def environments_now(request: SignedInRequest) -> HttpResponse:
    return render(request, "manage/environments_now.html", _listed())


def _listed() -> dict[str, Any]:
    site = Site.load()
    found = list(services.managed_environments())
    recent = Run.objects.filter(created_at__gt=timezone.now() - LATELY, task__is_hidden=False)
    counts = dict(recent.order_by().values_list("environment").annotate(Count("pk")))
    rows = [
        {
            "environment": each,
            "shown": _shown(each),
            "runs": counts.get(each.pk, 0),
            "digest": _digest(each.tested_digest),
            "suits": each.uses_image == site.backend_has_images,
        }
        for each in found
    ]
    return {
        "tab": "environments",
        "site": site,
        "rows": [row for row in rows if row["environment"].retired_at is None],
        "retired": [row for row in rows if row["environment"].retired_at is not None],
    }


@staff_only
@require_GET
def environment(request: SignedInRequest, slug: str) -> HttpResponse:
    context = _detail(_found(slug))
    run = context["environment"].check_run
    context["log"] = log_of(run) if run is not None else None
    return render(request, "manage/environment.html", context)


@staff_only
@require_GET
def environment_now(request: SignedInRequest, slug: str) -> HttpResponse:
    """All of the page but the log: it follows the check while that goes on."""
    return render(request, "manage/environment_now.html", _detail(_found(slug)))


@staff_only
@require_http_methods(["GET", "POST"])
def environment_new(request: SignedInRequest) -> HttpResponse:
    context: dict[str, Any] = {
        "site": Site.load(),
        "values": {"pull_policy": PullPolicy.ALWAYS.value},
    }
    if request.method == "POST":
        context["values"] = _given(request)
        try:
            made = services.add_environment(user=request.user, **_given(request))
        except Refused as refused:
            context["refused"] = refused
        else:
            messages.success(request, f"“{made.name}” is added. It is being checked now.")
            return redirect("manage_environment", made.slug)
    return _form(request, context)


@staff_only
@require_http_methods(["GET", "POST"])
def environment_edit(request: SignedInRequest, slug: str) -> HttpResponse:
    found = _found(slug)
    values = {name: getattr(found, name) for name in _FORM}
    values["packages"] = "\n".join(found.packages)
    context: dict[str, Any] = {"environment": found, "site": Site.load(), "values": values}
    if request.method == "POST":
        given = _given(request)
        context["values"] = given
        if not found.uses_image:
            given = {name: given[name] for name in given.keys() - {"image", "pull_policy"}}
        try:
            changed = services.change_environment(user=request.user, environment=found, **given)
        except Refused as refused:
            context["refused"] = refused
        else:
            messages.success(request, f"“{changed.name}” is saved.")
            return redirect("manage_environment", changed.slug)
    return _form(request, context)


@staff_only
@require_POST
def environment_check(request: SignedInRequest, slug: str) -> HttpResponse:
    found = _found(slug)
    try:
        services.check_environment(user=request.user, environment=found)
    except Refused as refused:
        messages.error(request, str(refused))
    return redirect("manage_environment", found.slug)


@staff_only
@require_POST
def environment_default(request: SignedInRequest, slug: str) -> HttpResponse:
    found = _found(slug)
    try:
        services.make_default(user=request.user, environment=found)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, f"“{found.name}” is the usual Environment now.")
    return redirect("manage_environment", found.slug)


@staff_only
@require_http_methods(["GET", "POST"])
def environment_retire(request: SignedInRequest, slug: str) -> HttpResponse:
    """What retiring it would do, and the doing; with `undo` in the form, take it back into use."""
    found = _found(slug)
    if request.method == "GET":
        return render(request, "manage/environment_retire.html", _consequences(found))
    undo = bool(request.POST.get("undo"))
    act = services.restore_environment if undo else services.retire_environment
    try:
        act(user=request.user, environment=found)
    except Refused as refused:
        messages.error(request, str(refused))
    else:
        done = "in use again" if undo else "retired. You can take it back into use here at any time"
        messages.success(request, f"“{found.name}” is {done}.")
    return redirect("manage_environment", found.slug)


def _found(slug: str) -> Environment:
    return get_object_or_404(services.managed_environments(), slug=slug)


def _given(request: SignedInRequest) -> dict[str, str]:
    return {name: request.POST.get(name, "") for name in _FORM}


def _form(request: SignedInRequest, context: dict[str, Any]) -> HttpResponse:
    context |= {"tab": "environments", "policies": PullPolicy.choices}
    context["at_once"] = "refused" in context and not context["refused"].field
    status = 422 if "refused" in context else 200
    return render(request, "manage/environment_form.html", context, status=status)


def _detail(environment: Environment) -> dict[str, Any]:
    run = environment.check_run
    runs = Run.objects.filter(environment=environment)
    checks = runs.filter(task__is_hidden=True).select_related("task", "submitted_by")
    site = Site.load()
    return {
        "tab": "environments",
        "environment": environment,
        "shown": _shown(environment),
        "suits": environment.uses_image == site.backend_has_images,
        "run": run,
        "attempts": attempts_of(run, run.timeline.all()) if run is not None else (),
        "newer": services.newer_image(environment),
        "lately": runs.filter(
            created_at__gt=timezone.now() - LATELY, task__is_hidden=False
        ).count(),
        "checks": list(checks.defer("script_text", "stdin").order_by("-id")[1 : CHECKS + 1]),
        "pull_policy": PullPolicy(environment.pull_policy).label,
        "page": reverse("manage_environment", args=[environment.slug]),
    }


def _consequences(environment: Environment) -> dict[str, Any]:
    unfinished = Run.objects.unfinished().filter(environment=environment, task__is_hidden=False)
    tasks = Task.objects.filter(environment=environment, deleted_at__isnull=True, is_hidden=False)
    return {
        "tab": "environments",
        "environment": environment,
        "unfinished": unfinished.count(),
        "tasks": tasks.count(),
    }


def _digest(reference: str) -> str:
    """Without its repository: what tells one image from another."""
    return reference.rpartition("@")[2]
