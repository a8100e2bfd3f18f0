"""Trivial commands a minute through the portal, 4 at a time, interleaved with the same done bare.

`throughput docker` against the bare Docker SDK, `throughput local` as a value (and bare bwrap beside
it): image, user, limits, network and mounts are alike on both sides.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import tests.home  # noqa: F401 - settings before Django
from tests.bench._figures import Figure
from tests.bench.first_byte import end_portal, new_folder
from tests.client import Client
from tests.portal import start_portal
from tests.waiting import until

AT_ONCE = 4
CPUS, MEMORY = 0.5, 128 * 1024**2


def main(argv: list[str]) -> list[dict[str, Any]]:
    """The figures `throughput docker` and `throughput local`."""
    parser = argparse.ArgumentParser(prog="throughput", description=__doc__)
    parser.add_argument(
        "--runs", type=int, default=40, help="Runs per round (local: five times as many)"
    )
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(argv)
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rcluster_site.settings")
    django.setup()
    docker = _docker(given.runs, given.rounds)
    local = _local(5 * given.runs, given.rounds)
    return [figure.as_json() for figure in (docker, *local)]


def _docker(runs: int, rounds: int) -> Figure:
    from django.conf import settings

    from tests.bench._bare import BareDocker, make_spec

    portal = start_portal(backend="docker", RCLUSTER_CPUS=str(AT_ONCE * CPUS))
    folder = new_folder()
    try:
        client = Client(portal.url, portal.token("bench"))
        task = client.create_task("Bench")
        warm = client.command(task, "true", cpus=CPUS, memory=MEMORY)
        image = client.wait_for_end(warm, seconds=120)["image_digest"]
        spec = make_spec(folder, command=["/bin/true"], image=image, cpus=CPUS, memory=MEMORY)
        runner = settings.RCLUSTER_RUNNER_DIR / "rcluster-run"
        clients = [BareDocker(settings.RCLUSTER_DOCKER_HOST, runner) for _ in range(AT_ONCE)]
        ours, bare = [], []
        for _ in range(rounds):
            ours.append(_per_minute(runs, lambda: _through_the_portal(client, task, runs)))
            bare.append(
                _per_minute(runs, lambda: _four_at_a_time(runs, lambda at: clients[at].run(spec)))
            )
        for each in clients:
            each.close()
        client.close()
        value, baseline = statistics.median(ours), statistics.median(bare)
        ratio = value / baseline
        return Figure(
            "throughput docker",
            round(value),
            "Runs/min",
            round(baseline),
            round(ratio, 3),
            "at least 0.85",
            ratio >= 0.85,
        )
    finally:
        end_portal(portal, folder)


def _local(runs: int, rounds: int) -> list[Figure]:
    from tests.bench._bare import BareBubblewrap, make_spec

    portal = start_portal(backend="local", RCLUSTER_CPUS=str(AT_ONCE * CPUS))
    folder = new_folder()
    try:
        client = Client(portal.url, portal.token("bench"))
        task = client.create_task("Bench")
        spec = make_spec(folder, command=["/bin/true"], image="", cpus=CPUS, memory=MEMORY)
        sandbox = BareBubblewrap(folder)
        client.wait_for_end(client.command(task, "true", cpus=CPUS, memory=MEMORY))
        ours, bare = [], []
        for _ in range(rounds):
            ours.append(_per_minute(runs, lambda: _through_the_portal(client, task, runs)))
            bare.append(
                _per_minute(runs, lambda: _four_at_a_time(runs, lambda at: sandbox.run(spec)))
            )
        client.close()
        value, baseline = statistics.median(ours), statistics.median(bare)
        return [
            Figure(
                "throughput local",
                round(value),
                "Runs/min",
                round(baseline),
                None,
                "at least 1000 a minute",
                value >= 1000,
            )
        ]
    finally:
        end_portal(portal, folder)


def _per_minute(runs: int, work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return runs * 60 / (time.perf_counter() - began)


def _through_the_portal(client: Client, task: str, runs: int) -> None:
    """Submit everything, then wait until the last has ended; all must have succeeded."""

    def submit(_: int) -> str:
        return client.command(task, "true", cpus=CPUS, memory=MEMORY)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        submitted = list(pool.map(submit, range(runs)))
    until(
        lambda: all(client.run(run)["state"] == "succeeded" for run in submitted[-AT_ONCE:]),
        "the last Runs to end",
        seconds=600,
        every=0.05,
    )
    assert all(client.run(run)["state"] == "succeeded" for run in submitted)


def _four_at_a_time(runs: int, run: Callable[[int], None]) -> None:
    def one(number: int) -> None:
        run(number % AT_ONCE)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(runs)))
