"""Environments: the R that Runs run in."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from jobs.models.site import Site
from jobs.states import RunState

if TYPE_CHECKING:
    from jobs.models.runs import Run


class EnvironmentState(enum.StrEnum):
    """Whether new Runs may choose an Environment. Not stored: it follows from the row and its check."""

    READY = "ready"
    """Its image passed a smoke test: new Runs may choose it, even while it is checked again."""
    CHECKING = "checking"
    """Its first smoke test, or that of another image, is under way."""
    FAILED = "failed"
    """The smoke test of its image failed: nobody may choose it."""
    UNCHECKED = "unchecked"
    """Nobody has had its image tested, or the test was cancelled."""
    RETIRED = "retired"
    """An administrator took it out of use; what ran in it still names it."""


class PullPolicy(models.TextChoices):
    ALWAYS = "always", "Ask the registry for the newest before each Run"
    MISSING = "missing", "Pull only when the machine does not have it"
    NEVER = "never", "Never pull: the image is built on this machine"


class EnvironmentQuerySet(models.QuerySet["Environment"]):
    def offered(self) -> EnvironmentQuerySet:
        """Those that new Runs may choose on the site's present backend."""
        return self.usable().filter(uses_image=Site.load().backend_has_images)

    def usable(self) -> EnvironmentQuerySet:
        """Tested and not retired. A check that has just succeeded counts before anybody noted it."""
        passed = Q(ready_at__isnull=False) | Q(check_run__state=RunState.SUCCEEDED)
        return self.filter(passed, retired_at__isnull=True)


class Environment(models.Model):
    """A named, admin-managed container image; on a backend without images, this machine's R."""

    slug = models.SlugField(max_length=50, unique=True)
    name = models.CharField(max_length=100, unique=True)
    description = models.TextField(blank=True)
    uses_image = models.BooleanField(
        default=True, help_text="No: the R that is installed on the machine itself."
    )
    image = models.CharField(
        max_length=500, blank=True, help_text="For example registry.example.org/team/r:4.4"
    )
    pull_policy = models.CharField(
        max_length=10, choices=PullPolicy.choices, default=PullPolicy.ALWAYS
    )
    constraints = models.CharField(
        max_length=500,
        blank=True,
        help_text="Only machines with these attributes, for example: disk:ssd, zone:a",
    )
    packages = models.JSONField(
        default=list, blank=True, help_text="R packages that its smoke test loads with library()"
    )
    digest = models.CharField(
        max_length=600, blank=True, editable=False, help_text="the image that last passed its test"
    )
    digest_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="when a test first met that image"
    )
    check_run = models.ForeignKey(
        "jobs.Run",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        editable=False,
        help_text="its latest smoke test",
    )
    ready_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Set: its smoke test passed: Runs may choose it.",
    )
    is_default = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    retired_at = models.DateTimeField(
        null=True, blank=True, help_text="Set: no new Run may choose it."
    )

    objects = EnvironmentQuerySet.as_manager()

    class Meta:
        ordering = ("-is_default", "name")
        constraints = (
            models.UniqueConstraint(
                fields=("uses_image",),
                condition=Q(is_default=True),
                name="environment_one_default_per_kind",
            ),
            models.CheckConstraint(
                condition=Q(uses_image=True) ^ Q(image=""), name="environment_image_iff_used"
            ),
        )

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.uses_image and not self.image:
            raise ValidationError(
                {"image": "Name the image, for example registry.example.org/team/r:4.4."}
            )
        if not self.uses_image and self.image:
            raise ValidationError(
                {"image": "Leave it empty: this Environment is the machine's own R."}
            )

    @property
    def state(self) -> EnvironmentState:
        """Reads check_run, like all below: select_related() it for lists."""
        run = self.check_run
        if self.retired_at is not None:
            return EnvironmentState.RETIRED
        if self.passed_at is not None:
            return EnvironmentState.READY
        if run is None or run.state == RunState.CANCELLED:
            return EnvironmentState.UNCHECKED
        return EnvironmentState.FAILED if run.is_final else EnvironmentState.CHECKING

    @property
    def passed_at(self) -> datetime | None:
        """When its image passed its first smoke test; None: it has not."""
        run = self._passed
        return self.ready_at or (run.finished_at if run else None)

    @property
    def tested_digest(self) -> str:
        """The image that last passed its test; "" while none has."""
        run = self._passed
        return run.image_digest if run else self.digest

    @property
    def tested_since(self) -> datetime | None:
        """When a test first met that image."""
        run = self._passed
        return run.placed_at if run and run.image_digest != self.digest else self.digest_since

    @property
    def last_check_failed(self) -> bool:
        """Also of one that is ready: a newer image under its name, or a package, does not work."""
        return self.check_run is not None and self.check_run.state == RunState.FAILED

    @property
    def is_checked_now(self) -> bool:
        return self.check_run is not None and not self.check_run.is_final

    @property
    def _passed(self) -> Run | None:
        run = self.check_run
        return run if run is not None and run.state == RunState.SUCCEEDED else None
