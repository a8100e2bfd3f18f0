"""What the worker does for Datasets from time to time, off everybody's path."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.db.models import F, Q
from django.db.models.functions import Greatest
from django.utils import timezone

from files import datasets
from files.models import Dataset
from files.storage import StorageAway

log = logging.getLogger(__name__)

SOON = timedelta(seconds=15)
"""between two measurements of one whose files keep changing"""
DAILY = timedelta(days=1)
"""Files of a folder that was registered in place change without our knowing."""
EACH, ALL = 30.0, 60.0
"""seconds for one, and after which no other is begun"""
MOST = 5_000_000
"""entries of one"""


def measure_due() -> int:
    """Measure the Datasets that changed, and each once a day; returns how many were. Safe to repeat."""
    now = timezone.now()
    due = Dataset.objects.filter(deleted_at__isnull=True).filter(
        Q(measured_at__isnull=True)
        | Q(changed_at__gte=F("measured_at"), measured_at__lt=now - SOON)
        | Q(measured_at__lt=now - DAILY)
    )
    begun = time.monotonic()
    done = 0
    for dataset in due.order_by(F("measured_at").asc(nulls_first=True)):
        if time.monotonic() - begun > ALL:
            break
        try:
            done += measure(dataset)
        except StorageAway:
            break
    return done


def measure(dataset: Dataset) -> bool:
    """Note how large it is now. False: its folder can't be read; what was known stays.

    Raises StorageAway.
    """
    # What changes while it is counted is newer than this, and counted once more.
    at = timezone.now()
    path = datasets.path_of(dataset)
    try:
        found = datasets.measure(path, seconds=EACH, most=MOST, ours=not dataset.path)
    except OSError as error:
        datasets.is_there(path)
        log.warning("Dataset %s is not measured: %s", dataset.name, error)
        return False
    Dataset.objects.filter(pk=dataset.pk).update(
        # What was counted only in part tells how much there is at least.
        size=Greatest(F("size"), found.size) if found.in_part else found.size,
        file_count=Greatest(F("file_count"), found.files) if found.in_part else found.files,
        measured_in_part=found.in_part or found.unread,
        measured_at=at,
    )
    return True
