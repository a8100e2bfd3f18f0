"""The Celery application. Steps live in jobs/steps.py and never last as long as a Run."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rcluster_site.settings")

app = Celery("rcluster")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["jobs"], related_name="steps")
