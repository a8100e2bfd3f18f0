"""Commands of Django's own that make people or change passwords, for the audit log to hear of."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from django.db.models.signals import post_save

from accounts import audit, origins
from accounts.audit import Action
from accounts.models import User


@contextlib.contextmanager
def noted(action: Action, detail: str = "") -> Iterator[None]:
    """Every person who is saved inside is noted, in the transaction that saves them: these commands
    ask at the terminal before, for minutes perhaps, and meanwhile nobody else could write."""

    def saved(instance: User, **_: Any) -> None:
        audit.note(
            None,
            action,
            subject=instance.get_username(),
            subject_id=f"person-{instance.pk}",
            detail=detail,
        )

    post_save.connect(saved, sender=User, weak=False)
    try:
        with origins.command():
            yield
    finally:
        post_save.disconnect(saved, sender=User)
