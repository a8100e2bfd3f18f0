"""Environments: the R that Runs run in."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone

from jobs.models.site import Site


class PullPolicy(models.TextChoices):
    ALWAYS = "always", "Ask the registry for the newest before each Run"
    MISSING = "missing", "Pull only when the machine does not have it"
    NEVER = "never", "Never pull: the image is built on this machine"


class EnvironmentQuerySet(models.QuerySet["Environment"]):
    def offered(self) -> EnvironmentQuerySet:
        """Those that new Runs may choose on the site's present backend."""
        return self.filter(retired_at__isnull=True, uses_image=Site.load().backend_has_images)


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
        max_length=600, blank=True, editable=False, help_text="the image that was last tested"
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
