"""Celery entry points. Each is short, safe to run twice, and only makes sooner what happens anyway."""

from __future__ import annotations

from datetime import timedelta

from celery import current_app, shared_task
from django.conf import settings
from django.core.management import call_command
from django.utils import timezone

from accounts import audit
from files import upkeep
from jobs import measuring, services
from jobs import worker as worker  # importing it connects the backend worker's start and stop
from jobs.services import bin, clearing, copying, environments

SLICE = 20.0
"""seconds of one step that has more to do than that; it then asks for another"""


@shared_task
def wake_supervision() -> None:
    """Something was submitted or cancelled: look now. Runs in the backend worker only."""
    worker.wake()


@shared_task
def clear_sessions() -> None:
    """Forget expired sign-ins."""
    call_command("clearsessions")


@shared_task
def measure_datasets() -> None:
    """Bring the sizes of Datasets up to date."""
    upkeep.measure_due()


@shared_task
def sweep_datasets() -> None:
    """Remove Datasets that have been in the bin for long enough."""
    services.sweep_datasets()


@shared_task
def measure_task(task: str) -> None:
    """Measure a Task whose files changed; again in a while if that was done a moment ago."""
    if pause := measuring.measure_task(task):
        current_app.send_task("jobs.steps.measure_task", args=[task], countdown=pause)


@shared_task
def measure_tasks() -> None:
    """Measure Tasks that nobody asked to measure for a day."""
    measuring.measure_due(seconds=SLICE)


@shared_task
def copy_task(task: str) -> None:
    """Copy files into a duplicated Task, slice by slice."""
    if copying.copy_on(task, seconds=SLICE):
        current_app.send_task("jobs.steps.copy_task", args=[task])


@shared_task
def clear_folder(path: str) -> None:
    """Empty a large folder that somebody removed."""
    if left := clearing.clear(path, seconds=SLICE):
        current_app.send_task("jobs.steps.clear_folder", args=[left])


@shared_task
def resume_copies() -> None:
    """Take up copies whose step was lost."""
    for task in copying.unattended():
        current_app.send_task("jobs.steps.copy_task", args=[task], expires=50)


@shared_task
def sweep_bin() -> None:
    """Remove Tasks whose time in the bin is over."""
    if bin.sweep(seconds=SLICE):
        current_app.send_task("jobs.steps.sweep_bin")


@shared_task
def sweep_audit() -> None:
    """Forget entries of the audit log that are older than the site keeps them."""
    if settings.RCLUSTER_AUDIT_DAYS:
        audit.sweep(timezone.now() - timedelta(days=settings.RCLUSTER_AUDIT_DAYS))


@shared_task
def check_environments() -> None:
    """At night: is what the Environments' names stand for today still sound?"""
    environments.check_all_environments()


@shared_task
def check_new_environments() -> None:
    """In a quiet minute: those that were never checked, as the first one of a new portal."""
    environments.check_new_environments()
