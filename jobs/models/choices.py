"""What fields may choose from."""

from __future__ import annotations

from jobs.states import Reason, RunState


def choices(enum: type[RunState] | type[Reason]) -> list[tuple[str, str]]:
    """The values of an enum with words for people."""
    return [(member.value, member.value.replace("_", " ")) for member in enum]
