from typing import Any

from django.apps import AppConfig
from django.db import transaction
from django.db.models.signals import post_delete, post_save


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        from django.contrib.sessions.models import Session

        from accounts.models import ApiToken, User

        post_save.connect(_look_again, sender=User, dispatch_uid="jobs.look_again")
        post_delete.connect(_revoked, sender=ApiToken, dispatch_uid="jobs.revoked")
        post_delete.connect(_signed_out, sender=Session, dispatch_uid="jobs.signed_out")


def _look_again(instance: Any, created: bool, update_fields: Any, **_: Any) -> None:
    """Whoever was switched off, or is staff no longer, keeps no socket that they could not open now.

    A signal, because accounts are changed in many places (also Django's own admin), and accounts/
    knows nothing of ours.
    """
    from jobs import notify

    matters = {"is_active", "is_staff"}
    if created or (update_fields is not None and not matters & set(update_fields)):
        return
    transaction.on_commit(lambda: notify.access_changed([instance.pk]))


def _revoked(instance: Any, **_: Any) -> None:
    """What a token opened ends with it."""
    from jobs import notify

    transaction.on_commit(lambda: notify.access_changed([instance.user_id]))


def _signed_out(instance: Any, **_: Any) -> None:
    """So does what a session opened. It knows its person only inside."""
    from jobs import notify

    person = str(instance.get_decoded().get("_auth_user_id", ""))
    if person.isdecimal():
        transaction.on_commit(lambda: notify.access_changed([int(person)]))
