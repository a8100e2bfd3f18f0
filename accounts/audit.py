"""The audit log: who did what, and when. Nothing else writes AuditEntry.

    audit.note(user, Action.TASK_SHARED, subject=task.name, subject_id=task.public_id,
               detail="with bert, as editor")

Call it inside the transaction of what it tells of: then either both are there or neither is.
"""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from accounts import origins
from accounts.actions import Action, phrase
from accounts.models import AuditEntry, User

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

__all__ = ["Action", "note", "phrase", "sweep"]

log = logging.getLogger(__name__)

DETAIL = 4000
"""characters of a detail at most"""
SWEPT_AT_ONCE = 5000


def note(
    actor: User | AnonymousUser | None,
    action: str,
    *,
    subject: str = "",
    subject_id: str = "",
    detail: str = "",
) -> None:
    """Write one entry. `actor` None: the portal itself. `action`: one of Action's values.

    Text is cut to what fits and freed of what a database can't keep, so odd names raise nothing; a
    database that fails does, and takes the action with it.
    """
    person = actor if isinstance(actor, User) and actor.pk is not None else None
    origin = origins.present()
    entry = AuditEntry(
        actor=person,
        actor_name=_text(person.get_username(), "actor_name") if person else "",
        via=_text(origin.via, "via"),
        address=origins.known_address(origin.address),
        action=_text(action, "action") or "unknown",
        subject=_text(subject, "subject"),
        subject_id=_text(subject_id, "subject_id"),
        detail=_clean(detail)[:DETAIL],
    )
    entry.save(force_insert=True)
    log.info("%s", entry)


def sweep(before: datetime) -> int:
    """Forget what is older. Returns how many; says so in the log itself."""
    gone = 0
    while keys := list(AuditEntry.objects.filter(at__lt=before).values_list("pk")[:SWEPT_AT_ONCE]):
        gone += AuditEntry.objects.filter(pk__in=[key for (key,) in keys]).delete()[0]
    if gone:
        note(None, Action.AUDIT_SWEPT, detail=f"{gone} from before {before:%Y-%m-%d}")
    return gone


def _text(value: Any, name: str) -> str:
    field: Any = AuditEntry._meta.get_field(name)
    return _clean(value)[: field.max_length]


def _clean(value: Any) -> str:
    """Without NULs, lone surrogates and line breaks that would forge a second line."""
    text = str(value).encode(errors="replace").decode()
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
