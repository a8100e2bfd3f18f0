"""Tell the web processes that a Run changed, and the backend worker that there is work.

Both are only accelerators: watchers re-read, and supervision makes its pass, without them.
So nothing here ever raises to the caller because Redis is away; it is logged.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypedDict

from channels.layers import get_channel_layer
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from rcluster_site.celery import app

if TYPE_CHECKING:
    from jobs.models import Run

log = logging.getLogger(__name__)

AT_MOST = 1000
"""news on their way at a time; more are dropped, and watchers look by themselves every few seconds"""
PATIENCE = 5.0
"""seconds for Redis to take one of them"""
GATHER = 0.5
"""seconds in which the same step, asked for often, becomes one message to the worker"""
BETWEEN_WAKES = 0.2
"""seconds between two messages to the backend worker: the first goes at once, and hundreds of
submissions need no more of them (one costs both sides together 8 ms of CPU)"""


class RunChanged(TypedDict):
    """All that ever travels through the channel layer: never log text."""

    type: str
    run: str
    task: str
    number: int
    state: str
    reason: str
    explanation: str


class AccessChanged(TypedDict):
    type: str
    task: str


def run_group(run: str) -> str:
    return f"run.{run}"


def user_group(user_pk: int) -> str:
    """Changes of Runs in the Tasks that the person owns."""
    return f"user.{user_pk}"


def task_group(task: str) -> str:
    """Changes of Runs in a Task, for its members."""
    return f"task.{task}"


def access_group(user_pk: int) -> str:
    """What the person may see has changed: every open socket of theirs looks again."""
    return f"access.{user_pk}"


def run_changed(run: Run) -> None:
    """Publish the Run's state to whoever watches it. Call on commit; `run.task` must be loaded."""
    message = RunChanged(
        type="run.changed",
        run=run.public_id,
        task=run.task.public_id,
        number=run.number,
        state=run.state,
        reason=run.reason,
        explanation=run.explanation,
    )
    task = run.task
    groups = [run_group(run.public_id), user_group(task.owner_id), task_group(task.public_id)]
    _publisher.send(groups, message)
    if run.is_final:
        measure(task.public_id)


def access_changed(user_pks: Iterable[int], task: str = "") -> None:
    """Tell the sockets of these people to look again at what they may see. Call on commit.

    `task`: the Task that was shared, taken back, deleted or restored; "" if it is about the account.
    """
    groups = [access_group(pk) for pk in sorted(set(user_pks))]
    _publisher.send(groups, AccessChanged(type="access.changed", task=task))


def measure(task: str) -> None:
    """Have a Task's storage measured soon. Call on commit. Returns at once; what is lost here an
    hourly step does."""
    _worker.ask("jobs.steps.measure_task", task)


def copy(task: str) -> None:
    """Have the files of a duplicated Task copied. As measure(); what is lost a step does each minute."""
    _worker.ask("jobs.steps.copy_task", task)


def sweep() -> None:
    """Have the bin looked at. As measure()."""
    _worker.ask("jobs.steps.sweep_bin")


def clear(path: str) -> None:
    """Have a hidden folder emptied. As measure(); what is lost stays hidden until it is swept."""
    _worker.ask("jobs.steps.clear_folder", path)


def sweep_datasets() -> None:
    """Have the files of Datasets that are gone removed. As measure()."""
    _worker.ask("jobs.steps.sweep_datasets")


def wake_supervision() -> None:
    """Make the backend worker look now instead of at its next pass. Call on commit. Returns at once:
    a Redis that hangs keeps nobody waiting."""
    _waker.wake()


class _Waker:
    """One thread that sends; what is asked for meanwhile becomes one more message."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._started = False

    def wake(self) -> None:
        self._wanted.set()
        with self._lock:
            if not self._started:
                self._started = True
                threading.Thread(target=self._send, name="waker", daemon=True).start()

    def _send(self) -> None:
        while self._wanted.wait():
            self._wanted.clear()
            try:
                app.send_task("jobs.steps.wake_supervision", expires=30)
            except (OperationalError, RedisError, OSError) as error:
                log.warning("No message to the backend worker (it looks every second): %s", error)
            except Exception:  # without this thread nobody would ever be woken again
                log.exception("No message to the backend worker (it looks every second)")
            time.sleep(BETWEEN_WAKES)


_waker = _Waker()


class _Worker:
    """One thread that sends steps; one that is asked for often meanwhile is sent once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: set[tuple[str, ...]] = set()
        self._wanted = threading.Event()
        self._started = False

    def ask(self, step: str, *arguments: str) -> None:
        with self._lock:
            if len(self._asked) < AT_MOST:
                self._asked.add((step, *arguments))
            if not self._started:
                self._started = True
                threading.Thread(target=self._send, name="asker", daemon=True).start()
        self._wanted.set()

    def _send(self) -> None:
        while self._wanted.wait():
            time.sleep(GATHER)
            self._wanted.clear()
            with self._lock:
                asked, self._asked = sorted(self._asked), set()
            for step, *arguments in asked:
                try:
                    app.send_task(step, args=arguments, expires=3600)
                except (OperationalError, RedisError, OSError) as error:
                    log.warning("%s %s is done later: %s", step, arguments, error)
                    break
                except Exception:  # the next ones have this thread alone
                    log.exception("%s %s is done later", step, arguments)


_worker = _Worker()


class _Publisher:
    """One thread with one event loop, so that a publish does not open a connection each time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting = 0

    def send(self, groups: list[str], message: RunChanged | AccessChanged) -> None:
        with self._lock:
            if self._waiting >= AT_MOST:
                return
            self._waiting += 1
        asyncio.run_coroutine_threadsafe(self._send(groups, message), self._running_loop())

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="notify", daemon=True).start()
            return self._loop

    async def _send(self, groups: list[str], message: RunChanged | AccessChanged) -> None:
        try:
            layer = get_channel_layer()
            for group in groups if layer is not None else ():
                async with asyncio.timeout(PATIENCE):
                    await layer.group_send(group, message)
        except (RedisError, OSError) as error:
            log.warning("Watchers were not told of %s: %s", message, error)
        except Exception:  # nobody looks at what becomes of this coroutine
            log.exception("Watchers were not told of %s", message)
        finally:
            with self._lock:
                self._waiting -= 1


_publisher = _Publisher()
