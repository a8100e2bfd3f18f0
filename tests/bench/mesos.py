"""Docker tasks on a real Mesos: through the portal, and through bare pymesos on the same lab.

`mesos throughput`: tasks a second with all queued beforehand, from the moment at which machines
take them to the last end. `mesos latency`: from the offer that fits to RUNNING committed, against
ACCEPT to TASK_RUNNING. `mesos offers`: offers a second that the scheduler's own code deals with
while 10,000 Runs wait in memory.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tests.home  # noqa: F401 - settings before Django
from deploy.mesos.lab import Lab
from tests.bench._figures import Figure, at_most
from tests.bench.first_byte import end_portal, new_folder
from tests.client import Client
from tests.portal import Portal, start_portal
from tests.waiting import until

PORT = 5450
CPUS, MEMORY = 0.5, 128 * 1024**2
AGENT_CPUS, AGENT_MB = 2.0, 4096
WAITING, AGENTS = 10_000, 1_000


def main(argv: list[str]) -> list[dict[str, Any]]:
    """The figures `mesos throughput`, `mesos latency` and `mesos offers`."""
    parser = argparse.ArgumentParser(prog="mesos", description=__doc__)
    parser.add_argument("--runs", type=int, default=30, help="tasks in a round of throughput")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repetitions", type=int, default=11, help="of latency")
    parser.add_argument("--only", choices=("throughput", "latency", "offers"))
    given = parser.parse_args(argv)
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rcluster_site.settings")
    django.setup()
    figures = []
    if given.only in (None, "offers"):
        figures.append(_offers())
    if given.only != "offers":
        with _lab() as lab:
            figures += _on_the_lab(lab, given)
    return [figure.as_json() for figure in figures]


@contextmanager
def _lab() -> Iterator[Lab]:
    folder = Path(tempfile.mkdtemp(prefix="rc-bench-mesos-"))
    folder.chmod(0o755)
    with Lab(folder, PORT, agents=2, cpus=AGENT_CPUS, mem=AGENT_MB).running() as lab:
        yield lab
    shutil.rmtree(folder, ignore_errors=True)


def _on_the_lab(lab: Lab, given: argparse.Namespace) -> list[Figure]:
    from django.conf import settings

    from tests.bench._bare_mesos import BareMesos

    portal = start_portal(backend="mesos", RCLUSTER_MESOS_MASTER=lab.master)
    folder = new_folder()
    bare = BareMesos(lab.master, settings.RCLUSTER_RUNNER_DIR / "rcluster-run")
    try:
        bench = _Bench(portal, folder, bare)
        figures = []
        if given.only in (None, "throughput"):
            figures.append(bench.throughput(given.runs, given.rounds))
        if given.only in (None, "latency"):
            figures.append(bench.latency(given.repetitions))
        return figures
    finally:
        bare.close()
        end_portal(portal, folder)


class _Bench:
    def __init__(self, portal: Portal, folder: Path, bare: Any) -> None:
        self._client = Client(portal.url, portal.token("bench"))
        self._portal = portal
        self._folder = folder
        self._bare = bare
        self._task = self._client.create_task("Bench")
        warm = self._client.command(self._task, "true", cpus=CPUS, memory=MEMORY)
        found = self._client.wait_for_end(warm, seconds=120)
        assert found["state"] == "succeeded", found
        self._image = found["image_digest"]

    def throughput(self, runs: int, rounds: int) -> Figure:
        ours, bare = [], []
        for _ in range(rounds):
            ours.append(self._ours(runs))
            bare.append(self._bare_throughput(runs))
        value, baseline = statistics.median(ours), statistics.median(bare)
        ratio = value / baseline
        return Figure(
            "mesos throughput",
            round(value, 2),
            "tasks/s",
            round(baseline, 2),
            round(ratio, 3),
            "at least 0.9",
            ratio >= 0.9,
        )

    def _ours(self, runs: int) -> float:
        """Queued while every machine is drained; then they are taken back, and the clock runs."""
        machines = [each["name"] for each in self._client.cluster()["machines"]]
        for name in machines:
            self._client.drain(name)
        with ThreadPoolExecutor(4) as pool:
            submitted = list(pool.map(lambda _: self._submit(), range(runs)))
        for name in machines:
            self._client.undrain(name)
        until(
            lambda: (
                self._client.run(submitted[-1])["state"] == "succeeded"
                and all(self._client.run(run)["state"] == "succeeded" for run in submitted)
            ),
            "the last task to end",
            seconds=300,
            every=0.25,
        )
        found = [self._client.run(run) for run in submitted]
        began = min(_moment(run["placed_at"]) for run in found)
        ended = max(_moment(run["finished_at"]) for run in found)
        return runs / (ended - began)

    def _submit(self) -> str:
        return self._client.command(self._task, "true", cpus=CPUS, memory=MEMORY)

    def _bare_throughput(self, runs: int) -> float:
        specs = [self._spec() for _ in range(runs)]
        self._bare.run(specs)
        began = min(self._bare.accepted[spec.handle] for spec in specs)
        ended = max(self._bare.over[spec.handle] for spec in specs)
        return float(runs / (ended - began))

    def latency(self, repetitions: int) -> Figure:
        """The machines are idle. The portal's clock begins with the first offer after the Run was
        submitted (its own log says when), and stops with the time of the committed move."""
        ours, bare = [], []
        for _ in range(repetitions):
            ours.append(self._our_latency())
            spec = self._spec()
            self._bare.run([spec])
            handle = spec.handle
            bare.append((self._bare.running[handle] - self._bare.accepted[handle]) * 1000)
        return at_most("mesos latency", ours, bare, ratio=1.5)

    def _our_latency(self) -> float:
        until(lambda: _wants_none(self._portal), "the portal to ask for no offers")
        submitted = time.time()
        run = self._submit()
        found = self._client.wait_for_end(run, seconds=60)
        assert found["state"] == "succeeded", found
        running = self._running_at(run)
        offers = [at for at in _offers_told(self._portal) if submitted <= at <= running]
        assert offers, "the portal's log tells of no offer"
        return (running - offers[0]) * 1000

    def _running_at(self, run: str) -> float:
        """When the move to RUNNING was written, to the microsecond: the timeline has it."""
        with sqlite3.connect(f"file:{self._portal.home}/db.sqlite3?mode=ro", uri=True) as database:
            found = database.execute(
                "SELECT at FROM jobs_runevent JOIN jobs_run ON jobs_run.id = run_id "
                "WHERE public_id = ? AND jobs_runevent.state = 'running'",
                (run,),
            ).fetchone()
        return datetime.fromisoformat(found[0]).replace(tzinfo=UTC).timestamp()

    def _spec(self) -> Any:
        from tests.bench._bare import make_spec

        root = self._folder / secrets.token_hex(6)
        root.mkdir()
        spec = make_spec(
            root,
            command=["/bin/sh", "-c", "true", "sh"],
            image=self._image,
            cpus=CPUS,
            memory=MEMORY,
        )
        for name, content in (("log", b""), ("exit", b"\n" * 1024), ("permit", b"")):
            (spec.attempt_dir / name).write_bytes(content)
            os.chown(spec.attempt_dir / name, spec.uid, spec.gid)
        return replace(spec, time_limit=24 * 3600.0)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _offers_told(portal: Portal) -> list[float]:
    """Unix times at which the backend worker got offers, from its log."""
    lines = portal.log("backend").splitlines()
    return [float(line.rsplit(" ", 1)[1]) for line in lines if "First offers since" in line]


def _wants_none(portal: Portal) -> bool:
    """Has it told Mesos, since it last got offers, that nothing waits?"""
    log = portal.log("backend")
    return log.rfind("Nothing waits") > log.rfind("First offers since")


# Offers that come while 10,000 Runs wait.


def _offers() -> Figure:
    """From the event's arrival to the ACCEPT that would be sent: noting, planning, carving."""
    from jobs import queue
    from jobs.backends.mesos_offers import Amount

    needs = [
        queue.Need(
            key, {"cpus": 0.5 + key % 8, "memory": (1 + key % 16) * 2**30}, key % 250, 0, 3600
        )
        for key in range(WAITING)
    ]
    wants = {
        need.key: Amount.asked(need.wants["cpus"], int(need.wants["memory"])) for need in needs
    }
    took = []
    for _ in range(5):
        backend, events = _unconnected(), [_offer(number) for number in range(AGENTS)]
        began = time.process_time()
        backend.offered(events)
        book = backend._book
        offers = [backend._machines._offer(node) for node in book.nodes()]
        rooms = [
            queue.Room(
                each.machine, {"cpus": each.cpus, "memory": each.memory}, (), each.attributes
            )
            for each in offers
        ]
        plan = queue.plan(needs, rooms, at_most=WAITING)
        by_machine: dict[str, list[Amount]] = {}
        for key, machine in plan.placements.items():
            by_machine.setdefault(machine, []).append(wants[key])
        spent = sum(len(book.take(each.node, by_machine[each.machine])[0]) for each in offers)
        took.append(time.process_time() - began)
        assert plan.placements
        assert spent == AGENTS
    value = AGENTS / statistics.median(took)
    return Figure(
        "mesos offers", round(value), "offers/s", None, None, "at least 2000", value >= 2000
    )


def _unconnected() -> Any:
    """The backend itself, with nobody to talk to."""
    from jobs.backends.mesos_backend import MesosBackend
    from jobs.backends.mesos_settings import MesosSettings
    from jobs.site import DatabaseNotes

    return MesosBackend(
        settings=MesosSettings(),
        installation="bench",
        runner=Path("/rcluster-run"),
        notes=DatabaseNotes(),
        attempt_dir=Path,
    )


def _offer(number: int) -> dict[str, Any]:
    def scalar(name: str, value: float) -> dict[str, Any]:
        return {
            "name": name,
            "type": "SCALAR",
            "scalar": {"value": value},
            "allocation_info": {"role": "*"},
        }

    return {
        "id": {"value": f"offer-{number}"},
        "agent_id": {"value": f"agent-{number}"},
        "framework_id": {"value": "framework"},
        "hostname": f"machine{number}",
        "url": {"scheme": "http", "address": {"ip": "10.0.0.1", "port": 5051}, "path": "/slave(1)"},
        "resources": [scalar("cpus", 32.0), scalar("mem", 128_000.0), scalar("disk", 1e6)],
        "attributes": [{"name": "disk", "type": "TEXT", "text": {"value": "ssd"}}],
        "allocation_info": {"role": "*"},
    }
