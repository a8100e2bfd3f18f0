"""Writing only over what one has seen: ETags, If-Match and If-None-Match (RFC 9110)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

Condition = Callable[[os.stat_result | None], None]
"""Gets what is there now (None: nothing) and raises Changed if it must not be written over."""

_TAG = re.compile(r'(?:W/)?"[^"]*"')


class Changed(Exception):
    """What is there is not what the writer saw. `str(error)` is a sentence for people."""


def etag_of(found: os.stat_result) -> str:
    """Of a file's content: a new one with every write through the portal, and with every change of
    its size or time by a script."""
    return f'"{found.st_ino:x}-{found.st_mtime_ns & (2**64 - 1):x}-{found.st_size:x}"'


def condition(if_match: str, if_none_match: str) -> Condition:
    """What the two headers ask for; "" where one was not sent."""

    def check(found: os.stat_result | None) -> None:
        etag = None if found is None else etag_of(found)
        if if_match and not _matches(if_match, etag):
            raise Changed(
                "The file is gone: it was removed or renamed since you read it."
                if etag is None
                else "The file was changed since you read it. Read it again, then decide which to keep."
            )
        if if_none_match and _matches(if_none_match, etag):
            raise Changed("There is a file of that name already.")

    return check


def _matches(header: str, etag: str | None) -> bool:
    """A weak tag (W/) never matches: bytes count here."""
    if etag is None:
        return False
    return header.strip() == "*" or etag in _TAG.findall(header)
