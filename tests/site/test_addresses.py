"""Health, readiness and metrics."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client, override_settings

from files import storage as files_storage
from jobs.models import Site
from rcluster_site import health
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


def test_a_redis_that_is_stopped_is_told_of_within_its_deadline(
    client: Client, storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It still takes connections, and answers nothing."""
    monkeypatch.setattr(health, "REDIS_WITHIN", 0.2)
    where = str(tmp_path / "silent.sock")
    with socket.socket(socket.AF_UNIX) as silent, override_settings(RCLUSTER_REDIS_SOCKET=where):
        silent.bind(where)
        silent.listen(20)
        begun = time.monotonic()
        answer = client.get("/readyz")
    assert answer.json()["checks"]["redis"] == "does not answer"
    assert time.monotonic() - begun < 1


def test_a_storage_that_is_silent_holds_one_thread_however_often_it_is_asked(
    client: Client, storage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = threading.Event()
    looks: list[int] = []

    def hang() -> None:
        looks.append(threading.get_ident())
        back.wait(10)

    monkeypatch.setattr(health, "STORAGE_WITHIN", 0.05)
    monkeypatch.setattr(files_storage, "check_present", hang)
    for _ in range(3):
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["storage"]) == (503, "does not answer")
    assert len(looks) == 1
    back.set()
    monkeypatch.setattr(health, "STORAGE_WITHIN", 10)
    assert client.get("/readyz").json()["checks"]["storage"] == "ok"


def test_a_probe_may_ask_by_any_name(client: Client, storage: Path) -> None:
    """A load balancer asks by the machine's address; pages stay with the portal's names."""
    with override_settings(ALLOWED_HOSTS=["r.example.org"]):
        for address in ("/healthz", "/readyz"):
            answer = client.get(address, headers={"host": "10.0.0.7"})
            assert answer.status_code == 200
            assert answer["X-Content-Type-Options"] == "nosniff"
        assert client.post("/healthz", headers={"host": "10.0.0.7"}).status_code == 405
        assert client.get("/login/", headers={"host": "10.0.0.7"}).status_code == 400


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
