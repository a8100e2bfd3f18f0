"""Django's own, and the audit log tells of it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management.commands import changepassword

from accounts.audit import Action
from accounts.commanded import noted


class Command(changepassword.Command):
    def handle(self, *args: Any, **options: Any) -> str | None:
        with noted(Action.PASSWORD_SET):
            return super().handle(*args, **options)
