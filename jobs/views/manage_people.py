"""Administration of people: the list, one person, limits for one and for everybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.models import AuditEntry, User
from files.models import Dataset
from jobs.models import GIB, Run, Task, UserLimits
from jobs.queue import amount, size
from jobs.services import Refused, limits, people
from jobs.services.limits import NOTHING, PresentUse
from jobs.views.guard import SignedInRequest, staff_only

PAGE = 100
LATEST = 10


@dataclass(frozen=True)
class Row:
    """A person in the list."""

    user: User
    use: PresentUse
    limits: UserLimits
    """their own, or everybody's"""
    has_own: bool


@staff_only
@require_GET
def people_list(request: SignedInRequest) -> HttpResponse:
    wanted = request.GET.get("q", "").strip().replace("\0", "")[:150]
    rows = people.people()
    if wanted:
        rows = rows.filter(
            Q(username__icontains=wanted)
            | Q(email__icontains=wanted)
            | Q(first_name__icontains=wanted)
            | Q(last_name__icontains=wanted)
        )
    shown = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    keys = [user.pk for user in shown]
    use = limits.present_use(keys)
    every = {
        each.user_id: each
        for each in UserLimits.objects.filter(Q(user__in=keys) | Q(user__isnull=True))
    }
    usual = every.get(None) or UserLimits()
    context = {
        "tab": "people",
        "wanted": wanted,
        "shown": shown,
        "rows": [
            Row(user, use.get(user.pk, NOTHING), every.get(user.pk, usual), user.pk in every)
            for user in shown
        ],
        "usual": list(_fields(usual, None)),
    }
    return render(request, "manage/people.html", context)


@staff_only
@require_http_methods(["GET", "POST"])
def person_add(request: SignedInRequest) -> HttpResponse:
    typed: dict[str, Any] = {
        "username": request.POST.get("username", ""),
        "email": request.POST.get("email", ""),
        "staff": "staff" in request.POST,
    }
    context: dict[str, Any] = {"tab": "people", "typed": typed, "errors": {}}
    if request.method == "POST":
        try:
            added = people.add_person(by=request.user, **typed)
        except Refused as refused:
            context["errors"] = {refused.field or "all": str(refused)}
            return render(request, "manage/add.html", context, status=422)
        return _page(request, added, link=_link(request, added))
    return render(request, "manage/add.html", context)


@staff_only
@require_GET
def person(request: SignedInRequest, person: int) -> HttpResponse:
    return _page(request, _person(person))


@staff_only
@require_POST
@sensitive_variables("link")
def person_link(request: SignedInRequest, person: int) -> HttpResponse:
    """Not a redirect: the link exists only in this answer."""
    found = _person(person)
    try:
        link = _link(request, found)
    except Refused as refused:
        return _page(request, found, errors={"all": str(refused)}, status=422)
    return _page(request, found, link=link)


@staff_only
@require_POST
def person_switch(request: SignedInRequest, person: int) -> HttpResponse:
    """On; with `off` in the form, off; with `cancel_runs`, their Runs stop, too."""

    def act(found: User) -> str:
        if "off" not in request.POST:
            people.switch_on(by=request.user, person=found)
            return f"{found} can sign in again."
        stopped = people.switch_off(
            by=request.user, person=found, cancel_runs="cancel_runs" in request.POST
        )
        told = f" {stopped} of their Runs are asked to stop." if stopped else ""
        return f"{found} is signed out everywhere, and their tokens are revoked.{told}"

    return _act(request, person, act)


@staff_only
@require_POST
def person_staff(request: SignedInRequest, person: int) -> HttpResponse:
    """An administrator; with `undo` in the form, an ordinary person."""

    def act(found: User) -> str:
        people.set_staff(by=request.user, person=found, staff="undo" not in request.POST)
        return f"{found} is {'an administrator' if found.is_staff else 'an ordinary person'} now."

    return _act(request, person, act)


@staff_only
@require_POST
def person_mail(request: SignedInRequest, person: int) -> HttpResponse:
    """Another mail address, or with an empty one, none."""

    def act(found: User) -> str:
        people.set_email(by=request.user, person=found, email=request.POST.get("email", ""))
        return f"The mail address of {found} is {'saved' if found.email else 'removed'}."

    return _act(request, person, act)


@staff_only
@require_POST
def person_hand_over(request: SignedInRequest, person: int) -> HttpResponse:
    """Give all that they own to the person named in `to`."""

    def act(found: User) -> str:
        name = request.POST.get("to", "").strip().replace("\0", "")
        to = people.people().filter(username=name).first()
        if to is None:
            raise Refused("Type the user name of somebody who has an account.", field="to")
        tasks, datasets = people.hand_over(by=request.user, person=found, to=to)
        return f"{to} owns {tasks} Tasks and {datasets} Datasets of {found} now."

    return _act(request, person, act)


@staff_only
@require_POST
def person_delete(request: SignedInRequest, person: int) -> HttpResponse:
    """Once they own nothing, and with their name typed."""
    found = _person(person)
    if request.POST.get("name", "").strip() != found.get_username():
        told = f"Type {found.get_username()} to confirm."
        return _page(request, found, errors={"delete": told}, status=422)
    name = found.get_username()
    try:
        people.delete_person(by=request.user, person=found)
    except Refused as refused:
        return _page(request, found, errors={"all": str(refused)}, status=422)
    messages.success(request, f"The account of {name} is deleted.")
    return redirect("manage_people")


@staff_only
@require_POST
def person_limits(request: SignedInRequest, person: int) -> HttpResponse:
    """Their own; with `clear` in the form, everybody's hold again."""

    def act(found: User) -> str:
        if "clear" in request.POST:
            limits.clear_limits(by=request.user, person=found)
            return f"Everybody's limits hold for {found}."
        limits.set_limits(by=request.user, person=found, limits=_typed(request))
        return f"{found} has limits of their own."

    return _act(request, person, act)


@staff_only
@require_http_methods(["GET", "POST"])
def usual_limits(request: SignedInRequest) -> HttpResponse:
    """For everybody without limits of their own."""
    errors: dict[str, str] = {}
    if request.method == "POST":
        try:
            limits.set_limits(by=request.user, person=None, limits=_typed(request))
        except Refused as refused:
            errors = {refused.field or "all": str(refused)}
        else:
            messages.success(request, "These limits hold from now on.")
            return redirect("manage_people")
    fields = list(_fields(limits.own_limits(None) or UserLimits(), None, request, errors))
    context = {"tab": "people", "fields": fields, "errors": errors}
    return render(request, "manage/limits.html", context, status=422 if errors else 200)


def _act(request: SignedInRequest, key: int, act: Callable[[User], str]) -> HttpResponse:
    """Do it and say so, or show the page again with why not."""
    found = _person(key)
    try:
        told = act(found)
    except Refused as refused:
        errors = {refused.field or "all": str(refused)}
        return _page(request, _person(key), errors=errors, status=422)
    messages.success(request, told)
    return redirect("manage_person", person=key)


def _person(key: int) -> User:
    if key > 2**62:
        raise Http404
    return get_object_or_404(people.people(), pk=key)


def _link(request: SignedInRequest, found: User) -> str:
    return request.build_absolute_uri(people.password_link(by=request.user, person=found))


def _page(
    request: SignedInRequest,
    found: User,
    *,
    link: str = "",
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    own = limits.own_limits(found)
    usual = limits.own_limits(None)
    use = limits.present_use([found.pk]).get(found.pk, NOTHING)
    errors = errors or {}
    owned = Task.objects.filter(owner=found).aggregate(
        count=Count("pk"), binned=Count("pk", filter=Q(deleted_at__isnull=False))
    )
    runs = Run.objects.filter(submitted_by=found)
    context = {
        "tab": "people",
        "person": found,
        "link": link,
        "lasts": people.link_lasts(),
        "errors": errors,
        "is_oneself": found.pk == request.user.pk,
        "email": request.POST.get("email", "") if "email" in errors else found.email,
        "use": use,
        "own": own,
        "fields": list(_fields(own or usual or UserLimits(), use, request, errors)),
        "tasks": owned["count"],
        "binned": owned["binned"],
        "datasets": Dataset.objects.filter(owner=found).count(),
        "tokens": found.api_tokens.count(),
        "last_run": runs.order_by("-id").values_list("created_at", flat=True).first(),
        "why_not_deleted": people.why_not_deleted(found),
        "entries": list(
            AuditEntry.objects.filter(
                Q(actor=found) | Q(subject_id=people.subject_id(found))
            ).order_by("-id")[:LATEST]
        ),
    }
    return render(request, "manage/person.html", context, status=status)


@dataclass(frozen=True)
class Field:
    """One limit in a form."""

    name: str
    label: str
    unit: str
    text: str
    """as it stands in the field; "": no limit"""
    now: str
    """what they have now, in words; "" where nothing is to be compared"""
    error: str


_LABELS = {
    "max_running": ("Runs at a time", ""),
    "max_queued": ("Runs that wait", ""),
    "max_cpus": ("CPUs together", ""),
    "max_memory": ("Memory together", "GB"),
    "max_storage": ("Storage", "GB"),
    "share": ("Share in the queue", ""),
}
_IN_GB = ("max_memory", "max_storage")


def _fields(
    found: UserLimits,
    use: PresentUse | None,
    request: SignedInRequest | None = None,
    errors: dict[str, str] | None = None,
) -> Iterator[Field]:
    now = {}
    if use is not None:
        now = {
            "max_running": str(use.running),
            "max_queued": str(use.queued),
            "max_cpus": amount(use.cpus) if use.cpus else "none",
            "max_memory": size(use.memory) if use.memory else "none",
            "max_storage": size(use.storage) if use.storage else "none",
        }
    typed = request.POST if request is not None and request.method == "POST" else {}
    for name, (label, unit) in _LABELS.items():
        value = getattr(found, name)
        if value is not None and name in _IN_GB:
            value = value / GIB
        text = "" if value is None else f"{float(value):.3f}".rstrip("0").rstrip(".")
        text = typed.get(name, text) if errors else text
        yield Field(name, label, unit, text, now.get(name, ""), (errors or {}).get(name, ""))


def _typed(request: SignedInRequest) -> dict[str, Any]:
    """The limits of the form: GB as bytes, nothing as no limit. Raises Refused."""
    found: dict[str, Any] = {}
    for name in limits.FIELDS:
        if name not in request.POST:
            continue
        text = request.POST[name].strip().replace(",", ".")
        if not text:
            found[name] = 1.0 if name == "share" else None
            continue
        try:
            value = float(text)
        except ValueError:
            raise Refused("Give a number, or nothing for no limit.", field=name) from None
        if not abs(value) < 10**12:
            raise Refused("Give a smaller number.", field=name)
        if name in _IN_GB:
            value = round(value * GIB)
        elif name in ("max_running", "max_queued"):
            if value != int(value):
                raise Refused("Give a whole number, or nothing for no limit.", field=name)
            value = int(value)
        found[name] = value
    return found
