"""Reading the audit log: filters, pages by keyset, and a file for a spreadsheet."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from accounts.audit import phrase
from accounts.models import AuditEntry

PAGE = 100
COLUMNS = ("time", "person", "did", "action", "subject", "subject_id", "detail", "via", "address")
_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class AuditFilter:
    """What to look for; "" and None: whatever it is."""

    person: str = ""
    """user name, as it was then"""
    action: str = ""
    """task.shared, or task for all that begin so"""
    subject: str = ""
    """part of its name, or its id"""
    since: datetime | None = None
    until: datetime | None = None

    def rows(self) -> QuerySet[AuditEntry]:
        """The newest first."""
        rows = AuditEntry.objects.order_by("-id")
        for text in (self.person, self.action, self.subject):
            if "\0" in text:
                return rows.none()
        if self.person:
            rows = rows.filter(actor_name=self.person)
        if self.action:
            rows = rows.filter(Q(action=self.action) | Q(action__startswith=f"{self.action}."))
        if self.subject:
            rows = rows.filter(Q(subject_id=self.subject) | Q(subject__icontains=self.subject))
        if self.since:
            rows = rows.filter(at__gte=self.since)
        if self.until:
            rows = rows.filter(at__lt=self.until)
        return rows


def page(rows: QuerySet[AuditEntry], *, before: int | None) -> tuple[list[AuditEntry], int | None]:
    """PAGE entries older than the entry `before`, and where the next page begins (None: no more).

    Entries that are added meanwhile never shift a page.
    """
    found = list((rows.filter(pk__lt=before) if before else rows)[: PAGE + 1])
    return found[:PAGE], found[PAGE - 1].pk if len(found) > PAGE else None


class _Line:
    """What csv writes to: hands each line on."""

    def write(self, text: str) -> str:
        return text


def as_csv(rows: QuerySet[AuditEntry]) -> Iterator[str]:
    """Line by line, as RFC 4180 has it. Reads some rows at a time, however long the log is."""
    writer: Any = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    before: int | None = None
    while chunk := list((rows.filter(pk__lt=before) if before else rows)[:_AT_ONCE]):
        for entry in chunk:
            yield writer.writerow([_harmless(cell) for cell in _cells(entry)])
        before = chunk[-1].pk


def _cells(entry: AuditEntry) -> tuple[str, ...]:
    return (
        entry.at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        entry.actor_name,
        phrase(entry.action, entry.subject),
        entry.action,
        entry.subject,
        entry.subject_id,
        entry.detail,
        entry.via,
        entry.address or "",
    )


def _harmless(cell: str) -> str:
    """A spreadsheet takes what begins so for a formula, and names are what people type."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
