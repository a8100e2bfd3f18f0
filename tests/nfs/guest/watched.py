"""One Run, watched on the portal's machine by the product's own watching.follow()."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from jobs import attempts, watching
from jobs.events import Bytes, Event
from jobs.models import Run
from jobs.states import ACTIVE, RunState
from jobs.transitions import advance
from tests.factories import make_run

BEAT = 0.02
PATIENCE = 120.0
T = TypeVar("T")


class Watched:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._run: Run | None = None

    def watch(self) -> dict[str, Any]:
        """A Run that is running, and somebody who looks at it from now on."""
        self._run = make_run(state=RunState.RUNNING, attempt=1)
        run = self._run.public_id
        attempts.prepare(run, 1, script_name="", script_text="", stdin=None)
        self._data = bytearray()
        self._arrivals: list[tuple[int, int]] = []
        self._others: list[tuple[int, dict[str, Any]]] = []
        self._stall = 0.0
        self._begun = threading.Event()
        self._end = self._begin(self._follow(run))
        self._beats = self._begin(self._beat())
        if not self._begun.wait(PATIENCE):
            raise TimeoutError("No first event.")
        return {"run": run, "folder": str(attempts.folder(run, 1))}

    def finish(self) -> dict[str, Any]:
        """Say that the Run is over, and tell what the watcher saw, to its last event.

        arrivals: [moment, bytes in all]; others: [moment, event]; stall: the longest time in
        seconds that the event loop was held; then `size` bytes.
        """
        assert self._run is not None
        assert advance(self._run, RunState.SUCCEEDED, since=ACTIVE, exit_code=0)
        self._end.result(PATIENCE)
        self._beats.cancel()
        return {
            "size": len(self._data),
            "arrivals": self._arrivals,
            "others": self._others,
            "stall": self._stall,
            "data": bytes(self._data),
        }

    async def _follow(self, run: str) -> None:
        async with aclosing(watching.follow(run)) as events:
            async for event in events:
                self._take(event)

    def _take(self, event: Event) -> None:
        now = time.monotonic_ns()
        if isinstance(event, Bytes):
            assert event.offset == len(self._data)
            self._data += event.data
            self._arrivals.append((now, len(self._data)))
            return
        self._others.append((now, dict(vars(event))))
        self._begun.set()

    async def _beat(self) -> None:
        """Whatever holds the event loop makes a beat late."""
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                before = time.monotonic()
                await asyncio.sleep(BEAT)
                self._stall = max(self._stall, time.monotonic() - before - BEAT)

    def _begin(self, work: Coroutine[Any, Any, T]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop)
