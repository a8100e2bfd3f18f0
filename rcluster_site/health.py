"""Is the portal alive, and ready? For load balancers, supervisors and ./rcluster up."""

from __future__ import annotations

import tempfile

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from files import storage


@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200: this process answers."""
    return JsonResponse({"ok": True})


@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200: database migrated, Redis and storage there; else 503 naming what is not."""
    checks = {"database": _database(), "redis": _redis(), "storage": _storage()}
    ready = all(problem == "" for problem in checks.values())
    return JsonResponse(
        {"ready": ready, "checks": {name: problem or "ok" for name, problem in checks.items()}},
        status=200 if ready else 503,
    )


_migrated = False


def _database() -> str:
    global _migrated
    try:
        if not _migrated:
            executor = MigrationExecutor(connection)
            if executor.migration_plan(executor.loader.graph.leaf_nodes()):
                return "migrations are missing: run ./rcluster up"
            _migrated = True
        else:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
    except DatabaseError:
        return "does not answer"
    return ""


def _redis() -> str:
    try:
        with redis.Redis(
            unix_socket_path=str(settings.RCLUSTER_REDIS_SOCKET), socket_timeout=2
        ) as client:
            client.ping()
    except (redis.RedisError, OSError):
        return "does not answer"
    return ""


def _storage() -> str:
    try:
        storage.check_present()
        with tempfile.TemporaryFile(dir=settings.RCLUSTER_STORAGE):
            pass
    except OSError as error:
        return f"not writable: {error.strerror}"
    return ""
