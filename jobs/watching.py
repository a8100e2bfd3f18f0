"""Watching a Run: one watcher per Run and process, however many sockets look at it.

The watcher re-reads the Run when the channel layer says that it changed (and every few seconds,
should Redis be away), and looks at the log file at the pace of its storage (jobs/runlog.py), each
time with a deadline. Each follower pulls what lies beyond its own offset at its own speed, so a
slow reader delays nobody and buffers nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import weakref
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import TypeVar

from channels.layers import get_channel_layer
from django.db import Error as DbError
from django.db import connection
from redis.exceptions import RedisError

from jobs import notify, runlog
from jobs.events import Bytes, End, Event, Reset, State, Storage
from jobs.models import Run
from jobs.states import RunState

log = logging.getLogger(__name__)

FAST_FOR = 2.0
"""seconds without a byte until looks become slow"""
REREAD_EVERY = 5.0
"""seconds between looks at the Run's row when no message comes"""
TRY_AGAIN_AFTER = 1.0
"""seconds after the storage has refused a look"""
RECENT = 1024**2
"""bytes of a log's end kept in memory, so that many followers cost one read"""

T = TypeVar("T")
_threads = ThreadPoolExecutor(8, thread_name_prefix="watch")
"""For the database only: a storage that is away must not hold these."""


async def follow(run: str, *, attempt: int = 0, offset: int = 0) -> AsyncGenerator[Event, None]:
    """State, Reset, Storage, Bytes and finally End of a Run, from `offset` of `attempt` on (0: the latest).

    Bytes come without gap or overlap. Returns after End, also when the Run is long over.
    """
    watched = _watch(run)
    try:
        async with aclosing(watched.events(attempt, offset)) as events:
            async for event in events:
                yield event
    finally:
        await watched.leave()


async def log_bytes(run: str, *, attempt: int, offset: int) -> AsyncGenerator[bytes, None]:
    """The log as it grows, until the Run ends, or another attempt begins after the first byte."""
    begun = False
    async with aclosing(follow(run, attempt=attempt, offset=offset)) as events:
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
        self._recent = bytearray()
        self._reader = runlog.LogReader()
        self._pace = runlog.LOCAL_PACE
        self._changed = asyncio.Event()
        self._stale = asyncio.Event()
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

    async def events(self, attempt: int, offset: int) -> AsyncGenerator[Event, None]:
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
            elif offset < size:
                data = self._recent_from(offset, size)
                if not data:
                    try:
                        data = await self._read(reader, attempt, offset, size)
                    except OSError as error:
                        await self._storage_refused(error)
                        continue
                if data:
                    yield Bytes(offset, data)
                    offset += len(data)
                else:
                    # Shorter than the last look said: the next look tells.
                    await changed.wait()
            elif self._whole:
                yield End(attempt, offset, state.state)
                return
            else:
                await changed.wait()

    def _recent_from(self, offset: int, size: int) -> bytes:
        start = offset - (size - len(self._recent))
        return bytes(self._recent[start : start + runlog.CHUNK]) if start >= 0 else b""

    async def _read(self, reader: runlog.LogReader, attempt: int, offset: int, size: int) -> bytes:
        # No further than the size that others know: beyond it, an offset would look like a log
        # that shrank.
        limit = min(runlog.CHUNK, size - offset)
        look = await reader.look(self.run, attempt, offset, limit=limit)
        self._storage_is(answering=True)
        return look.data

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
                        self._recent.clear()
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
        while not self._whole:
            changed, state = self._changed, self.state
            if state is not None and await self._look(state):
                quiet = 0.0
                continue
            if state is not None and state.is_final and state is self.state:
                # Looked after the end was known, and nothing new: that is all.
                self._whole = True
                self._announce()
                return
            wait = self._pace.fast if quiet < FAST_FOR else self._pace.slow
            if state is None or state.state == RunState.QUEUED:
                wait = REREAD_EVERY  # Nothing is printed before the state changes.
            quiet += wait
            if await _wait(changed, wait):
                quiet = 0.0

    async def _look(self, state: State) -> bool:
        """One look at the log; True if it may hold more than we know by now."""
        before = self.size or 0
        try:
            look = await self._reader.look(
                self.run, state.attempt, before, limit=RECENT, tail=RECENT
            )
        except OSError as error:
            await self._storage_refused(error)
            return True
        self._storage_is(answering=True)
        self._pace = look.pace
        if self.state is None or self.state.attempt != state.attempt:
            return True
        size = look.offset + len(look.data) if look.data else look.size
        if size == self.size:
            return False
        if look.size < before or look.offset != before:
            self._recent.clear()
        self._recent += look.data
        del self._recent[: max(0, len(self._recent) - RECENT)]
        first, self.size = self.size is None, size
        self._announce()
        return not first or bool(look.data)


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
