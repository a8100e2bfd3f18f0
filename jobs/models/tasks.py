"""Tasks: the workspaces."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from accounts.ids import new_public_id
from files.models import Dataset
from jobs.models.environments import Environment

if TYPE_CHECKING:
    from accounts.models import User

GIB = 1024**3


class Role(models.TextChoices):
    """What a member may do in somebody else's Task; the owner and staff may do everything."""

    VIEWER = "viewer", "may look: files, Runs, logs"
    EDITOR = "editor", "may also change files and settings, run and cancel"


class TaskQuerySet(models.QuerySet["Task"]):
    def visible_to(self, user: User) -> TaskQuerySet:
        """The Tasks that this person may see, those in the bin excepted; staff see all, strangers none."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        kept = self.filter(deleted_at__isnull=True, is_hidden=False)
        return kept if user.is_staff else kept.filter(Q(owner=user) | Q(pk__in=shared_with(user)))

    def in_bin_of(self, user: User) -> TaskQuerySet:
        """Deleted Tasks that this person may have back: their own; staff see all of them."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        gone = self.filter(deleted_at__isnull=False, purge_began_at__isnull=True)
        return gone if user.is_staff else gone.filter(owner_id=user.pk)

    def of(self, user: User) -> TaskQuerySet:
        """The person's own and those shared with them, as on the home page, also for staff."""
        kept = self.filter(deleted_at__isnull=True, is_hidden=False)
        return kept.filter(Q(owner_id=user.pk) | Q(pk__in=shared_with(user)))


def shared_with(user: User) -> models.QuerySet[TaskMember, int]:
    """Primary keys of the Tasks of others that this person is a member of."""
    return TaskMember.objects.filter(user_id=user.pk).values_list("task", flat=True)


class Task(models.Model):
    """A workspace: folders code, input and output on shared storage, an owner, usual settings."""

    public_id = models.CharField(max_length=16, unique=True, default=new_public_id, editable=False)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="tasks"
    )
    environment = models.ForeignKey(
        Environment,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Empty: the site's default.",
    )
    cpus = models.DecimalField(
        max_digits=6,
        decimal_places=2,
        default=Decimal(1),
        validators=[MinValueValidator(Decimal("0.05"))],
    )
    memory = models.BigIntegerField(default=1 * GIB, help_text="bytes")
    time_limit = models.PositiveIntegerField(default=24 * 3600, help_text="seconds; 0: none")
    datasets = models.ManyToManyField(
        Dataset, blank=True, related_name="tasks", help_text="mounted read-only at /data/<name>"
    )
    published_id = models.CharField(
        max_length=16,
        unique=True,
        null=True,
        blank=True,
        editable=False,
        help_text="Set: everybody who knows it may read output/ at /o/<published_id>/.",
    )
    archived_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Set: out of the way; nothing runs in it."
    )
    deleted_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="Set: in the bin, until its grace is over."
    )
    deleted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        editable=False,
    )
    purge_began_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Set: its files and rows are being removed; it can't come back.",
    )
    is_hidden = models.BooleanField(
        default=False,
        editable=False,
        help_text="Yes: the portal's own, in which Environments are checked; on nobody's pages.",
    )
    storage_used = models.BigIntegerField(
        default=0, editable=False, help_text="bytes of its folders and logs, as last measured"
    )
    storage_measured_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    used_at = models.DateTimeField(default=timezone.now, editable=False)
    last_run_number = models.PositiveIntegerField(default=0, editable=False)

    objects = TaskQuerySet.as_manager()

    class Meta:
        ordering = ("-used_at",)
        indexes = (
            models.Index(fields=("owner", "-used_at"), name="task_owner_used"),
            models.Index(
                fields=("deleted_at",),
                condition=Q(deleted_at__isnull=False),
                name="task_in_the_bin",
            ),
        )
        constraints = (
            models.CheckConstraint(condition=Q(cpus__gt=0), name="task_cpus_positive"),
            models.CheckConstraint(condition=Q(memory__gt=0), name="task_memory_positive"),
            models.CheckConstraint(condition=~Q(name=""), name="task_has_a_name"),
            models.CheckConstraint(condition=~Q(published_id=""), name="task_published_id"),
            models.UniqueConstraint(
                fields=("is_hidden",), condition=Q(is_hidden=True), name="task_one_hidden"
            ),
        )

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        # The portal's own has no page; its Runs are explained with their Environments.
        if self.is_hidden:
            return reverse("manage_environments")
        return reverse("task", args=[self.public_id])

    @property
    def gone_at(self) -> datetime | None:
        """When it goes for good; None for one that is not in the bin."""
        if self.deleted_at is None:
            return None
        return self.deleted_at + timedelta(days=settings.RCLUSTER_BIN_DAYS)

    def get_published_url(self) -> str | None:
        """The address, within this site, of its output for everybody; None: not published."""
        return reverse("published", args=[self.published_id]) if self.published_id else None


class TaskMember(models.Model):
    """Somebody who may use a Task that is not theirs."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=10, choices=Role.choices)
    added_at = models.DateTimeField(default=timezone.now, editable=False)
    added_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", editable=False
    )

    class Meta:
        ordering = ("user__username",)
        constraints = (
            models.UniqueConstraint(fields=("task", "user"), name="taskmember_once"),
            models.CheckConstraint(
                condition=Q(role__in=[role.value for role in Role]), name="taskmember_role_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.user} in {self.task}: {self.role}"


class TaskCopy(models.Model):
    """A Task whose files are still being copied from another one; gone when all are there."""

    task = models.OneToOneField(Task, on_delete=models.CASCADE, related_name="copy")
    source = models.ForeignKey(Task, on_delete=models.SET_NULL, null=True, related_name="+")
    bytes_total = models.BigIntegerField(null=True, help_text="empty: not counted yet")
    bytes_done = models.BigIntegerField(default=0)
    files_done = models.PositiveIntegerField(default=0)
    heard_at = models.DateTimeField(
        null=True, help_text="the last sign of the step that copies; empty: none has begun"
    )
    problem = models.CharField(
        max_length=500, blank=True, help_text="why it stopped for good, in a sentence"
    )

    class Meta:
        verbose_name_plural = "task copies"
        constraints = (
            models.CheckConstraint(condition=Q(bytes_done__gte=0), name="taskcopy_not_negative"),
        )

    def __str__(self) -> str:
        return f"copying into {self.task}"
