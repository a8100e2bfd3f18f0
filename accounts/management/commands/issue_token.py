"""A token for a script, made on the machine itself."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from accounts import audit, origins, tokens
from accounts.audit import Action
from accounts.models import ApiToken, Scope, User, all_scopes


class Command(BaseCommand):
    help = "Issue an API token and print it. A token of the same name is replaced."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True)
        parser.add_argument("--name", required=True)
        parser.add_argument("--hours", type=float, default=None, help="lifetime; default 90 days")
        parser.add_argument(
            "--scope",
            action="append",
            choices=all_scopes(),
            help="what it may be used for, as often as needed; default: everything ("
            + "; ".join(f"{scope.value}: {scope.label}" for scope in Scope)
            + ")",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user {options['user']}.")
        hours = options["hours"]
        expires = None if hours is None else timezone.now() + timedelta(hours=hours)
        with origins.command(), transaction.atomic():
            for replaced in ApiToken.objects.filter(user=user, name=options["name"]):
                tokens.revoke(replaced, actor=None, detail=f"of {user}, for another of this name")
            token, text = ApiToken.issue(
                user=user,
                name=options["name"],
                expires_at=expires,
                scopes=options["scope"],
            )
            audit.note(
                None,
                Action.TOKEN_MADE,
                subject=token.name,
                subject_id=token.public_id,
                detail=f"of {user}, for {', '.join(token.scopes)}; valid until {token.expires_at:%Y-%m-%d}",
            )
        self.stdout.write(text)
