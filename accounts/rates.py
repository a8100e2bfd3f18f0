"""How many requests to the API one may make: counted in Redis, shared by all processes.

Counts are of fixed windows. Redis is not needed: while it is away everybody may ask, and losing the
counts costs nothing.
"""

from __future__ import annotations

import logging
import time
from functools import cache
from typing import TYPE_CHECKING

from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError
from rest_framework.throttling import BaseThrottle

from accounts.models import ApiToken, User
from accounts.origins import address_of

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

log = logging.getLogger(__name__)

WINDOW = 10
"""seconds that are counted together: all of a window's requests may come at once"""
PATIENCE = 1.0
"""seconds for Redis to count; one that hangs keeps nobody from their work"""
COMPLAIN_EVERY = 60.0
"""seconds between two lines about a Redis that is away"""


class RequestRate(BaseThrottle):
    """RCLUSTER_RATE_REQUESTS for each token and for each person who is signed in,
    RCLUSTER_RATE_ANONYMOUS for each address from which somebody asks who is neither; both a second,
    over WINDOW seconds. 0: no limit."""

    def __init__(self) -> None:
        self._wait = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        who, rate = _counted(request)
        if not rate:
            return True
        now = time.time()
        window = int(now // WINDOW)
        if _count(f"requests:{who}:{window}") <= rate * WINDOW:
            return True
        self._wait = max(1.0, (window + 1) * WINDOW - now)
        return False

    def wait(self) -> float:
        """Seconds until the next window."""
        return self._wait


def _counted(request: Request) -> tuple[str, float]:
    """Who is counted, and how many requests a second they may make."""
    if isinstance(request.auth, ApiToken):
        return f"token:{request.auth.pk}", settings.RCLUSTER_RATE_REQUESTS
    if isinstance(request.user, User):
        return f"user:{request.user.pk}", settings.RCLUSTER_RATE_REQUESTS
    address = address_of(request._request) or "unknown"
    return f"address:{address}", settings.RCLUSTER_RATE_ANONYMOUS


_complained = -COMPLAIN_EVERY


@cache
def _redis() -> Redis:
    """Shared by all threads. Under ASGI Django's own cache would connect anew for every request,
    which took a quarter of the time of answering one."""
    where: str = settings.CACHES["default"]["LOCATION"]
    return Redis.from_url(where, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)


def _count(key: str) -> int:
    """How many there were with this one; 0 where nobody can count."""
    global _complained
    try:
        with _redis().pipeline(transaction=False) as together:
            together.incr(key)
            together.expire(key, 2 * WINDOW)
            return int(together.execute()[0])
    except RedisError as error:
        if time.monotonic() - _complained > COMPLAIN_EVERY:
            _complained = time.monotonic()
            log.warning("Requests are not counted: %s", error)
        return 0
