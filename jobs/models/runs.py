"""Runs and their timeline."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone

from accounts.ids import new_public_id
from jobs.models.choices import choices
from jobs.models.environments import Environment
from jobs.models.tasks import Task, shared_with
from jobs.states import ACTIVE, FINAL, Reason, RunState

if TYPE_CHECKING:
    from accounts.models import User


class RunKind(models.TextChoices):
    SCRIPT = "script", "R script"
    COMMAND = "command", "Command"


class Lane(models.TextChoices):
    QUEUE = "queue", "waits its turn for the CPUs and memory that it asks for"
    QUICK = "quick", "a short command, in the room that is reserved for them"


class RunQuerySet(models.QuerySet["Run"]):
    def visible_to(self, user: User) -> RunQuerySet:
        """The Runs of the Tasks that this person may see; staff also see the checks of Environments."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        kept = self.filter(task__deleted_at__isnull=True)
        if user.is_staff:
            return kept
        kept = kept.filter(task__is_hidden=False)
        return kept.filter(Q(task__owner=user) | Q(task__in=shared_with(user)))

    def of(self, user: User) -> RunQuerySet:
        """Those of the person's own Tasks and of those shared with them, also for staff."""
        kept = self.filter(task__deleted_at__isnull=True, task__is_hidden=False)
        return kept.filter(Q(task__owner_id=user.pk) | Q(task__in=shared_with(user)))

    def waiting(self) -> RunQuerySet:
        return self.filter(state=RunState.QUEUED)

    def active(self) -> RunQuerySet:
        """Those that hold CPUs and memory. `finished_at` is what finds the partial index."""
        return self.filter(finished_at__isnull=True, state__in=ACTIVE)

    def unfinished(self) -> RunQuerySet:
        return self.filter(finished_at__isnull=True)

    def as_supervised(self) -> RunQuerySet:
        """With all that supervision looks at, and without scripts and stdin, which may be large."""
        related = self.select_related("task", "environment", "cancel_requested_by")
        return related.defer("script_text", "stdin")

    def finished(self) -> RunQuerySet:
        """`finished_at` is what finds the partial indexes."""
        return self.filter(finished_at__isnull=False)


class Run(models.Model):
    """One execution in a Task: what was asked (never changed) and what happened."""

    public_id = models.CharField(max_length=16, unique=True, default=new_public_id, editable=False)
    # run_task_newest and run_person_newest begin with these: indexes of their own would be one more.
    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="runs", db_index=False)
    number = models.PositiveIntegerField(help_text="1, 2, 3 ... within the Task")
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    repeats = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="repeated_by"
    )

    # What was asked.
    kind = models.CharField(max_length=10, choices=RunKind.choices)
    script_path = models.CharField(
        max_length=500, blank=True, help_text="below code/, as it was called then"
    )
    script_text = models.TextField(
        blank=True, help_text="as it was when the Run was submitted, and as it ran"
    )
    command = models.TextField(blank=True, help_text="for the shell")
    arguments = models.JSONField(default=list)
    variables = models.JSONField(default=dict)
    stdin = models.TextField(blank=True, null=True)  # noqa: DJ001 - null: no stdin; "": an empty one
    environment = models.ForeignKey(Environment, on_delete=models.PROTECT, related_name="runs")
    cpus = models.DecimalField(max_digits=6, decimal_places=2)
    memory = models.BigIntegerField(help_text="bytes")
    time_limit = models.PositiveIntegerField(help_text="seconds; 0: none")
    constraints = models.CharField(
        max_length=500,
        blank=True,
        help_text="attributes that its machine must have: disk:ssd, zone:a",
    )
    lane = models.CharField(max_length=10, choices=Lane.choices, default=Lane.QUEUE)
    datasets = models.JSONField(
        default=list,
        help_text='mounted at /data/<name>: [{"id": ..., "name": ..., "path": below the storage}]',
    )
    priority = models.SmallIntegerField(default=0)
    retry_if_lost = models.BooleanField(default=False)

    # What happened.
    state = models.CharField(
        max_length=10, choices=choices(RunState), default=RunState.QUEUED, editable=False
    )
    reason = models.CharField(
        max_length=30,
        choices=choices(Reason),
        default=Reason.SUBMITTED,
        blank=True,
        editable=False,
    )
    explanation = models.TextField(blank=True, editable=False, help_text="the reason as a sentence")
    ahead = models.PositiveIntegerField(
        null=True, editable=False, help_text="Runs before it in line, as last told; empty: not told"
    )
    charge_due = models.BooleanField(
        default=False, editable=False, help_text="its use is still to be counted in UserUsage"
    )
    attempt = models.PositiveIntegerField(default=0, editable=False)
    backend = models.CharField(max_length=20, blank=True, editable=False)
    machine = models.CharField(max_length=200, blank=True, editable=False)
    node = models.CharField(
        max_length=200, blank=True, editable=False, help_text="the backend's own id of the machine"
    )
    image_digest = models.CharField(max_length=600, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    not_before = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="no new start before this"
    )
    placed_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="start of the present attempt"
    )
    started_at = models.DateTimeField(null=True, blank=True, editable=False)
    finished_at = models.DateTimeField(null=True, blank=True, editable=False)
    cancel_requested_at = models.DateTimeField(null=True, blank=True, editable=False)
    cancel_requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        editable=False,
    )
    cancel_reason = models.CharField(
        max_length=200,
        blank=True,
        editable=False,
        help_text="what an administrator gave as the cause",
    )
    exit_code = models.IntegerField(null=True, blank=True, editable=False)
    log_size = models.BigIntegerField(
        default=0, editable=False, help_text="bytes, final once the Run is"
    )
    log_dropped = models.BigIntegerField(
        default=0, editable=False, help_text="bytes beyond the cap or refused by a full disk"
    )
    peak_memory = models.BigIntegerField(null=True, blank=True, editable=False, help_text="bytes")
    cpu_seconds = models.FloatField(null=True, blank=True, editable=False)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(
                fields=("-priority", "id"), condition=Q(state="queued"), name="run_waiting"
            ),
            # All that the queue reads of a waiting Run: a pass never touches the rows themselves.
            models.Index(
                fields=(
                    "submitted_by",
                    "-priority",
                    "id",
                    "environment",
                    "cpus",
                    "memory",
                    "time_limit",
                    "not_before",
                    "ahead",
                    "state",
                    "lane",
                ),
                condition=Q(state="queued"),
                name="run_line",
            ),
            models.Index(
                fields=("id",),
                condition=Q(state="queued", lane="quick"),
                name="run_waiting_quick",
            ),
            models.Index(
                fields=("id",),
                condition=Q(state="queued") & ~Q(constraints=""),
                name="run_waiting_constrained",
            ),
            # SQLite finds no partial index behind state IN (...), but this one.
            models.Index(
                fields=("state", "backend"),
                condition=Q(finished_at__isnull=True),
                name="run_unfinished",
            ),
            # Of one Task or person what is not over, however much is. finished_at is nothing but a
            # second column that is asked for: by it SQLite likes them better than all the others.
            models.Index(
                fields=("task", "finished_at"),
                condition=Q(finished_at__isnull=True),
                name="run_unfinished_task",
            ),
            models.Index(
                fields=("submitted_by", "finished_at"),
                condition=Q(finished_at__isnull=True),
                name="run_unfinished_person",
            ),
            models.Index(
                fields=("id",),
                condition=Q(charge_due=True, finished_at__isnull=False),
                name="run_charge_due",
            ),
            models.Index(fields=("task", "-id"), name="run_task_newest"),
            models.Index(fields=("submitted_by", "-id"), name="run_person_newest"),
            models.Index(
                fields=("task", "lane", "-finished_at"),
                condition=Q(finished_at__isnull=False),
                name="run_task_ended",
            ),
            models.Index(
                fields=("task", "state", "-id"),
                condition=Q(finished_at__isnull=False),
                name="run_task_ended_so",
            ),
            models.Index(
                fields=("state", "-id"),
                condition=Q(finished_at__isnull=False),
                name="run_ended_newest",
            ),
            # How much an Environment was used lately.
            models.Index(fields=("environment", "created_at"), name="run_environment_recent"),
        )
        constraints = (
            models.UniqueConstraint(fields=("task", "number"), name="run_number_once_per_task"),
            models.CheckConstraint(
                condition=Q(state__in=[s.value for s in RunState]), name="run_state_known"
            ),
            models.CheckConstraint(
                condition=Q(cpus__gt=0) & Q(memory__gt=0), name="run_resources_positive"
            ),
            models.CheckConstraint(
                condition=Q(kind=RunKind.SCRIPT, command="") & ~Q(script_path="")
                | Q(kind=RunKind.COMMAND, script_path="", script_text="") & ~Q(command=""),
                name="run_script_or_command",
            ),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=False, state__in=[s.value for s in sorted(FINAL)])
                | Q(finished_at__isnull=True) & ~Q(state__in=[s.value for s in sorted(FINAL)]),
                name="run_finished_iff_final",
            ),
            models.CheckConstraint(
                condition=Q(state__in=("queued", "cancelled", "failed"))
                | (Q(attempt__gt=0) & ~Q(backend="")),
                name="run_active_was_placed",
            ),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True) | Q(finished_at__gte=F("created_at")),
                name="run_times_in_order",
            ),
        )

    def __str__(self) -> str:
        return f"{self.task} #{self.number}"

    def get_absolute_url(self) -> str:
        return reverse("run", args=[self.public_id])

    @property
    def handle(self) -> str:
        """The container's name."""
        return f"rcluster-{self.public_id}-{self.attempt}"

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def is_cancelling(self) -> bool:
        return self.cancel_requested_at is not None and not self.is_final

    @property
    def cancelled_by(self) -> str:
        """Who asked for its end, and why if they said so; "" if nobody did."""
        if self.cancel_requested_by is None:
            return ""
        name = self.cancel_requested_by.get_username()
        return f"{name} ({self.cancel_reason})" if self.cancel_reason else name

    @property
    def title(self) -> str:
        """What was run, in one line: the script with its arguments, or the command ("…": it has
        more lines)."""
        if self.kind == RunKind.COMMAND:
            first, *more = self.command.strip().splitlines() or [self.command]
            return f"{first} …" if more else first
        return " ".join([self.script_path, self.arguments_text]).rstrip()

    @property
    def arguments_text(self) -> str:
        """As a shell would be told them: 'two words' is one."""
        return shlex.join(map(str, self.arguments))


class RunEvent(models.Model):
    """One line of a Run's timeline. Only advance() writes them."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="timeline")
    at = models.DateTimeField(default=timezone.now)
    attempt = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=choices(RunState))
    reason = models.CharField(max_length=30, choices=choices(Reason), blank=True)
    explanation = models.TextField(blank=True)

    class Meta:
        ordering = ("id",)
        indexes = (models.Index(fields=("run", "id"), name="runevent_run"),)

    def __str__(self) -> str:
        return f"{self.run_id} {self.state}"
