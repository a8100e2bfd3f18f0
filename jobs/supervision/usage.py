"""Counting what people used lately, for fair shares, without ever looking at history again."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import datetime

from django.db import transaction
from django.db.models import FloatField
from django.db.models.functions import Cast

from jobs.models import Run, UserUsage

CHARGED_AT_ONCE = 500
"""ended Runs that are counted in one pass"""
HALF_LIFE = 24 * 3600.0
"""seconds after which half of what somebody used is forgotten"""


def charge(now: datetime) -> bool:
    """Count ended Runs in their submitter's UserUsage, each once. Safe to run again, also while
    another process does; True: there may be more to count."""
    # In order: two that count at a time then meet at the same Runs, and one of them gives way.
    due = Run.objects.filter(charge_due=True, finished_at__isnull=False).order_by("pk")
    rows = due.values_list(
        "pk", "submitted_by", Cast("cpus", FloatField()), "memory", "placed_at", "finished_at"
    )[:CHARGED_AT_ONCE]
    added: dict[int, dict[str, float]] = defaultdict(lambda: {"cpus": 0.0, "memory": 0.0})
    keys = []
    for key, user, cpus, memory, placed_at, finished_at in rows:
        keys.append(key)
        weight = used(
            (finished_at - placed_at).total_seconds() if placed_at else 0.0,
            (now - finished_at).total_seconds(),
        )
        added[user]["cpus"] += cpus * weight
        added[user]["memory"] += memory * weight
    if not keys:
        return False
    with transaction.atomic():
        ours = Run.objects.filter(pk__in=keys, charge_due=True).update(charge_due=False)
        if ours < len(keys):
            transaction.set_rollback(True)
            return True
        for usage in UserUsage.objects.filter(user__in=added):
            for name, count in faded(usage, now).items():
                added[usage.user_id][name] += count
        UserUsage.objects.bulk_create(
            [UserUsage(user_id=user, at=now, **amounts) for user, amounts in added.items()],
            update_conflicts=True,
            unique_fields=["user"],
            update_fields=["cpus", "memory", "at"],
        )
    return len(keys) == CHARGED_AT_ONCE


def used(lasted: float, ago: float) -> float:
    """How much a Run counts that ended `ago` seconds ago: never more than while it ran, which is 1."""
    return (1 - fading(lasted)) * fading(ago)


def fading(seconds: float) -> float:
    """What is left of 1 after so long."""
    return math.exp2(-max(0.0, seconds) / HALF_LIFE)


def faded(usage: UserUsage, now: datetime) -> dict[str, float]:
    left = fading((now - usage.at).total_seconds())
    return {"cpus": usage.cpus * left, "memory": usage.memory * left}
