"""The presets of the Run panel; a Task's own value is among them even when it is none of ours."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple, TypeVar

from django.conf import settings

from jobs.endings import duration
from jobs.models import GIB, MIB
from jobs.queue import amount, size

Number = TypeVar("Number", Decimal, int)


class Choice(NamedTuple):
    value: str
    label: str
    chosen: bool


_CPUS = [Decimal(text) for text in ("0.5", "1", "2", "4", "8", "16", "32")]
_MEMORY = [256 * MIB, 512 * MIB, *(count * GIB for count in (1, 2, 4, 8, 16, 32, 64, 128))]
_TIMES = [600, 3600, 6 * 3600, 24 * 3600, 3 * 24 * 3600, 7 * 24 * 3600]


def cpus(present: Decimal, most: Decimal | None) -> list[Choice]:
    """`most`: of the largest machine, which is what more than that is refused for; None: not known."""
    offered = _up_to(most, _CPUS)
    return [
        Choice(f"{value.normalize():f}", amount(float(value)), value == present)
        for value in sorted({*offered, present})
    ]


def memory(present: int, most: int | None) -> list[Choice]:
    """As cpus(), in bytes."""
    offered = _up_to(most, _MEMORY)
    return [
        Choice(str(value), size(value), value == present) for value in sorted({*offered, present})
    ]


def _up_to(most: Number | None, presets: Iterable[Number]) -> set[Number]:
    return set(presets) if most is None else {each for each in presets if each <= most} | {most}


def time_limits(present: int) -> list[Choice]:
    longest = settings.RCLUSTER_TIME_LIMIT
    offered = {value for value in _TIMES if not longest or value <= longest}
    numbers = sorted({*offered, present} - {0})
    found = [Choice(str(value), duration(value), value == present) for value in numbers]
    if not longest or present == 0:
        found.append(Choice("0", "No limit", present == 0))
    return found
