"""The files that a Run left in output/, for its gallery."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

from django.urls import reverse
from django.utils.http import urlencode

from files import storage
from files.safe import Entry, UnsafePath
from jobs.models import Run

IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
SHOWN = 200
"""files at most: a gallery is to look at, the file list has all"""
_SLACK = timedelta(seconds=2)
"""file systems round their times"""


@dataclass(frozen=True)
class Outcome:
    path: str
    size: int
    """bytes"""
    is_image: bool
    url: str
    inline_url: str


def outcomes(run: Run) -> list[Outcome]:
    """Files below output/ last written while the Run ran, images first. A later Run that writes
    the same file takes it over."""
    if run.started_at is None:
        return []
    since = run.started_at - _SLACK
    until = run.finished_at + _SLACK if run.finished_at else None
    found = [
        _outcome(run, entry)
        for entry in _below(run)
        if entry.modified_at >= since and (until is None or entry.modified_at <= until)
    ]
    return sorted(found, key=lambda each: (not each.is_image, each.path.casefold()))[:SHOWN]


def _below(run: Run) -> list[Entry]:
    """Files of output/ and of the folders in it, two levels deep."""
    area = storage.area(run.task.public_id, "output")
    try:
        top = area.entries()
        files = [entry for entry in top if entry.kind == "file"]
        for folder in [entry for entry in top if entry.kind == "folder"][:20]:
            files += [entry for entry in area.entries(folder.path) if entry.kind == "file"]
    except (OSError, UnsafePath):
        # Storage away, or a folder replaced while we looked: a page without a gallery still helps.
        return []
    return files


def _outcome(run: Run, entry: Entry) -> Outcome:
    url = file_url(run.task.public_id, "output", entry.path)
    # The time in the address shows a rewritten plot at once, whatever the browser keeps.
    inline = urlencode({"inline": 1, "v": int(entry.modified_at.timestamp() * 1000)})
    return Outcome(
        entry.path, entry.size, entry.path.lower().endswith(IMAGES), url, f"{url}?{inline}"
    )


def file_url(task: str, area: str, path: str) -> str:
    """Address of a file's content in the API."""
    return (
        reverse("home")
        + "api/v1/tasks/"
        + "/".join(map(_quoted, [task, "files", area, *path.split("/")]))
    )


def _quoted(part: str) -> str:
    return quote(part, safe="")
