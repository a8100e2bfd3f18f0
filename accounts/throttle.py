"""Guessing passwords is slowed down: by account and address, and by address alone, counted in Redis.

A try is counted before the password is looked at: of many that come at once no more are looked at.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging

from django.core.cache import cache
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

FREE_TRIES = 10
"""wrong passwords for one account from one address that are forgiven in WINDOW"""
FREE_TRIES_OF_ADDRESS = 200
"""and for all accounts together: a whole office may stand behind one address"""
WINDOW = 300
"""seconds; who has used up the tries waits until they are over"""


class SignInThrottle:
    """Wrong passwords for one account from one address. Without Redis nobody is locked out."""

    def __init__(self, username: str, address: str) -> None:
        network = _network(address)
        digest = hashlib.sha256(f"{username.casefold()}\0{network}".encode()).hexdigest()
        self._account = f"sign-in:{digest}"
        self._address = f"sign-in-from:{hashlib.sha256(network.encode()).hexdigest()}"

    def admits(self) -> bool:
        """Count a try. False: there were too many. Look before the password is checked: checking costs
        half a second of CPU."""
        return _count(self._account) <= FREE_TRIES and (
            _count(self._address) <= FREE_TRIES_OF_ADDRESS
        )

    def reopen(self) -> None:
        """The right password: earlier slips are forgiven, and this was none."""
        try:
            cache.delete(self._account)
            cache.decr(self._address)
        except ValueError:
            pass  # its window has ended
        except RedisError as error:
            log.warning("Sign-ins are not counted: %s", error)


def _network(address: str) -> str:
    """Whoever has an address of IPv6 has as many more as they like."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))


def _count(key: str) -> int:
    """How many there were with this one; 0 where nobody can count."""
    try:
        cache.add(key, 0, timeout=WINDOW)
        return int(cache.incr(key))
    except (RedisError, ValueError) as error:
        log.warning("Sign-ins are not counted: %s", error)
        return 0
