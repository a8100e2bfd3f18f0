"""Administration of announcements: make, schedule, change, end."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.views.decorators.http import require_http_methods, require_POST

from jobs.models import Announcement
from jobs.services import Refused, announcements
from jobs.views.guard import SignedInRequest, staff_only

PAST = 20


@staff_only
@require_http_methods(["GET", "POST"])
def announcement_list(request: SignedInRequest) -> HttpResponse:
    """Those there are; POST makes one."""
    if request.method == "GET":
        return _page(request)
    try:
        announcements.announce(by=request.user, **_typed(request))
    except Refused as refused:
        return _page(request, errors={refused.field or "all": str(refused)})
    messages.success(request, "Announced.")
    return redirect("manage_announcements")


@staff_only
@require_http_methods(["GET", "POST"])
def announcement(request: SignedInRequest, announcement: int) -> HttpResponse:
    """One of them in the form; POST changes it."""
    found = _find(announcement)
    if request.method == "GET":
        return _page(request, found)
    try:
        typed = _typed(request)
        typed["shown_from"] = typed["shown_from"] or found.shown_from
        announcements.change(by=request.user, announcement=found, **typed)
    except Refused as refused:
        errors = {refused.field or "all": str(refused)}
        return _page(request, _find(announcement), errors=errors)
    messages.success(request, "The announcement is changed.")
    return redirect("manage_announcements")


@staff_only
@require_POST
def announcement_end(request: SignedInRequest, announcement: int) -> HttpResponse:
    announcements.end(by=request.user, announcement=_find(announcement))
    messages.success(request, "The announcement has ended.")
    return redirect("manage_announcements")


def _find(key: int) -> Announcement:
    return get_object_or_404(Announcement, pk=min(key, 2**62))


def _page(
    request: SignedInRequest,
    changing: Announcement | None = None,
    *,
    errors: dict[str, str] | None = None,
) -> HttpResponse:
    now = timezone.now()
    rows = Announcement.objects.select_related("created_by")
    open_end = Q(shown_until__isnull=True) | Q(shown_until__gt=now)
    context: dict[str, Any] = {
        "tab": "announcements",
        "now": now,
        "zone": timezone.get_current_timezone_name(),
        "changing": changing,
        "errors": errors or {},
        "typed": request.POST if errors else _as_typed(changing),
        "present": list(rows.filter(open_end).order_by("shown_from")),
        "most": announcements.SHOWN,
        "unseen": [each.pk for each in announcements.shown_now()[announcements.SHOWN :]],
        "past": list(rows.filter(shown_until__lte=now).order_by("-shown_until")[:PAST]),
    }
    return render(request, "manage/announcements.html", context, status=422 if errors else 200)


def _as_typed(found: Announcement | None) -> dict[str, str]:
    if found is None:
        return {}
    until = found.shown_until
    return {
        "text": found.text,
        "is_warning": "1" if found.is_warning else "",
        "shown_from": _local(found.shown_from),
        "shown_until": _local(until) if until else "",
    }


def _local(moment: datetime) -> str:
    """As <input type="datetime-local"> has it, in the portal's own zone."""
    return timezone.localtime(moment).strftime("%Y-%m-%dT%H:%M")


def _typed(request: SignedInRequest) -> dict[str, Any]:
    return {
        "text": request.POST.get("text", ""),
        "is_warning": "is_warning" in request.POST,
        "shown_from": _moment(request, "shown_from"),
        "shown_until": _moment(request, "shown_until"),
    }


def _moment(request: SignedInRequest, field: str) -> datetime | None:
    text = request.POST.get(field, "").strip()
    if not text:
        return None
    found = None
    with suppress(ValueError):
        found = parse_datetime(text)
    if found is None or found.year not in announcements.YEARS:
        raise Refused("Give a day and a time.", field=field)
    return found if timezone.is_aware(found) else timezone.make_aware(found)
