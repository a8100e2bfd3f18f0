"""The one installation: its choices, its machines, who supervises."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.ids import new_public_id


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

    publishes_by_default = models.BooleanField(
        default=False, help_text="Yes: the output of a new Task is published from the start."
    )
    storage_total = models.BigIntegerField(null=True, editable=False, help_text="bytes")
    storage_free = models.BigIntegerField(null=True, editable=False, help_text="bytes")
    storage_noted_at = models.DateTimeField(null=True, editable=False)

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


class Announcement(models.Model):
    """A sentence of the administrator that every page shows for a while."""

    text = models.CharField(max_length=500)
    is_warning = models.BooleanField(default=False)
    shown_from = models.DateTimeField(default=timezone.now)
    shown_until = models.DateTimeField(null=True, blank=True, help_text="empty: until it is ended")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", editable=False
    )

    class Meta:
        ordering = ("-shown_from",)
        constraints = (models.CheckConstraint(condition=~Q(text=""), name="announcement_has_text"),)

    def __str__(self) -> str:
        return self.text
