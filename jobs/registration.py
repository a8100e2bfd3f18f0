"""How the portal stands with Mesos, as its backend worker noted it, and registering it anew."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from django.db import transaction

from jobs import notify
from jobs.backends import mesos_notes
from jobs.models import BackendNote, Site
from jobs.services import Refused

if TYPE_CHECKING:
    from accounts.models import User

log = logging.getLogger(__name__)


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
        else explanation or "The portal did not ask Mesos yet.",
        agents=facts.agents,
        since=_moment(facts.since) if facts.since else None,
        removed_at=_moment(removal.at) if removal else None,
        removed_because=removal.words if removal else "",
    )


def register_anew(*, user: User) -> None:
    """After Mesos removed the portal's registration: the backend worker registers as a new framework,
    within seconds and by itself. Refused while the registration was not removed."""
    if not (user.is_active and user.is_staff):
        raise Refused("Only administrators may register the portal anew.")
    with transaction.atomic():
        removed = BackendNote.objects.filter(key=mesos_notes.REMOVED).exclude(value="")
        if not removed.update(value=""):
            raise Refused(
                "Mesos did not remove the portal's registration, so there is nothing to register "
                "anew."
            )
        BackendNote.objects.filter(key=mesos_notes.FRAMEWORK).update(value="")
        transaction.on_commit(notify.wake_supervision)
    log.warning("%s has the portal registered anew with Mesos", user)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
