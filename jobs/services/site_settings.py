"""What administrators choose for the whole portal while it runs; the rest is set when it starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction

from accounts import audit
from accounts.audit import Action
from jobs.models import Site
from jobs.services.rights import staff_only

if TYPE_CHECKING:
    from accounts.models import User


def change_site(*, by: User, publishes_by_default: bool) -> Site:
    """Is the output of a new Task published from its start, unless its owner says otherwise?

    Tasks that are there stay as they are. Raises Forbidden. Safe to repeat.
    """
    staff_only(by)
    with transaction.atomic():
        Site.load()  # The row, if nobody has set the portal up yet.
        changed = Site.objects.filter(pk=1).exclude(publishes_by_default=publishes_by_default)
        if changed.update(publishes_by_default=publishes_by_default):
            audit.note(
                by,
                Action.SITE_CHANGED,
                subject="publishes_by_default",
                subject_id="site",
                detail="the output of new Tasks is published from the start"
                if publishes_by_default
                else "the output of new Tasks is not published until somebody does it",
            )
    return Site.load()
