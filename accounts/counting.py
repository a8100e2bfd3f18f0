"""Counts in Redis, shared by all processes, of what may happen only so often in a while.

Redis is not needed: while it is away nothing is counted and nobody is kept from anything, and losing
the counts costs nothing.
"""

from __future__ import annotations

import logging
import time
from functools import cache

from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

log = logging.getLogger(__name__)

PATIENCE = 1.0
"""seconds for Redis to count; one that hangs keeps nobody from their work"""
COMPLAIN_EVERY = 60.0
"""seconds between two lines about a Redis that is away"""

_complained = -COMPLAIN_EVERY


def count(key: str, *, seconds: int) -> int:
    """How many there were with this one since the first, which is forgotten `seconds` later; 0 where
    nobody can count."""
    try:
        with _redis().pipeline(transaction=False) as together:
            together.set(_name(key), 0, nx=True, ex=seconds)
            together.incr(_name(key))
            return int(together.execute()[1])
    except RedisError as error:
        _complain(error)
        return 0


def forgive(key: str) -> None:
    """Count one less, if it is still counted."""
    try:
        _redis().eval(_DECREASE, 1, _name(key))
    except RedisError as error:
        _complain(error)


def forget(key: str) -> None:
    """Begin anew with the next one."""
    try:
        _redis().delete(_name(key))
    except RedisError as error:
        _complain(error)


# In one step: a count that has ended must not begin again below zero, and never end.
_DECREASE = "if redis.call('exists', KEYS[1]) == 1 then redis.call('decr', KEYS[1]) end"


def _name(key: str) -> str:
    return f"rcluster:count:{key}"


@cache
def _redis() -> Redis:
    """Shared by all threads. Under ASGI Django's own cache would connect anew for every request,
    which took a quarter of the time of answering one."""
    where: str = settings.CACHES["default"]["LOCATION"]
    return Redis.from_url(
        where,
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        # Never more than one try, whatever the client takes for usual.
        retry=Retry(NoBackoff(), 0),
    )


def _complain(error: RedisError) -> None:
    global _complained
    if time.monotonic() - _complained > COMPLAIN_EVERY:
        _complained = time.monotonic()
        log.warning("Requests and sign-ins are not counted: %s", error)
