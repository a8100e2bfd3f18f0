"""Celery's names and routes exist, and nothing of it lasts as long as a Run."""

from __future__ import annotations

from celery.schedules import crontab
from django.conf import settings

from jobs import steps
from rcluster_site.celery import app


def test_every_beat_entry_names_a_step_and_expires_before_the_next() -> None:
    app.loader.import_default_modules()
    for name, entry in settings.CELERY_BEAT_SCHEDULE.items():
        assert entry["task"] in app.tasks, name
        schedule = entry["schedule"]
        every = 24 * 3600 if isinstance(schedule, crontab) else schedule
        assert entry["options"]["expires"] < every, name


def test_every_route_names_a_step() -> None:
    app.loader.import_default_modules()
    for name in settings.CELERY_TASK_ROUTES:
        assert name in app.tasks


def test_only_waking_goes_to_the_backend_worker() -> None:
    assert {steps.wake_supervision.name: {"queue": "backend"}} == settings.CELERY_TASK_ROUTES
