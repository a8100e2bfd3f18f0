"""The same tasks without R-Cluster: the bare pymesos driver on the same lab, descriptions alike."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jobs.backends.base import ContainerSpec
from jobs.backends.mesos import pymesos
from jobs.backends.mesos_offers import Amount, OfferBook
from jobs.backends.mesos_settings import MesosSettings
from jobs.backends.mesos_tasks import task_info

OVER = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST", "TASK_DROPPED"}


class BareMesos(pymesos.Scheduler):  # type: ignore[misc]
    """Launches specs as offers come, several per ACCEPT; acknowledges at once; keeps nothing."""

    def __init__(self, master: str, runner: Path) -> None:
        self._runner = runner
        self._changed = threading.Condition()
        self._waiting: list[ContainerSpec] = []
        self.accepted: dict[str, float] = {}
        self.running: dict[str, float] = {}
        self.over: dict[str, float] = {}
        self.states: dict[str, str] = {}
        framework = MesosSettings(master, failover_timeout=1.0).framework("")
        self._driver = pymesos.MesosSchedulerDriver(self, framework | {"name": "bare"}, master)
        self._driver.start()

    def run(self, specs: list[ContainerSpec], seconds: float = 300.0) -> None:
        """Launch all and wait until each has ended. Raises AssertionError where one failed."""
        with self._changed:
            self._waiting += specs
        self._driver.reviveOffers()
        self._await(lambda: all(spec.handle in self.over for spec in specs), seconds)
        ended = {self.states[spec.handle] for spec in specs}
        assert ended == {"TASK_FINISHED"}, ended

    def _await(self, condition: Callable[[], bool], seconds: float) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, seconds), "the bare framework is stuck"

    def resourceOffers(self, driver: Any, offers: list[dict[str, Any]]) -> None:  # noqa: N802 - pymesos' name
        book, now = OfferBook("*"), time.perf_counter()
        for offer in offers:
            book.add(offer, now)
        for node in book.nodes():
            with self._changed:
                wants = [Amount.asked(spec.cpus, spec.memory) for spec in self._waiting]
            ids = [{"value": each} for each in book.of(node)]
            given = book.take(node, wants)[1] if wants else []
            tasks = []
            for spec, resources in zip(list(self._waiting), given, strict=False):
                if resources is None:
                    continue
                tasks.append(self._task(spec, node, resources))
                with self._changed:
                    self._waiting.remove(spec)
                    self.accepted[spec.handle] = time.perf_counter()
            if tasks:
                driver.launchTasks(ids, tasks, {"refuse_seconds": 0})
            else:
                driver.declineOffer(ids, {"refuse_seconds": 0.5 if self._waiting else 3600})

    def _task(self, spec: ContainerSpec, node: str, resources: Any) -> dict[str, Any]:
        return task_info(
            spec,
            agent_id=node,
            installation="bare",
            runner=self._runner,
            proxies={},
            role="*",
            resources=resources,
        )

    def statusUpdate(self, driver: Any, update: dict[str, Any]) -> None:  # noqa: N802 - pymesos' name
        handle, state = update["task_id"]["value"], update["state"]
        with self._changed:
            if state == "TASK_RUNNING":
                self.running.setdefault(handle, time.perf_counter())
            if state in OVER:
                self.over.setdefault(handle, time.perf_counter())
                self.states[handle] = state
            self._changed.notify_all()

    def close(self) -> None:
        """The framework and what is left of its tasks end."""
        self._driver.stop()
        self._driver.join()
