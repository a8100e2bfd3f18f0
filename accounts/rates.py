"""How many requests to the API one may make, in fixed windows (accounts/counting.py)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from django.conf import settings
from rest_framework.throttling import BaseThrottle

from accounts.counting import count
from accounts.models import ApiToken, User
from accounts.origins import address_of

if TYPE_CHECKING:
    from rest_framework.request import Request
    from rest_framework.views import APIView

WINDOW = 10
"""seconds that are counted together: all of a window's requests may come at once"""


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
        if count(f"requests:{who}:{window}", seconds=2 * WINDOW) <= rate * WINDOW:
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
