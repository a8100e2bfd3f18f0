"""Looking through a Run log on the server: words, and the numbers of lines, in files of any size.

A log is read in pieces and never held; each call ends by itself after some time and says where to go
on, so whoever no longer cares just doesn't ask again. Offsets are those of the file's bytes.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from jobs import runlog

LONGEST_WORDS = 200
"""characters that can be looked for"""
AT_MOST = 1000
"""matches in one answer"""
SECONDS = 1.0
"""after which a search says what it has found so far"""
COUNT_SECONDS = 5.0
"""after which lines are not counted any further"""
BEFORE, AFTER = 60, 140
"""bytes of the line that are shown around a match"""
OVERLAP = 8 * 1024
"""bytes of a line without end that are read again with the next piece"""
AT_ONCE, PATIENCE = 2, 5.0
"""scans of a process at a time, so that nobody's search slows the logs of all; seconds in the queue"""

_escape = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")
_scans = threading.BoundedSemaphore(AT_ONCE)


class Busy(Exception):
    """Too many people search just now."""


@dataclass(frozen=True)
class Match:
    offset: int
    """of the match's first byte"""
    excerpt: str
    """the line around it, without colours"""


@dataclass(frozen=True)
class Found:
    matches: list[Match]
    next: int | None
    """where to go on; None: all was looked through"""
    size: int
    """bytes of the log by now"""


@dataclass(frozen=True)
class Position:
    line: int | None
    """counted from 1; None: it would have taken too long"""
    offset: int
    """of the line's first byte"""


def search(run: str, attempt: int, words: str, *, start: int = 0, limit: int = AT_MOST) -> Found:
    """Up to `limit` matches of `words` that begin at `start` or later, in order.

    Small letters find capitals, capitals only themselves. Colours within a match don't hide it; a
    match lies within one line. Takes little more than SECONDS. Raises OSError, and Busy.
    """
    find = _finder(words)
    matches: list[Match] = []
    until = time.monotonic() + SECONDS
    with _one_of_few():
        while True:
            look = runlog.look(run, attempt, start)
            piece, last = look.data, start + len(look.data) >= look.size
            end = len(piece) if last else _whole_lines(piece)
            for at in find(piece):
                if at >= end:
                    break
                matches.append(Match(start + at, _excerpt(piece, at)))
                if len(matches) == limit:
                    return Found(matches, start + at + 1, look.size)
            start += end
            if last or not piece:
                return Found(matches, None, look.size)
            if time.monotonic() > until:
                return Found(matches, start, look.size)


def line_at(run: str, attempt: int, offset: int) -> Position:
    """The line that holds the byte at `offset`. Raises OSError, and Busy."""
    before = runlog.read(run, attempt, max(0, offset - OVERLAP), min(offset, OVERLAP))
    begins = offset - len(before) + before.rfind(b"\n") + 1
    if b"\n" not in before and offset > OVERLAP:
        begins = offset  # in the middle of a very long line: as good a place as any
    try:
        with _one_of_few():
            step, counted = _counts.before(run, attempt, lambda end, _: end <= begins)
            rest = _count(run, attempt, step, begins)
    except TimeoutError:
        return Position(None, begins)
    return Position(counted + rest + 1, begins)


def line_number(run: str, attempt: int, line: int) -> Position | None:
    """Where that line begins; None if the log has fewer. Raises OSError, Busy, and TimeoutError."""
    with _one_of_few():
        at, counted = _counts.before(run, attempt, lambda _, lines: lines < line - 1)
    left = line - 1 - counted
    while left > 0:
        piece = runlog.read(run, attempt, at)
        if not piece:
            return None
        here = piece.count(b"\n")
        if here < left:
            left -= here
            at += len(piece)
            continue
        end = -1
        for _ in range(left):
            end = piece.index(b"\n", end + 1)
        at, left = at + end + 1, 0
    return Position(line, at) if line == 1 or at < runlog.size(run, attempt) else None


def _count(run: str, attempt: int, start: int, end: int) -> int:
    """Line ends from `start` on, before `end`."""
    found = 0
    while start < end and (
        piece := runlog.read(run, attempt, start, min(runlog.CHUNK, end - start))
    ):
        found += piece.count(b"\n")
        start += len(piece)
    return found


class _Counts:
    """How many lines end in each stretch of a log. A log only grows, so what was counted once stays:
    an answer that took too long is nearer the next time somebody asks."""

    STRETCH = 4 * 1024**2
    LOGS = 200

    def __init__(self) -> None:
        self._lock = threading.Lock()
        """held while counting: two who count the same log would count it twice"""
        self._stretches: OrderedDict[tuple[str, int], list[int]] = OrderedDict()

    def before(self, run: str, attempt: int, wanted: Callable[[int, int], bool]) -> tuple[int, int]:
        """The end of the last whole stretch for which `wanted(its end, lines until there)`, and the
        lines until there. Raises TimeoutError."""
        with self._lock:
            return self._before(run, attempt, wanted)

    def _before(
        self, run: str, attempt: int, wanted: Callable[[int, int], bool]
    ) -> tuple[int, int]:
        counts = self._of(run, attempt)
        until, at, lines = time.monotonic() + COUNT_SECONDS, 0, 0
        for number in itertools.count():
            if number == len(counts):
                if time.monotonic() > until:
                    raise TimeoutError
                if at + self.STRETCH > runlog.size(run, attempt):
                    return at, lines
                counts.append(_count(run, attempt, at, at + self.STRETCH))
            if not wanted(at + self.STRETCH, lines + counts[number]):
                return at, lines
            at += self.STRETCH
            lines += counts[number]
        raise AssertionError

    def _of(self, run: str, attempt: int) -> list[int]:
        counts = self._stretches.setdefault((run, attempt), [])
        self._stretches.move_to_end((run, attempt))
        if len(self._stretches) > self.LOGS:
            self._stretches.popitem(last=False)
        if len(counts) * self.STRETCH > runlog.size(run, attempt):
            counts.clear()  # something cut the file short
        return counts


_counts = _Counts()


@contextmanager
def _one_of_few() -> Iterator[None]:
    if not _scans.acquire(timeout=PATIENCE):
        raise Busy
    try:
        yield
    finally:
        _scans.release()


def _whole_lines(piece: bytes) -> int:
    """How much of a piece that is not the last need not be looked at again."""
    end = piece.rfind(b"\n") + 1
    return end or max(len(piece) - OVERLAP, 1)


def _excerpt(piece: bytes, at: int) -> str:
    start = max(piece.rfind(b"\n", max(0, at - BEFORE), at) + 1, at - BEFORE, 0)
    end = piece.find(b"\n", at, at + AFTER)
    line = piece[start : end if end >= 0 else at + AFTER]
    return _escape.sub(b"", line).decode("utf-8", "replace").replace("\0", "\N{SYMBOL FOR NULL}")


def _finder(words: str) -> Callable[[bytes], Iterator[int]]:
    """Where `words` begin in a piece of a log. Takes time with the piece's size alone, whatever it
    holds: a pattern with something between all letters would take it times the words' length, and
    hold up the whole process."""
    exact = words != words.lower()
    wanted = words.encode()
    forms = [] if exact else _forms(words)
    for form, small in forms:
        wanted = wanted.replace(form, small)

    def find(piece: bytes) -> Iterator[int]:
        text, place = _without_colours(piece)
        if not exact:
            text = text.lower()
        for form, small in forms:
            text = text.replace(form, small)
        at = text.find(wanted)
        while at >= 0:
            yield place(at)
            at = text.find(wanted, at + len(wanted))

    return find


def _forms(words: str) -> list[tuple[bytes, bytes]]:
    """What is taken for the same letter beyond ASCII, each as many bytes, so that no place moves: Ä and
    ä, ß and ss."""
    pairs = set()
    for letter in filter(lambda each: not each.isascii(), words):
        capital, small = letter.upper(), letter.upper().lower()
        pairs |= {(form.encode(), small.encode()) for form in (capital, letter) if form != small}
    return sorted((form, small) for form, small in pairs if len(form) == len(small))


def _without_colours(piece: bytes) -> tuple[bytes, Callable[[int], int]]:
    """The piece as it is read, and where in the piece each byte of that lies."""
    if b"\x1b" not in piece:
        return piece, lambda at: at
    kept: list[bytes] = []
    ends: list[int] = []  # of what is kept, in the text
    removed: list[int] = []  # bytes of colours until there
    begin = size = gone = 0
    for colour in _escape.finditer(piece):
        kept.append(piece[begin : colour.start()])
        size += colour.start() - begin
        ends.append(size)
        removed.append(gone)
        gone += colour.end() - colour.start()
        begin = colour.end()
    kept.append(piece[begin:])
    removed.append(gone)
    return b"".join(kept), lambda at: at + removed[bisect_right(ends, at)]
