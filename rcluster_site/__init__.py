"""Settings, addresses and processes of the portal; the apps hold what it does."""

from rcluster_site.celery import app as celery_app

__all__ = ["celery_app"]
