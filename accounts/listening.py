"""Audit entries of what Django itself does: signing in and out, changes on its admin pages."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models.signals import post_save
from django.dispatch import receiver

from accounts import audit, refusals
from accounts.audit import Action
from accounts.models import User


@receiver(user_logged_in, dispatch_uid="audit")
def _signed_in(user: User, **_: Any) -> None:
    audit.note(user, Action.SIGNED_IN)


@receiver(user_logged_out, dispatch_uid="audit")
def _signed_out(user: User | None, **_: Any) -> None:
    if user is not None:
        audit.note(user, Action.SIGNED_OUT)


@receiver(user_login_failed, dispatch_uid="audit")
def _refused(credentials: dict[str, Any], **_: Any) -> None:
    refusals.sign_in_failed(str(credentials.get("username", "")))


_ACTIONS = {
    ADDITION: Action.ADMIN_ADDED,
    CHANGE: Action.ADMIN_CHANGED,
    DELETION: Action.ADMIN_DELETED,
}


@receiver(post_save, sender=LogEntry, dispatch_uid="audit")
def _changed(instance: LogEntry, created: bool, **_: Any) -> None:
    if created:
        audit.note(
            instance.user,
            _ACTIONS[instance.action_flag],
            subject=f"{instance.content_type} {instance.object_repr}",
            detail=instance.get_change_message(),
        )
