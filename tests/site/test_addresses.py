"""Health, readiness and metrics."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client, override_settings

from jobs.models import Site
from rcluster_site.checks import settings_are_usable
from tests.factories import make_run, make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def storage() -> Path:
    path = Path(settings.RCLUSTER_STORAGE)
    path.mkdir(exist_ok=True)
    return path


def test_ready_when_database_redis_and_storage_answer(client: Client, storage: Path) -> None:
    assert client.get("/healthz").status_code == 200
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]) == (
        200,
        {"database": "ok", "redis": "ok", "storage": "ok"},
    )


def test_not_ready_without_redis_and_says_which(client: Client, storage: Path) -> None:
    with override_settings(RCLUSTER_REDIS_SOCKET="/nonexistent"):
        answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["redis"]) == (503, "does not answer")


def test_metrics_are_for_administrators(client: Client) -> None:
    Site.load()
    make_run()
    assert client.get("/metrics").status_code == 401
    user = {"Authorization": f"Bearer {make_token(make_user())}"}
    assert client.get("/metrics", headers=user).status_code == 403
    staff = {"Authorization": f"Bearer {make_token(make_user(staff=True))}"}
    answer = client.get("/metrics", headers=staff)
    assert answer.status_code == 200
    assert b'rcluster_runs{state="queued"} 1.0' in answer.content
    assert b"rcluster_supervised 0.0" in answer.content


def test_settings_that_cannot_work_are_found() -> None:
    assert settings_are_usable() == []
    with override_settings(RCLUSTER_BACKEND="slurm", TIME_ZONE="Europe/Nowhere"):
        assert [found.id for found in settings_are_usable()] == ["rcluster.E001", "rcluster.E002"]
