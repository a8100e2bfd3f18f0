"""The first set-up, and every later one: backend, Environments, first user. Safe to repeat."""

from __future__ import annotations

import json
import secrets
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from accounts import audit, origins
from accounts.audit import Action
from accounts.commanded import noted
from accounts.models import User
from jobs import site
from jobs.models import Environment, PullPolicy


class Command(BaseCommand):
    help = (
        "Choose and store the backend, make the first Environment and user. Prints one JSON object."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--backend", default=settings.RCLUSTER_BACKEND, help="docker, local or auto"
        )
        parser.add_argument(
            "--image", default="", help="image of the first Environment, if docker is chosen"
        )
        parser.add_argument(
            "--pull",
            default=PullPolicy.ALWAYS,
            choices=PullPolicy.values,
            help="when that image is pulled",
        )
        parser.add_argument(
            "--choose-only", action="store_true", help="only say which backend it would be"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            backend = site.choose_backend(options["backend"])
        except site.UnknownBackend as error:
            raise CommandError(str(error)) from error
        if options["choose_only"]:
            self.stdout.write(json.dumps({"backend": backend}))
            return
        with origins.command():
            username, password = self._set_up(backend, options["image"], options["pull"])
        self.stdout.write(
            json.dumps({"backend": backend, "username": username, "password": password})
        )

    def _set_up(self, backend: str, image: str, pull: str) -> tuple[str, str | None]:
        chosen = site.store_backend(backend)
        if not Environment.objects.filter(uses_image=chosen.backend_has_images).exists():
            with transaction.atomic():
                made = self._first_environment(chosen.backend_has_images, image, pull)
                audit.note(
                    None,
                    Action.ENVIRONMENT_ADDED,
                    subject=made.name,
                    subject_id=made.slug,
                    detail=f"{made.image or made.description} Usable without a test.",
                )
        return self._first_user()

    def _first_environment(self, has_images: bool, image: str, pull: str) -> Environment:
        """Ready without a check: the portal is to be of use at once. The worker begins one soon after."""
        if not has_images:
            return Environment.objects.create(
                slug="r-on-this-machine",
                name="R on this machine",
                description="The R that is installed on the machine itself.",
                uses_image=False,
                is_default=True,
                ready_at=timezone.now(),
            )
        if image:
            return Environment.objects.create(
                slug="r",
                name="R",
                description="R with its base packages.",
                image=image,
                pull_policy=pull,
                is_default=True,
                ready_at=timezone.now(),
            )
        raise CommandError("Name the image of the first Environment with --image.")

    def _first_user(self) -> tuple[str, str | None]:
        """An administrator with a generated password, unless somebody is there already."""
        first = User.objects.filter(is_superuser=True).order_by("pk").first()
        if first is not None:
            return first.get_username(), None
        password = secrets.token_urlsafe(12)
        with noted(Action.PERSON_ADDED, "as administrator, the first one"):
            return User.objects.create_superuser("admin", "", password).get_username(), password
