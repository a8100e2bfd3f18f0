"""Emptying large folders that somebody removed: out of sight at once, gone a little later."""

from __future__ import annotations

import os
from pathlib import Path

from django.utils import timezone

from files import datasets, storage
from files.models import Dataset
from files.removal import TEMPORARY, remove_tree
from files.safe import components
from files.walking import open_below
from jobs import notify

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def clear_later(hidden: Path) -> None:
    """Have a folder below the storage emptied that has one of our hidden names already."""
    notify.clear(str(hidden.relative_to(storage.storage_root())))


def clear(path: str, *, seconds: float) -> str:
    """Empty and remove it, for about so long, and have measured what it was in; returns what to go on
    with, "" if it is gone. Safe to repeat. Raises OSError."""
    above, name = components(path)[:-1], path.rpartition("/")[2]
    if not above or not name.startswith(TEMPORARY):
        return ""
    storage.check_present()
    try:
        folder = open_below(storage.storage_root(), above, _FOLDER)
    except (FileNotFoundError, NotADirectoryError):
        return ""
    try:
        left = remove_tree(folder, name, seconds=seconds)
    except FileNotFoundError:
        return ""
    finally:
        os.close(folder)
    if left:
        return "/".join([*above, left])
    if above[0] == datasets.TOP:
        Dataset.objects.filter(name=above[1], path="").update(changed_at=timezone.now())
    else:
        notify.measure(above[1])
    return ""
