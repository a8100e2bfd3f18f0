"""What is said of a duplicate whose files are on their way, or were left out."""

from __future__ import annotations

from collections.abc import Sequence

from jobs.models import TaskCopy
from jobs.queue import size

NAMED = 5
"""paths of what was left out that a sentence names"""


def left_out_words(paths: Sequence[str]) -> str:
    """What a duplicate lacks, in sentences; "" if nothing."""
    if not paths:
        return ""
    shown = ", ".join(paths[:NAMED]) + (f" and {len(paths) - NAMED} more" if paths[NAMED:] else "")
    return (
        f"Not copied: {shown}. Links, special files, what the portal may not read and Datasets that "
        "you may not use are left out."
    )


def words(row: TaskCopy) -> str:
    """How far it is, in a sentence."""
    if row.problem:
        return f"Copying its files stopped. {row.problem}"
    of = f" of {size(row.bytes_total)}" if row.bytes_total is not None else ""
    return (
        f"Its files are being copied: {size(row.bytes_done)}{of} are there. Links, special files and "
        "what the portal may not read are left out."
    )
