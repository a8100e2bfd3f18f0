"""Tasks, Environments, Runs and their timeline.

Runs change state only through transitions.advance(). Rows are reached through `visible_to(user)`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils import timezone

from accounts.ids import new_public_id
from jobs.states import ACTIVE, FINAL, Reason, RunState

if TYPE_CHECKING:
    from accounts.models import User

MIB = 1024**2
GIB = 1024**3


def _choices(enum: type[RunState] | type[Reason]) -> list[tuple[str, str]]:
    return [(member.value, member.value.replace("_", " ")) for member in enum]


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


class Site(models.Model):
    """The one row of choices made at set-up: which backend new Runs start on, who we are."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1, editable=False)
    installation = models.CharField(
        max_length=16,
        default=new_public_id,
        editable=False,
        help_text="Labels our containers, so that two portals can share an engine.",
    )
    backend = models.CharField(max_length=20, blank=True)
    backend_has_images = models.BooleanField(default=False, editable=False)
    backend_memory = models.CharField(max_length=20, blank=True, editable=False)
    backend_network = models.CharField(max_length=20, blank=True, editable=False)
    backend_notes = models.JSONField(default=list, editable=False)

    class Meta:
        verbose_name = "site settings"
        verbose_name_plural = "site settings"
        constraints = (models.CheckConstraint(condition=Q(id=1), name="site_is_one_row"),)

    def __str__(self) -> str:
        return "Site"

    @classmethod
    def load(cls) -> Site:
        return cls.objects.get_or_create(id=1)[0]


class Machine(models.Model):
    """What was last heard of a machine that offers room, written by supervision for the pages."""

    name = models.CharField(max_length=200)
    backend = models.CharField(max_length=20)
    cpus = models.DecimalField(max_digits=8, decimal_places=2)
    memory = models.BigIntegerField(help_text="bytes")
    node = models.CharField(
        max_length=200,
        blank=True,
        help_text="the backend's own id of it, which a restart may change",
    )
    attributes = models.JSONField(
        default=dict, help_text='name -> value, for example {"disk": "ssd"}'
    )
    free_cpus = models.DecimalField(
        max_digits=8, decimal_places=2, null=True, help_text="empty: what our Runs leave"
    )
    free_memory = models.BigIntegerField(null=True, help_text="bytes; empty: what our Runs leave")
    present = models.BooleanField(default=True, help_text="The backend knows it and it answers.")
    note = models.TextField(blank=True, help_text="why it gets no Runs just now, in a sentence")
    advice = models.TextField(blank=True, help_text="what an administrator should change on it")
    heard_at = models.DateTimeField(help_text="when it was last known to answer")
    drained_at = models.DateTimeField(
        null=True, blank=True, help_text="Set: it gets no new Runs; those on it go on."
    )
    drained_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    lost_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Set: an administrator says that Runs placed there before this are gone.",
    )
    lost_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("backend", "name"), name="machine_once_per_backend"),
        )

    def __str__(self) -> str:
        return self.name


class TaskQuerySet(models.QuerySet["Task"]):
    def visible_to(self, user: User) -> TaskQuerySet:
        """The Tasks that this person may see; staff see all, strangers none."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self if user.is_staff else self.filter(owner=user)

    def of(self, user: User) -> TaskQuerySet:
        """The person's own, as on the home page, also for staff."""
        return self.filter(owner_id=user.pk)


class Task(models.Model):
    """A workspace: folders code, input and output on shared storage, an owner, usual settings."""

    public_id = models.CharField(max_length=16, unique=True, default=new_public_id, editable=False)
    name = models.CharField(max_length=200)
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
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    used_at = models.DateTimeField(default=timezone.now, editable=False)
    last_run_number = models.PositiveIntegerField(default=0, editable=False)

    objects = TaskQuerySet.as_manager()

    class Meta:
        ordering = ("-used_at",)
        indexes = (models.Index(fields=("owner", "-used_at"), name="task_owner_used"),)
        constraints = (
            models.CheckConstraint(condition=Q(cpus__gt=0), name="task_cpus_positive"),
            models.CheckConstraint(condition=Q(memory__gt=0), name="task_memory_positive"),
            models.CheckConstraint(condition=~Q(name=""), name="task_has_a_name"),
        )

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("task", args=[self.public_id])


class RunKind(models.TextChoices):
    SCRIPT = "script", "R script"
    COMMAND = "command", "Command"


class RunQuerySet(models.QuerySet["Run"]):
    def visible_to(self, user: User) -> RunQuerySet:
        """The Runs of the Tasks that this person may see."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        return self if user.is_staff else self.filter(task__owner=user)

    def of(self, user: User) -> RunQuerySet:
        return self.filter(task__owner_id=user.pk)

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
        return self.filter(state__in=FINAL)


class Run(models.Model):
    """One execution in a Task: what was asked (never changed) and what happened."""

    public_id = models.CharField(max_length=16, unique=True, default=new_public_id, editable=False)
    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="runs")
    number = models.PositiveIntegerField(help_text="1, 2, 3 ... within the Task")
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
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
    priority = models.SmallIntegerField(default=0)
    retry_if_lost = models.BooleanField(default=False)

    # What happened.
    state = models.CharField(
        max_length=10, choices=_choices(RunState), default=RunState.QUEUED, editable=False
    )
    reason = models.CharField(
        max_length=30,
        choices=_choices(Reason),
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
                ),
                condition=Q(state="queued"),
                name="run_line",
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
            models.Index(
                fields=("id",),
                condition=Q(charge_due=True, finished_at__isnull=False),
                name="run_charge_due",
            ),
            models.Index(fields=("task", "-id"), name="run_task_newest"),
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
    def title(self) -> str:
        """What was run, in one line: the script with its arguments, or the command."""
        if self.kind == RunKind.COMMAND:
            return self.command.strip().splitlines()[0] if self.command.strip() else self.command
        return " ".join([self.script_path, *map(str, self.arguments)])


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


class RunEvent(models.Model):
    """One line of a Run's timeline. Only advance() writes them."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="timeline")
    at = models.DateTimeField(default=timezone.now)
    attempt = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=_choices(RunState))
    reason = models.CharField(max_length=30, choices=_choices(Reason), blank=True)
    explanation = models.TextField(blank=True)

    class Meta:
        ordering = ("id",)
        indexes = (models.Index(fields=("run", "id"), name="runevent_run"),)

    def __str__(self) -> str:
        return f"{self.run_id} {self.state}"


class Lease(models.Model):
    """Which process may schedule, launch and observe. `epoch` grows with every change of hands."""

    name = models.CharField(max_length=50, primary_key=True)
    holder = models.CharField(max_length=200, blank=True)
    epoch = models.PositiveBigIntegerField(default=0)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = (models.CheckConstraint(condition=~Q(name=""), name="lease_has_a_name"),)

    def __str__(self) -> str:
        return f"{self.name}: {self.holder} ({self.epoch})"


class BackendNote(models.Model):
    """What a backend must remember across restarts and machines: Mesos' framework id, for one."""

    key = models.CharField(max_length=100, primary_key=True)
    value = models.TextField()

    class Meta:
        constraints = (models.CheckConstraint(condition=~Q(key=""), name="backendnote_has_a_key"),)

    def __str__(self) -> str:
        return self.key
