"""Watching a Run: one watcher per Run and process, however many sockets look at it.

The watcher re-reads the Run when the channel layer says that it changed (and every few seconds,
should Redis be away), and looks at the log file at the pace of its storage (jobs/runlog.py), each
time with a deadline. Each follower pulls what lies beyond its own offset at its own speed, so a
slow reader delays nobody and buffers nothing.

The pieces that the watcher read last are shared: a follower that keeps up is given the very object,
one that is slower reads for itself. While a log grows faster than anybody can take it, the watcher
stays one piece ahead of the fastest follower.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import TypeVar

from channels.layers import get_channel_layer
from django.db import Error as DbError
from django.db import connection
from redis.exceptions import RedisError

from jobs import notify, runlog
from jobs.allowing import while_allowed
from jobs.events import Bytes, End, Event, Reset, Skip, State, Storage
from jobs.models import Run
from jobs.states import RunState

log = logging.getLogger(__name__)

FAST_FOR = 2.0
"""seconds without a byte until looks become slow"""
REREAD_EVERY = 5.0
"""seconds between looks at the Run's row when no message comes"""
TRY_AGAIN_AFTER = 1.0
"""seconds after the storage has refused a look"""
RECENT, RECENT_PIECES = 4 * 1024**2, 64
"""bytes of a log's end kept in memory, and in how many pieces, so that many followers cost one read"""
AHEAD_FOR = 0.05
"""seconds that the watcher waits for somebody to take a full piece until it looks at the end instead"""
EACH_FOLLOWER = 0.00025
"""seconds that a look waits longer for each follower: what comes together costs one frame each"""
FAR_BEHIND, SKIP_TO = 4 * 1024**2, 256 * 1024
"""bytes: who may skip does when further behind than the first, to as far from the end as the second"""

T = TypeVar("T")
_threads = ThreadPoolExecutor(8, thread_name_prefix="watch")
"""For the database only: a storage that is away must not hold these."""


async def follow(
    run: str, *, attempt: int = 0, offset: int = 0, skip: bool = False
) -> AsyncGenerator[Event, None]:
    """State, Reset, Storage, Bytes and finally End of a Run, from `offset` of `attempt` on (0: the latest).

    Bytes come without gap or overlap; with `skip`, a follower that has fallen far behind is told
    Skip and goes on near the end. Returns after End, also when the Run is long over.
    """
    watched = _watch(run)
    try:
        async with aclosing(watched.events(attempt, offset, skip=skip)) as events:
            async for event in events:
                yield event
    finally:
        await watched.leave()


async def log_bytes(
    run: str, *, attempt: int, offset: int, allowed: Callable[[], Awaitable[bool]] | None = None
) -> AsyncGenerator[bytes, None]:
    """The log as it grows, until the Run ends, or another attempt begins after the first byte; or until
    `allowed`, which is asked now and then, says that whoever reads it may not any more."""
    begun = False
    following = follow(run, attempt=attempt, offset=offset)
    if allowed is not None:
        following = while_allowed(following, allowed)
    async with aclosing(following) as events:
        async for event in events:
            if isinstance(event, Bytes):
                begun = True
                yield event.data
            elif isinstance(event, Reset) and begun:
                return


class _Watched:
    """The shared part: the Run's state, the log's size and its most recent bytes."""

    def __init__(self, run: str, forget: Callable[[], None]) -> None:
        self.run = run
        self.state: State | None = None
        self.size: int | None = None
        """bytes of the present attempt's log; None until the first look"""
        self.storage_answers = True
        self._whole = False
        """the Run has ended and the log's size is final"""
        self._recent: deque[Bytes] = deque()
        """consecutive; the last one ends at `size`"""
        self._recent_size = 0
        self._reader = runlog.LogReader()
        self._pace = runlog.LOCAL_PACE
        self._changed = asyncio.Event()
        self._stale = asyncio.Event()
        self._hungry = asyncio.Event()
        """a follower has taken all that is known"""
        self._failure: BaseException | None = None
        self._followers = 0
        self._forget = forget
        self._tasks = [
            # A fresh context: the watcher outlives the request that happened to start it.
            asyncio.create_task(work, context=contextvars.Context())
            for work in (self._read_states(), self._hear_changes(), self._read_log())
        ]
        for task in self._tasks:
            task.add_done_callback(self._over)

    def join(self) -> None:
        self._followers += 1

    async def leave(self) -> None:
        self._followers -= 1
        if self._followers == 0:
            self._forget()
            # More than once: redis-py can swallow a cancellation while it connects.
            while any(not task.done() for task in self._tasks):
                for task in self._tasks:
                    task.cancel()
                await asyncio.wait(self._tasks, timeout=0.2)

    async def events(self, attempt: int, offset: int, *, skip: bool) -> AsyncGenerator[Event, None]:
        told: State | None = None
        storage_answers = True
        reader = runlog.LogReader()
        while True:
            changed, state, size = self._changed, self.state, self.size
            if self._failure is not None:
                raise self._failure
            if state is not None and state != told:
                if attempt and state.attempt != attempt:
                    yield Reset(state.attempt)
                    offset = 0
                attempt, told = state.attempt, state
                yield state
            elif storage_answers != self.storage_answers:
                storage_answers = self.storage_answers
                yield Storage(storage_answers)
            elif state is None or size is None:
                await changed.wait()
            elif offset > size:
                yield Reset(attempt)
                offset = 0
            elif skip and size - offset > FAR_BEHIND:
                offset = size - SKIP_TO
                yield Skip(attempt, offset)
            elif offset < size:
                piece = self._recent_at(offset)
                if piece is None:
                    try:
                        piece = await self._read(reader, attempt, offset, size)
                    except OSError as error:
                        await self._storage_refused(error)
                        continue
                if piece.data:
                    offset += len(piece.data)
                    if offset == self.size:
                        # Before it is sent: the next piece is read meanwhile.
                        self._hungry.set()
                    yield piece
                else:
                    # Shorter than the last look said: the next look tells.
                    await changed.wait()
            elif self._whole:
                yield End(attempt, offset, state.state)
                return
            else:
                self._hungry.set()
                await changed.wait()

    def _recent_at(self, offset: int) -> Bytes | None:
        """What begins there, if it is in memory."""
        for piece in reversed(self._recent):
            if piece.offset == offset:
                return piece
            if piece.offset < offset:
                rest = piece.data[offset - piece.offset :]
                return Bytes(offset, rest) if rest else None
        return None

    def _remember(self, piece: Bytes) -> None:
        last = self._recent[-1] if self._recent else None
        if last is None or last.offset + len(last.data) != piece.offset:
            self._forget_recent()
        self._recent.append(piece)
        self._recent_size += len(piece.data)
        while len(self._recent) > RECENT_PIECES or (
            self._recent_size > RECENT and len(self._recent) > 1
        ):
            self._recent_size -= len(self._recent.popleft().data)

    def _forget_recent(self) -> None:
        self._recent.clear()
        self._recent_size = 0

    async def _read(self, reader: runlog.LogReader, attempt: int, offset: int, size: int) -> Bytes:
        # No further than the size that others know: beyond it, an offset would look like a log
        # that shrank.
        limit = min(runlog.CHUNK, size - offset)
        look = await reader.look(self.run, attempt, offset, limit=limit)
        self._storage_is(answering=True)
        return Bytes(offset, look.data)

    async def _storage_refused(self, error: OSError) -> None:
        if self.storage_answers:
            log.warning("The log of Run %s can't be read now: %s", self.run, error)
        self._storage_is(answering=False)
        if not isinstance(error, runlog.StorageSilent):
            await asyncio.sleep(TRY_AGAIN_AFTER)

    def _storage_is(self, *, answering: bool) -> None:
        if self.storage_answers != answering:
            self.storage_answers = answering
            self._announce()

    def _announce(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _over(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
            self._announce()

    # The Run's row.

    async def _read_states(self) -> None:
        while True:
            self._stale.clear()
            try:
                state = await _in_thread(self._load)
            except DbError as error:
                log.warning("Run %s can't be read now: %s", self.run, error)
            else:
                if state != self.state:
                    if self.state is not None and self.state.attempt != state.attempt:
                        self.size = None
                        self._forget_recent()
                    self.state = state
                    self._announce()
                if state.is_final:
                    return
            await _wait(self._stale, REREAD_EVERY)

    def _load(self) -> State:
        runs = Run.objects.select_related("task").defer("script_text", "stdin")
        try:
            return State.of(runs.get(public_id=self.run))
        finally:
            connection.close()

    async def _hear_changes(self) -> None:
        layer = get_channel_layer()
        if layer is None:
            return
        while True:
            try:
                channel = await layer.new_channel()
                await layer.group_add(notify.run_group(self.run), channel)
                try:
                    # What changed between the first look and now would never be told.
                    self._stale.set()
                    while True:
                        await layer.receive(channel)
                        self._stale.set()
                finally:
                    await layer.group_discard(notify.run_group(self.run), channel)
            except (RedisError, OSError) as error:
                log.warning(
                    "No news of Run %s from Redis, looking every %s s: %s",
                    self.run,
                    REREAD_EVERY,
                    error,
                )
                await asyncio.sleep(REREAD_EVERY)

    # The log.

    async def _read_log(self) -> None:
        quiet = 0.0
        at_end = False
        while not self._whole:
            state = self.state
            gained = 0
            if state is not None:
                gained = await self._look(state, at_end=at_end or self.size is None)
                at_end = False
            if gained >= runlog.CHUNK:
                # There is more, for whoever has taken this.
                quiet = 0.0
                at_end = not await _wait(self._hungry, AHEAD_FOR)
                continue
            if state is not self.state:
                continue
            if state is not None and state.is_final:
                if gained == 0:
                    # Looked after the end was known, and nothing new: that is all.
                    self._whole = True
                    self._announce()
                    return
                continue
            if gained:
                quiet = 0.0
            wait = self._pace.fast if quiet < FAST_FOR else self._pace.slow
            wait = max(wait, self._followers * EACH_FOLLOWER)
            if state is None or state.state == RunState.QUEUED:
                wait = REREAD_EVERY  # Nothing is printed before the state changes.
            quiet += wait
            # What changed since is no reason not to wait: only the state is, and it was looked at.
            if await _wait(self._changed, wait):
                quiet = 0.0

    async def _look(self, state: State, *, at_end: bool) -> int:
        """One look at the log; how many bytes more are known now, -1 if it must be looked at again."""
        before = self.size or 0
        tail = runlog.CHUNK if at_end else None
        try:
            look = await self._reader.look(self.run, state.attempt, before, tail=tail)
        except OSError as error:
            await self._storage_refused(error)
            return -1
        self._storage_is(answering=True)
        self._pace = look.pace
        if self.state is None or self.state.attempt != state.attempt:
            return -1
        size = look.offset + len(look.data) if look.data else look.size
        if size == self.size:
            return 0
        if look.data:
            self._remember(Bytes(look.offset, look.data))
        else:
            self._forget_recent()
        # Other bytes than were asked for come next; the first look at an empty log is no gain.
        gained = len(look.data) or (0 if size == before else -1)
        self.size = size
        self._hungry.clear()
        self._announce()
        return gained


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Did it happen in time? Not wait_for(): in Python 3.11 that can swallow a cancellation."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await event.wait()
    return False


async def _in_thread(function: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads, function)


_by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Watched]] = (
    weakref.WeakKeyDictionary()
)


def _watch(run: str) -> _Watched:
    watchers = _by_loop.setdefault(asyncio.get_running_loop(), {})
    watched = watchers.get(run)
    if watched is None:

        def forget() -> None:
            watchers.pop(run, None)

        watched = watchers[run] = _Watched(run, forget)
    watched.join()
    return watched
