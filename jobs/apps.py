from typing import Any

from django.apps import AppConfig
from django.db import transaction
from django.db.models.signals import post_save


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        from accounts.models import User

        post_save.connect(_look_again, sender=User, dispatch_uid="jobs.look_again")


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
