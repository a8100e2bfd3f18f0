"""Machines on which launches keep failing are set aside for a while. Pure."""

from __future__ import annotations

from dataclasses import dataclass

FAILURES = 3
"""in a row, until a machine is set aside"""
ASIDE = 600.0
"""seconds"""


@dataclass
class _Trouble:
    failures: int = 0
    until: float = 0.0
    words: str = ""


class Troubles:
    """By Mesos' id of the machine. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._of: dict[str, _Trouble] = {}

    def failed(self, node: str, words: str, now: float) -> None:
        """A launch failed there, for a reason that may be the machine's."""
        trouble = self._of.setdefault(node, _Trouble())
        trouble.failures += 1
        trouble.words = words
        if trouble.failures >= FAILURES:
            trouble.until = now + ASIDE

    def went_well(self, node: str) -> None:
        self._of.pop(node, None)

    def note(self, node: str, now: float) -> str:
        """Why the machine is set aside, as a sentence; "" if it isn't."""
        trouble = self._of.get(node)
        if trouble is None or now >= trouble.until:
            return ""
        minutes = max(1, round((trouble.until - now) / 60))
        return (
            f"Set aside for {minutes} min: the last {trouble.failures} launches failed there "
            f"({trouble.words})."
        )
