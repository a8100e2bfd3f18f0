"""Home: what runs and waits, what ended, my Tasks, what is free."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.db.models import OuterRef, Subquery
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jobs import capacity, examples, services
from jobs.models import Environment, Run, Site, Task
from jobs.registration import registration
from jobs.views.guard import SignedInRequest, signed_in

TASKS_PER_PAGE = 50
MOST_TASKS = 1000
RECENT = 5
UNFINISHED = 50


def _now(request: SignedInRequest) -> dict[str, Any]:
    runs = Run.objects.of(request.user).select_related("task")
    unfinished = list(runs.unfinished().order_by("-id")[: UNFINISHED + 1])
    return {
        "unfinished": unfinished[:UNFINISHED],
        "more_unfinished": len(unfinished) > UNFINISHED,
        "ended": list(runs.finished().order_by("-finished_at")[:RECENT]),
        "free": capacity.total(),
        "mesos": registration(Site.load()) if request.user.is_staff else None,
    }


def _tasks(request: SignedInRequest) -> dict[str, Any]:
    """The newest `count` Tasks; a list that was made longer stays so when it refreshes itself."""
    asked = request.GET.get("count", "")
    count = max(
        TASKS_PER_PAGE, min(int(asked), MOST_TASKS) if asked.isdecimal() and len(asked) < 10 else 0
    )
    last = Run.objects.filter(task=OuterRef("pk")).order_by("-id")
    tasks = list(
        Task.objects.of(request.user).annotate(
            last_run=Subquery(last.values("public_id")[:1]),
            last_state=Subquery(last.values("state")[:1]),
        )[: count + 1]
    )
    more = count + TASKS_PER_PAGE if len(tasks) > count else None
    return {"tasks": tasks[:count], "count": count, "more": more}


@signed_in
@require_GET
def home(request: SignedInRequest) -> HttpResponse:
    tasks = _tasks(request)
    context = {**_now(request), **tasks, "examples": [] if tasks["tasks"] else examples.available()}
    return render(request, "home/page.html", context)


@signed_in
@require_GET
def home_now(request: SignedInRequest) -> HttpResponse:
    return render(request, "home/now.html", _now(request))


@signed_in
@require_GET
def home_tasks(request: SignedInRequest) -> HttpResponse:
    return render(request, "home/task_rows.html", _tasks(request))


@signed_in
@require_http_methods(["GET", "POST"])
def task_new(request: SignedInRequest) -> HttpResponse:
    """One field to fill in; the rest has the usual choice and can be changed in the console."""
    context: dict[str, Any] = {
        "environments": Environment.objects.offered(),
        "examples": examples.available(),
    }
    if request.method == "POST":
        context["name"] = request.POST.get("name", "")
        slug = request.POST.get("environment", "")
        try:
            environment = Environment.objects.offered().filter(slug=slug).first() if slug else None
            task = services.create_task(
                user=request.user, name=context["name"], environment=environment
            )
        except services.Refused as refused:
            context["refused"] = refused
        else:
            return redirect(task)
    return render(request, "task/new.html", context, status=422 if "refused" in context else 200)


@signed_in
@require_POST
def example(request: SignedInRequest, slug: str) -> HttpResponse:
    """Make the example's Task, run it, and show it running."""
    try:
        run = examples.start(user=request.user, slug=slug)
    except services.Refused as refused:
        messages.error(request, str(refused))
        return redirect("home")
    return redirect(run.task)
