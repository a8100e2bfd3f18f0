"""The answer to what can't be granted."""

from __future__ import annotations


class Refused(Exception):
    """The request can't be granted; nothing was changed. The message says what to do."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field
        """name of the RunRequest's or Task's field at fault; "" if none alone is"""
