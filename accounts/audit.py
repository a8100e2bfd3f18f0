"""The audit log: who did what, and when. Nothing else writes AuditEntry.

    audit.note(user, Action.TASK_SHARED, subject=task.name, subject_id=task.public_id,
               detail="with bert, as editor")

Call it inside the transaction of what it tells of: then either both are there or neither is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from accounts import origins
from accounts.actions import Action, phrase
from accounts.counting import count
from accounts.models import AuditEntry, User

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

__all__ = ["Action", "differences", "moment", "note", "note_each", "note_once", "phrase", "sweep"]

log = logging.getLogger(__name__)

DETAIL = 4000
"""characters of a detail at most"""
VALUE_ROOM = 100
"""of them beside each value of a change"""
LONGEST_ACCOUNT = 100
"""characters of the account on the machine that gave a command"""
SWEPT_AT_ONCE = 5000
WRITTEN_AT_ONCE = 500


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
    entry = _entry(actor, action, subject, subject_id, detail)
    entry.save(force_insert=True)
    log.info("%s", entry)


def note_each(
    actor: User | None, action: str, subjects: Iterable[tuple[str, str]], *, detail: str = ""
) -> None:
    """An entry for each (name, id), all alike but for that, in few statements."""
    entries = [_entry(actor, action, name, key, detail) for name, key in subjects]
    AuditEntry.objects.bulk_create(entries, batch_size=WRITTEN_AT_ONCE)
    for entry in entries:
        log.info("%s", entry)


def note_once(
    key: str, *, seconds: int, actor: User | AnonymousUser | None, action: str, **words: str
) -> None:
    """note(), unless something was noted under this key in the last `seconds`.

    Where nobody can count (accounts/counting.py) people's deeds are noted each time, and strangers'
    not at all: they could fill the disk.
    """
    before = count(f"audit:{key}", seconds=seconds)
    if before == 1 or (before == 0 and isinstance(actor, User)):
        note(actor, action, **words)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What is another now, each with what it was, for a detail; "" if nothing is."""
    pairs = {name: (_value(after[name]), _value(old)) for name, old in before.items()}
    changed = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    # All of them fit, however long some are.
    most = DETAIL // (2 * len(changed) or 1) - VALUE_ROOM
    return ", ".join(
        f"{name}: {_cut(new, most)} instead of {_cut(old, most)}"
        for name, (new, old) in changed.items()
    )


def moment(value: datetime) -> str:
    """In a detail: to the minute, whatever zone it was typed in."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return moment(value)
    text = ", ".join(value) if isinstance(value, (list, tuple)) else str(value or "")
    return f"“{text}”" if text else "nothing"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 2]}…”"


def _entry(
    actor: User | AnonymousUser | None, action: str, subject: str, subject_id: str, detail: str
) -> AuditEntry:
    person = actor if isinstance(actor, User) and actor.pk is not None else None
    origin = origins.present()
    detail = _clean(detail)[:DETAIL]
    if origin.given_by:
        # Never cut off: it is the only name that an entry of a command has.
        by = _clean(f"Given on the machine by {origin.given_by}")[:LONGEST_ACCOUNT]
        detail = f"{detail[: DETAIL - len(by) - 3]} ({by})".strip()
    return AuditEntry(
        actor=person,
        actor_name=_text(person.get_username(), "actor_name") if person else "",
        via=_text(origin.via, "via"),
        address=origins.known_address(origin.address),
        action=_text(action, "action") or "unknown",
        subject=_text(subject, "subject"),
        subject_id=_text(subject_id, "subject_id"),
        detail=detail,
    )


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
