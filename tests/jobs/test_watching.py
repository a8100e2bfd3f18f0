"""Following a Run: every byte once, through growth, new attempts and shrinking files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from asgiref.sync import sync_to_async
from django.db import Error as DbError

from jobs import allowing, attempts, watching
from jobs.events import Bytes, End, Event, Reset, Skip, State
from jobs.models import Run
from jobs.states import ACTIVE, RunState
from jobs.transitions import advance
from tests.factories import make_run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def run() -> Run:
    made: Run = await sync_to_async(make_run)(state=RunState.RUNNING, attempt=1)
    attempts.prepare(made.public_id, 1, script_name="", script_text="", stdin=None)
    return made


def append(run: Run, data: bytes, attempt: int = 1) -> None:
    with (attempts.folder(run.public_id, attempt) / "log").open("ab") as file:
        file.write(data)


async def finish(run: Run) -> None:
    assert await sync_to_async(advance)(run, RunState.SUCCEEDED, since=ACTIVE)


async def collect(
    run: Run,
    *,
    offset: int = 0,
    attempt: int = 0,
    until_bytes: int | None = None,
    skip: bool = False,
) -> list[Event]:
    events: list[Event] = []
    async with (
        asyncio.timeout(15),
        aclosing(
            watching.follow(run.public_id, attempt=attempt, offset=offset, skip=skip)
        ) as following,
    ):
        async for event in following:
            events.append(event)
            if until_bytes is not None and len(data_of(events)) >= until_bytes:
                break
    return events


def data_of(events: list[Event]) -> bytes:
    return b"".join(event.data for event in events if isinstance(event, Bytes))


async def test_bytes_arrive_in_order_and_the_end_says_how_many(run: Run) -> None:
    append(run, b"one\n")
    following = asyncio.create_task(collect(run))
    for number in range(50):
        append(run, b"line %d\n" % number)
        await asyncio.sleep(0)
    await finish(run)
    events = await following
    whole = (attempts.folder(run.public_id, 1) / "log").read_bytes()
    assert isinstance(events[0], State)
    assert data_of(events) == whole
    assert events[-1] == End(1, len(whole), "succeeded")


async def test_a_follower_resumes_at_any_offset_without_gap_or_overlap(run: Run) -> None:
    content = bytes(range(256)) * 8192  # 2 MiB: more than is kept in memory
    append(run, content)
    first = data_of(await collect(run, until_bytes=1))
    rest = data_of(
        await collect(run, attempt=1, offset=len(first), until_bytes=len(content) - len(first))
    )
    assert first + rest == content


async def test_many_followers_at_once_all_get_everything(run: Run) -> None:
    following = [asyncio.create_task(collect(run, offset=at % 3)) for at in range(20)]
    append(run, b"x" * 300_000 + b"end")
    await finish(run)
    for at, events in enumerate(await asyncio.gather(*following)):
        assert data_of(events) == (b"x" * 300_000 + b"end")[at % 3 :]


async def test_a_new_attempt_starts_the_log_afresh(run: Run) -> None:
    append(run, b"first attempt")
    events: list[Event] = []
    async with asyncio.timeout(15), aclosing(watching.follow(run.public_id)) as following:
        async for event in following:
            events.append(event)
            if data_of(events) == b"first attempt" and run.attempt == 1:
                await sync_to_async(advance)(run, RunState.QUEUED, since=ACTIVE)
                attempts.prepare(run.public_id, 2, script_name="", script_text="", stdin=None)
                await sync_to_async(advance)(
                    run,
                    RunState.STARTING,
                    since={RunState.QUEUED},
                    next_attempt=True,
                    backend="local",
                )
                append(run, b"second", attempt=2)
                await finish(run)
    assert Reset(2) in events
    after = events[events.index(Reset(2)) :]
    assert data_of(after) == b"second"
    assert events[-1] == End(2, 6, "succeeded")


async def test_a_log_that_shrank_is_told_and_sent_again(run: Run) -> None:
    append(run, b"long ago")
    assert data_of(await collect(run, until_bytes=8)) == b"long ago"
    (attempts.folder(run.public_id, 1) / "log").write_bytes(b"new")
    await finish(run)
    events = await collect(run, attempt=1, offset=8)
    assert Reset(1) in events
    assert data_of(events) == b"new"


async def test_a_finished_run_that_never_started_ends_at_once() -> None:
    run: Run = await sync_to_async(make_run)(state=RunState.CANCELLED, attempt=0, backend="")
    events = await collect(run)
    assert events[-1] == End(0, 0, "cancelled")


async def test_log_bytes_is_the_file(run: Run) -> None:
    append(run, b"\x00\xff binary \r\n")
    await finish(run)

    async def read() -> AsyncIterator[bytes]:
        async with aclosing(watching.log_bytes(run.public_id, attempt=0, offset=2)) as chunks:
            async for chunk in chunks:
                yield chunk

    assert b"".join([chunk async for chunk in read()]) == b" binary \r\n"


async def test_following_ends_once_it_is_no_longer_allowed_also_in_silence(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowing, "LOOK_EVERY", 0.05)
    asked: list[bool] = []

    async def allowed() -> bool:
        if len(asked) == 1:
            asked.append(True)
            raise DbError("away")  # neither yes nor no
        asked.append(len(asked) < 4)
        return asked[-1]

    append(run, b"so far")
    following = watching.log_bytes(run.public_id, attempt=0, offset=0, allowed=allowed)
    async with asyncio.timeout(15):
        assert b"".join([chunk async for chunk in following]) == b"so far"
    assert asked == [True, True, True, True, False]
    assert run.public_id not in watching._by_loop[asyncio.get_running_loop()]


async def test_who_may_skip_goes_on_near_the_end_of_a_log_that_is_far_ahead(run: Run) -> None:
    content = b"".join(b"line %7d\n" % number for number in range(600_000))
    append(run, content)
    await finish(run)
    events = await collect(run, skip=True)
    skips = [event for event in events if isinstance(event, Skip)]
    assert [skip.attempt for skip in skips] == [1]
    assert len(content) - skips[0].offset == watching.SKIP_TO
    assert data_of(events) == content[skips[0].offset :]
    assert data_of(await collect(run)) == content
    near = await collect(run, offset=len(content) - watching.FAR_BEHIND, skip=True)
    assert data_of(near) == content[-watching.FAR_BEHIND :]


async def test_a_reader_who_takes_nothing_delays_nobody_and_misses_nothing(run: Run) -> None:
    """It stands still in the middle of a log that goes on for many times what is kept in memory."""
    async with aclosing(watching.follow(run.public_id)) as slow, asyncio.timeout(30):
        append(run, b"first\n")
        received = b""
        while not received:
            event = await anext(slow)
            received = event.data if isinstance(event, Bytes) else b""
        quick = asyncio.create_task(collect(run))
        line = b"x" * 99 + b"\n"
        for _ in range(40):
            append(run, line * 5000)
            await asyncio.sleep(0)
        await finish(run)
        whole = (attempts.folder(run.public_id, 1) / "log").read_bytes()
        assert data_of(await quick) == whole
        watched = watching._by_loop[asyncio.get_running_loop()][run.public_id]
        assert watched._recent_size <= watching.RECENT
        async for event in slow:
            received += event.data if isinstance(event, Bytes) else b""
        assert received == whole
