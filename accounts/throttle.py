"""Guessing passwords is slowed down: by account and address, counted in Redis."""

from __future__ import annotations

import hashlib
import logging

from django.core.cache import cache
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

FREE_TRIES = 10
WINDOW = 300
"""seconds in which FREE_TRIES wrong passwords are forgiven; afterwards one waits until they are over"""


class SignInThrottle:
    """Wrong passwords for one account from one address. Without Redis nobody is locked out."""

    def __init__(self, username: str, address: str) -> None:
        digest = hashlib.sha256(f"{username.casefold()}\0{address}".encode()).hexdigest()
        self._key = f"sign-in:{digest}"

    def is_closed(self) -> bool:
        """Look before the password is checked: checking costs half a second of CPU."""
        try:
            return int(cache.get(self._key, 0)) >= FREE_TRIES
        except RedisError as error:
            log.warning("Sign-ins are not counted: %s", error)
            return False

    def note_failure(self) -> None:
        try:
            cache.add(self._key, 0, timeout=WINDOW)
            cache.incr(self._key)
        except (RedisError, ValueError) as error:
            log.warning("A failed sign-in was not counted: %s", error)

    def reopen(self) -> None:
        """The right password: earlier slips are forgiven."""
        try:
            cache.delete(self._key)
        except RedisError as error:
            log.warning("Sign-ins are not counted: %s", error)
