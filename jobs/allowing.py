"""What is sent for a long time ends with the right to it (docs/decisions/0020-rights-that-end.md)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

from django.db import Error as DbError

from accounts.standing import LOOK_EVERY
from jobs.events import Event

log = logging.getLogger(__name__)


async def while_allowed(
    events: AsyncGenerator[Event, None], allowed: Callable[[], Awaitable[bool]]
) -> AsyncGenerator[Event, None]:
    """The same events until it is refused, also while there are none."""
    refused = asyncio.create_task(_refused(allowed))
    step: asyncio.Task[Event | None] | None = None
    try:
        while True:
            step = asyncio.create_task(_next(events))
            await asyncio.wait({step, refused}, return_when=asyncio.FIRST_COMPLETED)
            if refused.done():
                refused.result()
                return
            event = step.result()
            if event is None:
                return
            yield event
    finally:
        for task in (refused, step):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task})
        await events.aclose()


async def _next(events: AsyncGenerator[Event, None]) -> Event | None:
    return await anext(events, None)


async def _refused(allowed: Callable[[], Awaitable[bool]]) -> None:
    """Returns when it is. A database that is away says neither yes nor no."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        try:
            if not await allowed():
                return
        except DbError as error:
            log.warning("Who follows a log can't be looked up now: %s", error)
