"""Administration: who did what."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.views.decorators.http import require_GET

from accounts import audit_search
from accounts.audit import Action, phrase
from accounts.audit_search import AuditFilter
from accounts.models import AuditEntry
from jobs.views.guard import SignedInRequest, staff_only

_KINDS = {
    kind: [
        (action.value, action.sentence.format("…"))
        for action in Action
        if action.value.partition(".")[0] == kind
    ]
    for kind in sorted({action.value.partition(".")[0] for action in Action})
}
"""what can be looked for: kind -> its actions, each with its key and how it reads in the log"""


@dataclass(frozen=True)
class Line:
    entry: AuditEntry
    did: str


@staff_only
@require_GET
def audit_log(request: SignedInRequest) -> HttpResponse:
    wanted, typed = _filter(request.GET)
    before = request.GET.get("before", "")
    entries, older = audit_search.page(
        wanted.rows(),
        before=int(before)
        if before.isascii() and before.isdecimal() and len(before) < 19
        else None,
    )
    query = request.GET.copy()
    query.pop("before", None)
    older_query = query.copy()
    older_query["before"] = str(older)
    context: dict[str, Any] = {
        "tab": "audit",
        "typed": typed,
        "lines": [Line(entry, phrase(entry.action, entry.subject)) for entry in entries],
        "older": older_query.urlencode() if older else "",
        "newest": query.urlencode() if before else None,
        "query": query.urlencode(),
        "kinds": _KINDS,
        "days": settings.RCLUSTER_AUDIT_DAYS,
        "is_filtered": any(typed.values()),
    }
    return render(request, "manage/audit.html", context)


@staff_only
@require_GET
def audit_csv(request: SignedInRequest) -> StreamingHttpResponse:
    """All that the filter finds, as a file."""
    wanted, _ = _filter(request.GET)
    name = f"audit-{timezone.localdate():%Y-%m-%d}.csv"
    return StreamingHttpResponse(
        audit_search.as_csv(wanted.rows()),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _filter(query: QueryDict) -> tuple[AuditFilter, dict[str, str]]:
    """What is looked for, and the fields as they were typed; a day that is none is left out."""
    typed = {
        name: query.get(name, "").strip()[:250]
        for name in ("person", "action", "subject", "since", "until")
    }
    since, until = _day(typed["since"]), _day(typed["until"])
    wanted = AuditFilter(
        person=typed["person"],
        action=typed["action"],
        subject=typed["subject"],
        since=_midnight(since) if since else None,
        # The whole of the last day.
        until=_midnight(until + timedelta(days=1)) if until else None,
    )
    return wanted, typed


def _day(text: str) -> date | None:
    with suppress(ValueError):
        found = parse_date(text)
        if found is not None and 2000 <= found.year < 3000:
            return found
    return None


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))
