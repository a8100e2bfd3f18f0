"""What administrators tell everybody: a sentence across the top of every page, for a while."""

from __future__ import annotations

import unicodedata
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import audit
from accounts.audit import Action
from jobs.models import Announcement
from jobs.services.refused import Refused
from jobs.services.rights import staff_only

if TYPE_CHECKING:
    from accounts.models import User

LONGEST = 500
"""characters"""
SHOWN = 5
"""at a time: they stand above what people came for"""
YEARS = range(2000, 3000)
"""what every time zone and every database can write"""
MARKS = 4
"""combining marks in a row: what languages need, and not towers over other lines"""
_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"


def shown_now() -> QuerySet[Announcement]:
    """Warnings first, then the newest."""
    now = timezone.now()
    rows = Announcement.objects.filter(shown_from__lte=now)
    rows = rows.filter(Q(shown_until__isnull=True) | Q(shown_until__gt=now))
    return rows.order_by("-is_warning", "-shown_from")


def announce(
    *,
    by: User,
    text: str,
    is_warning: bool = False,
    shown_from: datetime | None = None,
    shown_until: datetime | None = None,
) -> Announcement:
    """From now or from then on every page has it, until it is ended or its time is over."""
    staff_only(by)
    made = Announcement(
        text=_text(text),
        is_warning=is_warning,
        shown_from=shown_from or timezone.now(),
        shown_until=shown_until,
        created_by=by,
    )
    _in_order(made)
    with transaction.atomic():
        made.save()
        _note(by, Action.ANNOUNCEMENT_MADE, made)
    return made


def change(
    *,
    by: User,
    announcement: Announcement,
    text: str,
    is_warning: bool,
    shown_from: datetime,
    shown_until: datetime | None,
) -> Announcement:
    """Whoever dismissed it sees it again if its text is another."""
    staff_only(by)
    before = _shown(announcement)
    announcement.text = _text(text)
    announcement.is_warning = is_warning
    announcement.shown_from, announcement.shown_until = shown_from, shown_until
    _in_order(announcement)
    with transaction.atomic():
        announcement.save()
        if told := audit.differences(before, _shown(announcement)):
            _note(by, Action.ANNOUNCEMENT_CHANGED, announcement, told)
    return announcement


def end(*, by: User, announcement: Announcement) -> Announcement:
    """No page shows it any more, or ever will. Safe to repeat."""
    staff_only(by)
    now = timezone.now()
    if announcement.shown_until is None or announcement.shown_until > now:
        with transaction.atomic():
            announcement.shown_from = min(announcement.shown_from, now)
            announcement.shown_until = now
            announcement.save()
            _note(by, Action.ANNOUNCEMENT_ENDED, announcement)
    return announcement


def _text(text: str) -> str:
    text = " ".join(text.split())
    if not text or not _can_be_seen(text):
        raise Refused("Write what you announce: letters and signs that can be seen.", field="text")
    if len(text) > LONGEST:
        raise Refused(f"Use at most {LONGEST} characters.", field="text")
    return text


def _can_be_seen(text: str) -> bool:
    """Joiners make one sign of two, of emoji for instance: between them, and one at a time."""
    marks = 0
    for index, sign in enumerate(text):
        if sign in _JOINERS:
            beside = text[max(0, index - 1) : index] + text[index + 1 : index + 2]
            if len(beside) < 2 or any(each.isspace() or each in _JOINERS for each in beside):
                return False
        elif not sign.isprintable():
            return False
        marks = marks + 1 if unicodedata.category(sign) in ("Mn", "Me") else 0
        if marks > MARKS:
            return False
    return True


def _in_order(announcement: Announcement) -> None:
    until = announcement.shown_until
    for field, moment in (("shown_from", announcement.shown_from), ("shown_until", until)):
        if moment is not None and moment.year not in YEARS:
            raise Refused(f"Choose a year from {YEARS[0]} to {YEARS[-1]}.", field=field)
    if until is not None and until <= max(announcement.shown_from, timezone.now()):
        raise Refused(
            "Choose an end that is still to come, and after its beginning.", field="shown_until"
        )


def _shown(announcement: Announcement) -> dict[str, Any]:
    """What the audit log tells of a change."""
    return {
        "text": announcement.text,
        "warning": announcement.is_warning,
        "from": announcement.shown_from,
        "to": announcement.shown_until,
    }


def _note(by: User, action: Action, announcement: Announcement, told: str = "") -> None:
    text = announcement.text
    until = announcement.shown_until
    audit.note(
        by,
        action,
        subject=text if len(text) <= 80 else f"{text[:79]}…",
        subject_id=f"announcement-{announcement.pk}",
        detail=told
        or f"from {audit.moment(announcement.shown_from)}"
        + (f" to {audit.moment(until)}" if until else ""),
    )
