"""The files that a Run left in its Task, for its gallery and its list."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from urllib.parse import quote

from django.urls import reverse
from django.utils.http import urlencode

from files import storage
from files.safe import Entry, SafeFolder, UnsafePath
from jobs.models import Run

IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".webp")
TABLES = {".csv": ",", ".tsv": "\t"}
TEXTS = (
    ".txt",
    ".md",
    ".log",
    ".json",
    ".yaml",
    ".yml",
    ".xml",
    ".r",
    ".rmd",
    ".tex",
    ".sql",
    ".out",
)
SHOWN = 200
"""files at most: a gallery is to look at, the file list has all"""
FOLDERS = 100
"""looked into at most: a page must not wait for a script's thousand folders"""
PREVIEW = 8 * 1024
"""bytes of a file's beginning"""
ROWS, COLUMNS, CELL = 20, 12, 80
"""of a table's beginning; characters"""
_SLACK = timedelta(seconds=2)
"""file systems round their times"""


@dataclass(frozen=True)
class Outcome:
    area: str
    path: str
    """below the area"""
    size: int
    """bytes"""
    is_image: bool
    has_preview: bool
    """its beginning can be shown as text or as a table"""
    url: str
    inline_url: str

    @property
    def name(self) -> str:
        """with the area, as scripts and people call it: output/plot.png"""
        return f"{self.area}/{self.path}"


@dataclass(frozen=True)
class Written:
    """What was last written while a Run ran. A later Run that writes the same file takes it over."""

    outcomes: Sequence[Outcome]
    """below output/, images first"""
    elsewhere: Sequence[Outcome]
    """below code/ and input/: the Run's, or somebody's who worked there meanwhile"""
    more: bool
    """there may be more than was looked at or is shown"""
    away: bool
    """the storage could not be read"""


def outcomes(run: Run) -> list[Outcome]:
    """Those below output/."""
    return list(_found(run, "output")[0])


def written(run: Run) -> Written:
    if run.started_at is None:
        return Written([], [], more=False, away=False)
    output, more, away = _found(run, "output")
    code, more_code, _ = _found(run, "code")
    given, more_input, _ = _found(run, "input")
    elsewhere = [*code, *given]
    return Written(output, elsewhere, more=more or more_code or more_input, away=away)


def _found(run: Run, area: str) -> tuple[list[Outcome], bool, bool]:
    """Files, whether there may be more, and whether the folder could not be read."""
    if run.started_at is None:
        return [], False, False
    # What somebody saved just before they pressed Run is no work of the Run.
    since = run.started_at - (_SLACK if area == "output" else timedelta(0))
    # What somebody saved just before they pressed Run is no work of the Run.
    since = run.started_at - (_SLACK if area == "output" else timedelta(0))
    until = run.finished_at + _SLACK if run.finished_at else None
    walk = _Walk(storage.area(run.task.public_id, area))
    found = [
        _outcome(run, area, entry)
        for entry in walk.files()
        if entry.modified_at >= since and (until is None or entry.modified_at <= until)
    ]
    found.sort(key=lambda each: (not each.is_image, each.path.casefold()))
    return found[:SHOWN], walk.more or len(found) > SHOWN, walk.away


class _Walk:
    """Every file below a folder, the upper ones first, as far as there is time."""

    def __init__(self, folder: SafeFolder) -> None:
        self._folder = folder
        self.more = False
        self.away = False

    def files(self) -> Iterator[Entry]:
        below = [""]
        for looked, path in enumerate(below):
            if looked == FOLDERS:
                self.more = True
                return
            try:
                entries = self._folder.entries(path)
            except (OSError, UnsafePath):
                # Storage away, or a folder replaced while we looked: a page without it still helps.
                self.away |= not path
                continue
            below += [entry.path for entry in entries if entry.kind == "folder"]
            yield from (entry for entry in entries if entry.kind == "file")


def _outcome(run: Run, area: str, entry: Entry) -> Outcome:
    url = file_url(run.task.public_id, area, entry.path)
    # The time in the address shows a rewritten plot at once, whatever the browser keeps.
    inline = urlencode({"inline": 1, "v": int(entry.modified_at.timestamp() * 1000)})
    name = entry.path.lower()
    return Outcome(
        area=area,
        path=entry.path,
        size=entry.size,
        is_image=name.endswith(IMAGES),
        has_preview=entry.size > 0 and name.endswith((*TABLES, *TEXTS)),
        url=url,
        inline_url=f"{url}?{inline}",
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


@dataclass(frozen=True)
class Preview:
    """The beginning of a file: a table or lines of text."""

    rows: Sequence[Sequence[str]]
    """the first is the head; empty: it is no table"""
    text: str
    cut: bool
    """the file goes on"""


def preview(run: Run, area: str, path: str) -> Preview | None:
    """None: there is no such file, or it can't be read. Raises UnknownArea."""
    try:
        with storage.area(run.task.public_id, area).open_read(path) as file:
            content = file.read(PREVIEW + 1)
    except (OSError, UnsafePath):
        return None
    cut = len(content) > PREVIEW
    text = content[:PREVIEW].decode(errors="replace")
    if cut:
        # Half a line, and perhaps half a character, says nothing.
        text = text.rpartition("\n")[0] or text
    suffix = next((each for each in TABLES if path.lower().endswith(each)), "")
    if not suffix:
        return Preview([], text.replace("\0", "\N{REPLACEMENT CHARACTER}"), cut)
    rows = list(islice(_rows(text, TABLES[suffix]), ROWS + 1))
    return Preview([row[:COLUMNS] for row in rows[:ROWS]], "", cut or len(rows) > ROWS)


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    try:
        for row in csv.reader(text.replace("\0", "").splitlines(), delimiter=delimiter):
            yield [cell[:CELL] for cell in row]
    except csv.Error:
        # A field beyond csv's own limit: what came before it is shown.
        return
