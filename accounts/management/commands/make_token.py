"""`./rcluster token`: a token for a script, made on the machine itself, as its user could make it."""

from __future__ import annotations

import math
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from accounts import origins, tokens
from accounts.models import Scope, User


class Command(BaseCommand):
    help = "Make an API token and print it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", required=True)
        parser.add_argument("--days", default="", help="default: 90")
        parser.add_argument("--scopes", default="", help="default: read,run,files")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["username"], is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user {options['username']}.")
        try:
            with origins.command():
                _, text = tokens.make(
                    user=user,
                    name=options["name"],
                    scopes=_scopes(options["scopes"]),
                    expires_at=timezone.now() + _life(options["days"]) if options["days"] else None,
                    on_machine=True,
                )
        except tokens.TokenRefused as refused:
            raise CommandError(str(refused)) from refused
        self.stdout.write(text)


def _scopes(written: str) -> list[str] | None:
    if not written:
        return None
    found = [each.strip() for each in written.split(",") if each.strip()]
    for each in found:
        if each not in Scope.values:
            raise CommandError(
                f"There is no scope “{each}”: choose from {', '.join(Scope.values)}, with commas."
            )
    return found


def _life(days: str) -> timedelta:
    try:
        number = float(days)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise CommandError(f"--days is “{days}”: give a number of days, 366 at most.")
    # Whatever is more is too long: no date has to be found for it.
    return timedelta(days=min(number, 1000))
