"""Guessing passwords is slowed down: by account and address, by address alone, and by account alone
(accounts/counting.py).

A try is counted before the password is looked at: of many that come at once no more are looked at.
"""

from __future__ import annotations

import hashlib
import ipaddress

from accounts.counting import count, forget, forgive

FREE_TRIES = 10
"""wrong passwords for one account from one address that are forgiven in WINDOW"""
FREE_TRIES_OF_ADDRESS = 200
"""and for all accounts together: a whole office may stand behind one address"""
FREE_TRIES_OF_ACCOUNT = 100
"""and for one account from all addresses together: whoever has many of them gains little. So many that
nobody is locked out of their account in passing"""
WINDOW = 300
"""seconds; who has used up the tries waits until they are over"""


class SignInThrottle:
    """Tries to sign in to one account from one address. Without Redis nobody is locked out."""

    def __init__(self, username: str, address: str) -> None:
        network = network_of(address)
        digest = hashlib.sha256(f"{username.casefold()}\0{network}".encode()).hexdigest()
        account = hashlib.sha256(username.casefold().encode()).hexdigest()
        self._account = f"sign-in:{digest}"
        self._anywhere = f"sign-in-as:{account}"
        self._address = f"sign-in-from:{hashlib.sha256(network.encode()).hexdigest()}"
        self.has_just_closed = False
        """This was the first try in WINDOW that was not admitted."""

    def admits(self) -> bool:
        """Count a try. False: there were too many. Look before the password is checked: checking costs
        half a second of CPU."""
        limits = (
            (self._account, FREE_TRIES),
            (self._address, FREE_TRIES_OF_ADDRESS),
            (self._anywhere, FREE_TRIES_OF_ACCOUNT),
        )
        for key, most in limits:
            tries = count(key, seconds=WINDOW)
            if tries > most:
                self.has_just_closed = tries == most + 1
                return False
        return True

    def reopen(self) -> None:
        """The right password: earlier slips are forgiven, and this was none."""
        forget(self._account)
        forgive(self._address)
        forgive(self._anywhere)


def network_of(address: str) -> str:
    """Whoever has an address of IPv6 has as many more as they like."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(ipaddress.ip_network((found, 64), strict=False))
