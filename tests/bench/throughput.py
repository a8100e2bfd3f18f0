"""Trivial commands a minute through the portal, 4 at a time: from the first POST to the last end.

`throughput docker`: interleaved with the bare Docker SDK; image, user, limits, network and mounts
are alike on both sides. `throughput local`: a value, with bare bubblewrap beside it. `throughput
with-100k-finished`: a portal with 100,000 finished Runs, interleaved with one that has 100.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import tests.home  # noqa: F401 - settings before Django
from tests.bench._figures import Figure
from tests.bench.first_byte import new_folder
from tests.client import Client
from tests.portal import Portal, start_portal
from tests.waiting import until

AT_ONCE = 4
CPUS, MEMORY = 0.5, 128 * 1024**2
PARTS = ("docker", "local", "finished")
COMMAND = ["/bin/sh", "-c", "true", "sh"]
"""what the portal makes of the command `true`"""
FEW, MANY = 100, 100_000
LOOK_EVERY = 0.5
"""seconds; looking costs the portal time, and when the last Run ended it says itself"""


def main(argv: list[str]) -> list[dict[str, Any]]:
    """The figures `throughput docker`, `throughput local` and `throughput with-100k-finished`."""
    parser = argparse.ArgumentParser(prog="throughput", description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=40, help="Runs per round (without Docker: five times as many)"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=PARTS, action="append", help="just this part")
    given = parser.parse_args(argv)
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rcluster_site.settings")
    django.setup()
    logging.getLogger("httpx").setLevel(logging.WARNING)
    measure = {
        "docker": lambda: _docker(given.runs, given.rounds),
        "local": lambda: _local(5 * given.runs, given.rounds),
        "finished": lambda: _finished(5 * given.runs, given.rounds),
    }
    return [measure[part]().as_json() for part in given.only or PARTS]


def _docker(runs: int, rounds: int) -> Figure:
    from django.conf import settings

    from tests.bench._bare import BareDocker, make_spec

    runner = settings.RCLUSTER_RUNNER_DIR / "rcluster-run"
    with _bench("docker") as bench, contextlib.ExitStack() as stack:
        folder = new_folder()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        image = bench.warm()["image_digest"]
        spec = make_spec(folder, command=COMMAND, image=image, cpus=CPUS, memory=MEMORY)
        clients = [BareDocker(settings.RCLUSTER_DOCKER_HOST, runner) for _ in range(AT_ONCE)]
        for client in clients:
            stack.callback(client.close)
        ours, bare = _interleaved(
            rounds,
            lambda: bench.seconds(runs),
            lambda: _four_at_a_time(runs, lambda at: clients[at].run(spec)),
        )
    return _ratio("throughput docker", runs, ours, bare, at_least=0.85)


def _local(runs: int, rounds: int) -> Figure:
    from tests.bench._bare import BareBubblewrap, make_spec

    with _bench("local") as bench, contextlib.ExitStack() as stack:
        folder = new_folder()
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        spec = make_spec(folder, command=COMMAND, image="", cpus=CPUS, memory=MEMORY)
        sandbox = BareBubblewrap(folder)
        bench.warm()
        ours, bare = _interleaved(
            rounds,
            lambda: bench.seconds(runs),
            lambda: _four_at_a_time(runs, lambda at: sandbox.run(spec)),
        )
    value, baseline = (runs * 60 / statistics.median(each) for each in (ours, bare))
    goal = "at least 1000 a minute"
    name = "throughput local"
    return Figure(name, round(value), "Runs/min", round(baseline), None, goal, value >= 1000)


def _finished(runs: int, rounds: int) -> Figure:
    from deploy.portal.database import temporary_postgresql
    from tests.bench._finished import fill

    with contextlib.ExitStack() as stack:
        benches = []
        for finished in (MANY, FEW):
            database = stack.enter_context(temporary_postgresql())
            bench = stack.enter_context(_bench("local", database))
            fill(database, bench.portal.home / "storage", finished)
            bench.warm()
            benches.append(bench)
        many, few = benches
        ours, others = _interleaved(rounds, lambda: many.seconds(runs), lambda: few.seconds(runs))
    return _ratio("throughput with-100k-finished", runs, ours, others, at_least=0.9)


def _ratio(
    name: str, runs: int, ours: list[float], bare: list[float], *, at_least: float
) -> Figure:
    value, baseline = (runs * 60 / statistics.median(each) for each in (ours, bare))
    ratio = value / baseline
    met, goal = ratio >= at_least, f"at least {at_least}"
    return Figure(name, round(value), "Runs/min", round(baseline), round(ratio, 3), goal, met)


def _interleaved(
    rounds: int, ours: Callable[[], float], bare: Callable[[], float]
) -> tuple[list[float], list[float]]:
    """Seconds of each round. Each side begins every other round: the machine's mood hits both."""
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(rounds):
        sides = ((ours, taken[0]), (bare, taken[1]))
        for measure, into in sides if turn % 2 == 0 else reversed(sides):
            into.append(measure())
    return taken


# Through the portal.


@dataclass
class _Bench:
    portal: Portal
    client: Client
    task: str

    def warm(self) -> dict[str, Any]:
        return self.client.wait_for_end(self._submit(), seconds=120)

    def seconds(self, runs: int) -> float:
        """From the first POST to the moment that the portal has the last end; all must succeed."""
        began = time.time()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            submitted = list(pool.map(lambda _: self._submit(), range(runs)))
        waiting = list(submitted)

        def all_ended() -> bool:
            while waiting and self.client.run(waiting[-1])["finished_at"]:
                waiting.pop()
            return not waiting

        until(all_ended, "the last Run to end", seconds=600, every=LOOK_EVERY)
        found = [self.client.run(run) for run in submitted]
        wrong = [run for run in found if run["state"] != "succeeded"]
        assert not wrong, wrong[0]
        ended = max(datetime.fromisoformat(run["finished_at"]) for run in found)
        return ended.timestamp() - began

    def _submit(self) -> str:
        return self.client.command(self.task, "true", cpus=CPUS, memory=MEMORY)


@contextlib.contextmanager
def _bench(backend: str, database: str | None = None) -> Iterator[_Bench]:
    portal = start_portal(backend=backend, database_url=database, RCLUSTER_CPUS=str(AT_ONCE * CPUS))
    try:
        client = Client(portal.url, portal.token("bench"))
        yield _Bench(portal, client, client.create_task("Bench"))
        client.close()
    finally:
        portal.stop()


# Bare.


def _four_at_a_time(runs: int, run: Callable[[int], None]) -> float:
    """Seconds; `run` is told which of the four it is."""

    def one(at: int) -> None:
        for _ in range(at, runs, AT_ONCE):
            run(at)

    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(AT_ONCE)))
    return time.perf_counter() - began
