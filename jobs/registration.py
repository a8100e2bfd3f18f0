"""How the portal stands with Mesos, as its backend worker noted it, and registering it anew."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.db import transaction

from accounts import audit
from accounts.audit import Action
from jobs import notify
from jobs.backends import mesos_notes
from jobs.models import BackendNote, Site
from jobs.services import Refused
from jobs.services.rights import staff_only

if TYPE_CHECKING:
    from accounts.models import User

SETTLING = 15.0
"""seconds from the removal: agents give executors 5 (executor_shutdown_grace_period) and then kill"""
ANEW = "It registers anew."


@dataclass(frozen=True, kw_only=True)
class Registration:
    """With a Mesos master; everything is as it was last known."""

    master: str
    """host:port of the one that leads; "" if none is known"""
    version: str
    framework_id: str
    registered: bool
    explanation: str
    """a sentence: why not registered, or what else is amiss; "" if all is well"""
    agents: int
    """how many answer"""
    since: datetime | None
    """since when it is registered, or isn't"""
    removed_at: datetime | None
    """when Mesos removed the portal's registration; None: it did not"""
    removed_because: str
    """Mesos' own words"""

    @property
    def removed(self) -> bool:
        return self.removed_at is not None


def registration(site: Site) -> Registration | None:
    """None: the site's backend is not Mesos. One statement at most."""
    if site.backend != "mesos":
        return None
    keys = (mesos_notes.MASTER, mesos_notes.REMOVED, mesos_notes.FRAMEWORK)
    notes = dict(BackendNote.objects.filter(key__in=keys).values_list("key", "value"))
    facts = mesos_notes.facts(notes.get(mesos_notes.MASTER, "")) or mesos_notes.MasterFacts()
    removal = mesos_notes.removal(notes.get(mesos_notes.REMOVED, ""))
    registered = facts.registered and removal is None
    explanation = str(removal) if removal else facts.trouble
    return Registration(
        master=facts.master,
        version=facts.version,
        framework_id=facts.framework_id or notes.get(mesos_notes.FRAMEWORK, ""),
        registered=registered,
        explanation=explanation
        if registered
        else explanation or "The portal has not reached Mesos yet.",
        agents=facts.agents,
        since=_moment(facts.since) if facts.since else None,
        removed_at=_moment(removal.at) if removal else None,
        removed_because=removal.words if removal else "",
    )


def register_anew(*, user: User) -> None:
    """After Mesos removed the portal's registration: the backend worker registers as a new framework,
    within seconds and by itself. Refused while the registration was not removed, and until Mesos has
    had the time to end what ran: what it calls gone then is gone."""
    staff_only(user, "register the portal anew")
    with transaction.atomic():
        notes = BackendNote.objects.select_for_update().in_bulk(
            [mesos_notes.REMOVED, mesos_notes.FRAMEWORK, mesos_notes.MASTER]
        )
        removed = notes.get(mesos_notes.REMOVED)
        removal = mesos_notes.removal(removed.value) if removed else None
        if removal is None:
            raise Refused(
                "Mesos did not remove the portal's registration, so there is nothing to register "
                "anew."
            )
        if (ended := time.time() - removal.at) < SETTLING:
            raise Refused(
                "Mesos removed the registration a moment ago and may still be ending its Runs: "
                f"try again in {math.ceil(SETTLING - ended)} seconds."
            )
        for key, note in notes.items():
            facts = mesos_notes.facts(note.value) if key == mesos_notes.MASTER else None
            note.value = (
                mesos_notes.as_note(replace(facts, registered=False, trouble=ANEW)) if facts else ""
            )
            note.save()
        audit.note(user, Action.REGISTERED_ANEW)
        transaction.on_commit(notify.wake_supervision)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
