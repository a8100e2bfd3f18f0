"""What people may use and have used."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce

if TYPE_CHECKING:
    from accounts.models import User


class UserLimits(models.Model):
    """What somebody may have at a time, and their weight in the queue. The administrator's."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="limits",
        help_text="Empty: for everybody without limits of their own.",
    )
    max_running = models.PositiveIntegerField(
        null=True, blank=True, help_text="Runs that run at a time; empty: no limit"
    )
    max_queued = models.PositiveIntegerField(
        null=True, blank=True, help_text="Runs that wait; empty: no limit"
    )
    max_cpus = models.DecimalField(
        max_digits=8,
        decimal_places=2,
        null=True,
        blank=True,
        validators=[MinValueValidator(Decimal("0.05"))],
        help_text="CPUs of all Runs that run, together; empty: no limit",
    )
    max_memory = models.BigIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="bytes of all Runs that run, together; empty: no limit",
    )
    max_storage = models.BigIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="bytes of all Tasks and Datasets that they own; empty: no limit",
    )
    share = models.FloatField(
        default=1.0,
        validators=[MinValueValidator(0.01)],
        help_text="2: may use twice as much as others before they go first",
    )

    class Meta:
        verbose_name_plural = "user limits"
        constraints = (
            models.UniqueConstraint(Coalesce("user", 0), name="userlimits_one_for_everybody"),
            models.CheckConstraint(condition=Q(share__gt=0), name="userlimits_share_positive"),
        )

    def __str__(self) -> str:
        return f"Limits of {self.user or 'everybody else'}"

    @classmethod
    def of(cls, user: User) -> UserLimits:
        """The person's own, or everybody's, or none."""
        found = cls.objects.filter(Q(user=user) | Q(user=None)).order_by(
            F("user").desc(nulls_last=True)
        )
        return found.first() or cls()


class UserUsage(models.Model):
    """What somebody's ended Runs held, fading with time. Only supervision writes it.

    A Run counts with what it held, the more the longer it ran; half of it is forgotten each day.
    """

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    cpus = models.FloatField(default=0.0)
    memory = models.FloatField(default=0.0, help_text="bytes")
    at = models.DateTimeField(help_text="the moment that the figures are for")

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(cpus__gte=0) & Q(memory__gte=0), name="userusage_not_negative"
            ),
        )

    def __str__(self) -> str:
        return f"{self.cpus:.2f} CPUs, {self.memory:.0f} bytes lately"
