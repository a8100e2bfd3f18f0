"""Datasets: folders of shared data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.ids import new_public_id

if TYPE_CHECKING:
    from accounts.models import User

DATASET_NAME = r"[a-z0-9][a-z0-9_-]{0,62}"


class DatasetRole(models.TextChoices):
    READER = "reader", "may look at it and use it in Tasks"
    EDITOR = "editor", "may also change its files"


class DatasetQuerySet(models.QuerySet["Dataset"]):
    def visible_to(self, user: User) -> DatasetQuerySet:
        """Those that this person may use; staff see all, strangers none."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        kept = self.filter(deleted_at__isnull=True)
        if user.is_staff:
            return kept
        shared = DatasetMember.objects.filter(user_id=user.pk).values_list("dataset", flat=True)
        return kept.filter(Q(owner=user) | Q(for_everybody=True) | Q(pk__in=shared))

    def in_the_bin_of(self, user: User) -> DatasetQuerySet:
        """Those in the bin that this person may restore: the owner's own, and all for staff."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        binned = self.filter(deleted_at__isnull=False)
        return binned if user.is_staff else binned.filter(owner=user)


class Dataset(models.Model):
    """A named folder of shared data, mounted read-only at /data/<name> in the Runs of Tasks that name it."""

    public_id = models.CharField(max_length=16, unique=True, default=new_public_id, editable=False)
    name = models.CharField(
        max_length=63,
        unique=True,
        validators=[RegexValidator(rf"^{DATASET_NAME}\Z")],
        help_text="never changes: scripts name /data/<name>",
    )
    description = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="datasets"
    )
    path = models.CharField(
        max_length=500,
        blank=True,
        editable=False,
        help_text="below the storage, of a folder registered in place; empty: data/<name>",
    )
    for_everybody = models.BooleanField(
        default=False, help_text="Yes: everybody who can sign in may use it."
    )
    size = models.BigIntegerField(default=0, editable=False, help_text="bytes, as last measured")
    file_count = models.PositiveBigIntegerField(default=0, editable=False)
    measured_at = models.DateTimeField(null=True, blank=True, editable=False)
    measured_in_part = models.BooleanField(
        default=False, editable=False, help_text="Yes: there is more than could be counted in time."
    )
    changed_at = models.DateTimeField(
        default=timezone.now, editable=False, help_text="when its files last changed here"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    deleted_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Set: in the bin, until its grace is over."
    )

    objects = DatasetQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        constraints = (models.CheckConstraint(condition=~Q(name=""), name="dataset_has_a_name"),)

    def __str__(self) -> str:
        return self.name


class DatasetMember(models.Model):
    """Somebody who may use a Dataset that is not theirs."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=10, choices=DatasetRole.choices)
    added_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ("user__username",)
        constraints = (
            models.UniqueConstraint(fields=("dataset", "user"), name="datasetmember_once"),
            models.CheckConstraint(
                condition=Q(role__in=[role.value for role in DatasetRole]),
                name="datasetmember_role_known",
            ),
        )

    def __str__(self) -> str:
        return f"{self.user} in {self.dataset}: {self.role}"
