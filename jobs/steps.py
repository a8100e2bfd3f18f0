"""Celery entry points. Each is short, safe to run twice, and only makes sooner what happens anyway."""

from __future__ import annotations

from celery import shared_task
from django.core.management import call_command

from jobs import worker  # importing it connects the backend worker's start and stop


@shared_task
def wake_supervision() -> None:
    """Something was submitted or cancelled: look now. Runs in the backend worker only."""
    worker.wake()


@shared_task
def clear_sessions() -> None:
    """Forget expired sign-ins."""
    call_command("clearsessions")
