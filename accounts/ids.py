"""Public ids: unguessable, stable, fit for addresses, folder and container names."""

import secrets

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case: no i, l, o, u."""
LENGTH = 16
PATTERN = rf"[{ALPHABET}]{{{LENGTH}}}"


def new_public_id() -> str:
    """80 random bits as 16 characters."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
