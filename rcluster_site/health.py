"""Is the portal alive, and ready? For load balancers, supervisors and ./rcluster up.

Whatever is away, the answer comes within seconds: who asks has a deadline, too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_only_middleware
from django.views.decorators.http import require_safe
from redis.backoff import NoBackoff
from redis.retry import Retry

from files import storage

REDIS_WITHIN = 2.0
"""seconds; one that is stopped still takes connections"""
STORAGE_WITHIN = 3.0
"""seconds; the server of a hard mount that is away never fails, it is only silent"""


@sync_only_middleware
def middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Answers whatever Host it is asked by: a probe knows the machine's address, not the portal's name."""
    views = {"/healthz": healthz, "/readyz": readyz}

    def by_any_name(request: HttpRequest) -> HttpResponseBase:
        return views.get(request.path_info, get_response)(request)

    return by_any_name


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
            unix_socket_path=str(settings.RCLUSTER_REDIS_SOCKET),
            socket_timeout=REDIS_WITHIN,
            socket_connect_timeout=REDIS_WITHIN,
            # Left to itself it would try ten times more.
            retry=Retry(NoBackoff(), 0),
        ) as client:
            client.ping()
    except (redis.RedisError, OSError):
        return "does not answer"
    return ""


_threads = ThreadPoolExecutor(1, thread_name_prefix="health")
_looking: Future[str] | None = None
_lock = Lock()


def _storage() -> str:
    """A look that was given up goes on, and is the next one's: however often somebody asks, no more
    than one thread hangs in a storage that is away."""
    global _looking
    with _lock:
        if _looking is None or _looking.done():
            _looking = _threads.submit(_look)
        look = _looking
    try:
        return look.result(timeout=STORAGE_WITHIN)
    except TimeoutError:
        return "does not answer"


def _look() -> str:
    try:
        storage.check_present()
        with tempfile.TemporaryFile(dir=settings.RCLUSTER_STORAGE):
            pass
    except OSError as error:
        return f"not writable: {error.strerror}"
    return ""
