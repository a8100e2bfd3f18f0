"""Home: what runs and waits, what ended, my Tasks, what is free."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib import messages
from django.db.models import OuterRef, Q, Subquery
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.models import User
from jobs import capacity, examples, recent, services
from jobs.models import Environment, Run, Task, TaskQuerySet, shared_with
from jobs.registration import registration
from jobs.services import quota
from jobs.views.context import site_of
from jobs.views.guard import SignedInRequest, signed_in

TASKS_PER_PAGE = 50
MOST_TASKS = 1000
RECENT = 5
UNFINISHED = 50


def _now(request: SignedInRequest) -> dict[str, Any]:
    site = site_of(request)
    unfinished = list(recent.going_on_for(request.user)[: UNFINISHED + 1])
    return {
        "unfinished": unfinished[:UNFINISHED],
        "more_unfinished": len(unfinished) > UNFINISHED,
        "ended": recent.ended_last_for(request.user, RECENT),
        "free": capacity.total(capacity.machines(site.backend)),
        "storage": quota.storage_of(request.user),
        "mesos": registration(site) if request.user.is_staff else None,
    }


class View(NamedTuple):
    """One of the lists of Tasks."""

    key: str
    label: str
    nothing: str
    """what an empty list says"""


_VIEWS = (
    View("all", "All", "You have no Task yet."),
    View("mine", "Mine", "You own no Task."),
    View("shared", "Shared with me", "Nobody shares a Task with you."),
    View("archive", "Archive", "Nothing is in the archive. A Task gets there in its settings."),
    View("bin", "Bin", "The bin is empty."),
)
_BY_KEY = {view.key: view for view in _VIEWS}
LONGEST_SEARCH = 100


def _tasks(request: SignedInRequest) -> dict[str, Any]:
    """The newest `count` Tasks of the list `show` whose names hold `q`; a list that was made longer
    stays so when it refreshes itself."""
    asked = request.GET.get("count", "")
    count = max(
        TASKS_PER_PAGE, min(int(asked), MOST_TASKS) if asked.isdecimal() and len(asked) < 10 else 0
    )
    view = _BY_KEY.get(request.GET.get("show", ""), _VIEWS[0])
    search = request.GET.get("q", "").replace("\0", "").strip()[:LONGEST_SEARCH]
    last = Run.objects.filter(task=OuterRef("pk")).order_by("-id")
    rows = _listed(view, request.user).select_related("owner")
    if search:
        rows = rows.filter(Q(name__icontains=search) | Q(description__icontains=search))
    tasks = list(
        rows.annotate(
            last_run=Subquery(last.values("public_id")[:1]),
            last_state=Subquery(last.values("state")[:1]),
        )[: count + 1]
    )
    more = count + TASKS_PER_PAGE if len(tasks) > count else None
    return {
        "tasks": tasks[:count],
        "count": count,
        "more": more,
        "view": view,
        "search": search,
        "query": urlencode({"show": view.key, "q": search}),
    }


def _listed(view: View, user: User) -> TaskQuerySet:
    if view.key == "bin":
        return Task.objects.in_bin_of(user).filter(owner=user).order_by("-deleted_at")
    tasks = Task.objects.of(user)
    if view.key == "archive":
        return tasks.filter(archived_at__isnull=False).order_by("-archived_at")
    tasks = tasks.filter(archived_at__isnull=True)
    if view.key == "mine":
        return tasks.filter(owner=user)
    return tasks.exclude(owner=user) if view.key == "shared" else tasks


@signed_in
@require_GET
def home(request: SignedInRequest) -> HttpResponse:
    tasks = _tasks(request)
    new = not tasks["tasks"] and not Task.objects.filter(_anything_of(request.user)).exists()
    context = {
        **_now(request),
        **tasks,
        "views": _VIEWS,
        "new": new,
        "examples": examples.available() if new else [],
    }
    return render(request, "home/page.html", context)


def _anything_of(user: User) -> Q:
    """Whatever there ever was: in the archive, in the bin, of others."""
    return Q(owner_id=user.pk) | Q(pk__in=shared_with(user))


@signed_in
@require_GET
def home_now(request: SignedInRequest) -> HttpResponse:
    return render(request, "home/now.html", _now(request))


@signed_in
@require_GET
def home_tasks(request: SignedInRequest) -> HttpResponse:
    return render(request, "home/task_list.html", _tasks(request))


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
