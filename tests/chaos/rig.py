"""A portal to be broken: its own storage disk, its own PostgreSQL, for docker its own engine."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from deploy.portal import homes, supervisor
from deploy.portal.place import Place
from tests.chaos import processes
from tests.chaos.disk import Disk
from tests.chaos.engine import Engine
from tests.chaos.listener import Listener
from tests.chaos.postgresql import Server
from tests.client import Client
from tests.conftest import R_IMAGE
from tests.portal import Portal, start_portal
from tests.waiting import until

CPUS = 2.0
PATIENCE = 90.0
"""seconds for the portal to answer again; the machine may be busy"""
PROGRAMS = ("web", "worker", "beat", "backend", "valkey")


class Rig:
    """One backend's portal. Many cases share it; a case that broke it says so by `make_whole()`."""

    def __init__(self, backend: str, database: str) -> None:
        self.backend = backend
        self.database: Server | None = None
        self.engine: Engine | None = None
        self.refusal = ""
        """what came instead of 201 the last time"""
        self._told: set[str] = set()
        """leftovers that were held against the case that left them"""
        self._stack = ExitStack()
        self.folder = Path(
            tempfile.mkdtemp(prefix="rc-chaos-", dir=os.environ.get("RCLUSTER_TEST_TMP", "/tmp"))
        )
        self.folder.chmod(0o755)
        self.disk = Disk(self.folder)
        processes.adopt_orphans()
        self._known = processes.children_of(os.getpid())
        try:
            self._build(database)
        except BaseException:
            self.close()
            raise

    def _build(self, database: str) -> None:
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        settings = {"RCLUSTER_CPUS": f"{CPUS:g}", "RCLUSTER_STORAGE": str(self.disk.storage)}
        place = Place.of({**os.environ})
        homes.ensure_account(place)
        owner = place.owner
        self._stack.callback(self.disk.close)
        self.disk.make((owner.uid, owner.gid))
        if database == "postgresql":
            self.database = Server(self.folder / "pg")
            self.database.start()
            self._stack.callback(self.database.stop_now)
        settings |= self._make_engine()
        self.portal: Portal = start_portal(
            self.folder,
            backend=self.backend,
            database_url=self.database.url if self.database else None,
            **settings,
        )
        self._stack.callback(self.portal.stop)
        assert self.portal.backend == self.backend
        self.client = Client(self.portal.url, self.portal.token("chaos"))
        self._stack.callback(self.client.close)
        said = self.portal.manage(
            "shell", "-c", "from jobs.models import Site; print('site', Site.load().installation)"
        )
        self.installation = said.split("site ")[-1].strip()
        self.wait_whole()

    def _make_engine(self) -> dict[str, str]:
        """What starts containers, made for the occasion; the settings that it needs."""
        if self.backend != "docker":
            return {}
        self.engine = Engine(self.folder / "engine")
        self._stack.callback(self.engine.close)
        self.engine.start()
        self.engine.copy_image(R_IMAGE)
        return {"RCLUSTER_DOCKER_HOST": self.engine.address}

    def close(self) -> None:
        self._stack.close()

    # What a patient person does.

    def ask(self, path: str) -> httpx.Response:
        """GET, again and again until the portal answers with anything but a 5xx."""

        def answer() -> httpx.Response | None:
            try:
                found = self.client.http.get(path)
            except httpx.TransportError:
                return None
            return None if found.status_code >= 500 else found

        found = until(answer, f"an answer to {path}", seconds=PATIENCE, every=0.1)
        assert found is not None
        return found

    def run(self, run: str) -> dict[str, Any] | None:
        """The Run as the API shows it; None if there is none."""
        answer = self.ask(f"/runs/{run}")
        if answer.status_code == 404:
            return None
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def log(self, run: str) -> bytes:
        return self.ask(f"/runs/{run}/log").raise_for_status().content

    def states_of(self, task: str) -> dict[str, str]:
        """All Runs of a Task that the portal knows, each with its state."""
        address: str | None = f"/tasks/{task}/runs?limit=200"
        found: dict[str, str] = {}
        while address:
            page = self.ask(address).raise_for_status().json()
            found |= {each["id"]: each["state"] for each in page["results"]}
            address = page["next"]
        return found

    def submit(self, task: str, command: str, cpus: float) -> str | None:
        """None: the portal refused, or was not there."""
        body = {"kind": "command", "command": command, "cpus": cpus, "memory": 128 * 1024**2}
        try:
            answer = self.client.http.post(f"/tasks/{task}/runs", json=body)
        except httpx.TransportError as error:
            self.refusal = str(error)
            return None
        if answer.status_code != 201:
            self.refusal = f"{answer.status_code} {answer.text[:300]}"
            return None
        return str(answer.json()["id"])

    def try_to_make_task(self, name: str, *, within: float) -> str | None:
        """None: the portal refused, or was not there."""
        try:
            answer = self.client.http.post("/tasks", json={"name": name}, timeout=within)
        except httpx.TransportError:
            return None
        return str(answer.json()["id"]) if answer.status_code == 201 else None

    def try_to_upload(self, task: str, path: str, content: bytes, *, within: float) -> bool:
        address = f"/tasks/{task}/files/{path}"
        try:
            return self.client.http.put(address, content=content, timeout=within).is_success
        except httpx.TransportError:
            return False

    def cancel(self, run: str) -> bool:
        try:
            return self.client.http.post(f"/runs/{run}/cancel").is_success
        except httpx.TransportError:
            return False

    def listen(self, run: str) -> Listener:
        return Listener(self.client, run)

    # Looking behind the portal.

    def task_folder(self, task: str) -> Path:
        return self.disk.disk / "storage" / "working_dir" / task

    def attempt_folder(self, run: str, attempt: int) -> Path:
        """Where the storage really is, also while the portal can't see it."""
        return self.disk.disk / "storage" / "runs" / run / str(attempt)

    def written(self, run: str, attempt: int, name: str) -> bytes:
        """A file of an attempt; empty if there is none, or none any more."""
        try:
            return (self.attempt_folder(run, attempt) / name).read_bytes()
        except FileNotFoundError:
            return b""

    def has_claimed(self, run: str, attempt: int = 1) -> bool:
        try:
            names = [each.name for each in self.attempt_folder(run, attempt).iterdir()]
        except FileNotFoundError:
            return False
        return any(name.startswith("started.") for name in names)

    def process_of(self, run: str, attempt: int = 1) -> int:
        """Process id of the attempt's runner; 0 while there is none."""
        handle = f"rcluster-{run}-{attempt}"
        if self.engine is not None:
            return self.engine.process_of(handle)
        try:
            note = self.portal.home / "backend-state" / "local" / handle / "pid"
            return int(json.loads(note.read_text())["pid"])
        except (FileNotFoundError, ValueError):
            return 0

    # Is everything as it should be?

    def wait_whole(self) -> None:
        """Until all processes run and the portal says that it is ready."""

        def whole() -> bool:
            states = {s.name: s for s in supervisor.states(self.portal.place)}
            up = all(name in states and states[name].state == "RUNNING" for name in PROGRAMS)
            return up and self._is_ready()

        until(whole, "the portal to be whole again", seconds=PATIENCE, every=0.1)

    def wait_ready(self) -> None:
        """Until the portal answers; processes may still be starting."""
        until(self._is_ready, "the portal to be ready", seconds=PATIENCE, every=0.05)

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.portal.url}/readyz", timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    def leftovers(self) -> list[str]:
        """What Runs that are over have left on this machine."""
        found = [*self._processes(), *self._containers(), *self._cgroups(), *self._notes()]
        return [each for each in found if each not in self._told]

    def wait_clean(self, *, seconds: float) -> list[str]:
        """What is still there after `seconds`; it is told only once."""
        deadline = time.monotonic() + seconds
        while (found := self.leftovers()) and time.monotonic() < deadline:
            time.sleep(0.2)
        self._told |= set(found)
        return found

    def _processes(self) -> list[str]:
        place = self.portal.place
        known = {supervisor.supervisor_pid(place), *self._known}
        known |= {state.pid for state in supervisor.states(place)}
        trees = set()
        if self.database is not None:
            trees.add(self.database.pid)
        if self.engine is not None:
            trees.add(self.engine.pid)
        found = processes.left(known=known, trees=trees)
        return [f"process {pid}: {command}" for pid, command in found.items()]

    def _containers(self) -> list[str]:
        return [] if self.engine is None else [f"container {c}" for c in self.engine.containers()]

    def _cgroups(self) -> list[str]:
        # Other people's come and go meanwhile: unlike a glob, a walk does not mind.
        return [
            f"cgroup {above}/{name}"
            for above, names, _ in os.walk("/sys/fs/cgroup")
            if above.endswith(f"/rcluster-{self.installation}")
            for name in names
        ]

    def _notes(self) -> list[str]:
        folder = self.portal.home / "backend-state" / "local"
        if not folder.is_dir():
            return []
        return [f"note {p.name}" for p in folder.iterdir() if p.name != "etc"]
