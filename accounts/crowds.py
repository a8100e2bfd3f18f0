"""How much one person may have open at a time: each is a file of the process that all share."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

MOST = 300
"""of one person in one process: sockets, and logs that are followed"""

_open: Counter[int] = Counter()


class TooManyOpen(Exception):
    """The person has MOST open already."""


def is_full(user_pk: int) -> bool:
    return _open[user_pk] >= MOST


@contextlib.contextmanager
def one_of_few(user_pk: int) -> Iterator[None]:
    """Counts as open inside. Raises TooManyOpen. Only for an event loop's own thread."""
    if is_full(user_pk):
        raise TooManyOpen
    _open[user_pk] += 1
    try:
        yield
    finally:
        _open[user_pk] -= 1
        if not _open[user_pk]:
            del _open[user_pk]
