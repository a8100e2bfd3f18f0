"""Celery's names and routes exist, and nothing of it lasts as long as a Run."""

from __future__ import annotations

from django.conf import settings

from jobs import steps
from rcluster_site.celery import app


def test_every_beat_entry_names_a_step_and_expires_before_the_next() -> None:
    app.loader.import_default_modules()
    for name, entry in settings.CELERY_BEAT_SCHEDULE.items():
        assert entry["task"] in app.tasks, name
        assert entry["options"]["expires"] < entry["schedule"], name


def test_every_route_names_a_step() -> None:
    app.loader.import_default_modules()
    for name in settings.CELERY_TASK_ROUTES:
        assert name in app.tasks


def test_only_waking_goes_to_the_backend_worker() -> None:
    ours = {name for name in app.tasks if name.startswith("jobs.")}
    assert ours == {steps.wake_supervision.name, steps.clear_sessions.name}
    assert {steps.wake_supervision.name: {"queue": "backend"}} == settings.CELERY_TASK_ROUTES
