"""The Runs of one case, and what is collected of them in the end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.faults import Fault, Strike
from tests.chaos.listener import Listener
from tests.chaos.rig import Rig
from tests.chaos.scripts import Script
from tests.chaos.verdict import WITHIN, Evidence
from tests.client import FINAL
from tests.waiting import until

CPUS = 0.5
PATIENCE = 60.0
"""seconds to come to the moment; nothing is broken by then, but the machine may be busy"""
ANSWER = 3.0
"""seconds that somebody waits for a Task or an upload while the storage may be hanging"""
NOTE = b"kept while the portal was in trouble\n"


@dataclass
class Part:
    """A Run of the case."""

    run: str
    script: Script
    listener: Listener
    pid: int = 0
    """of its runner, where somebody has it in sight"""
    cancelled: bool = False
    was_killed: bool = False


@dataclass
class Scene:
    rig: Rig
    fault: Fault
    random: random.Random
    task: str = ""
    parts: list[Part] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    """made while the fault lasted"""
    noted: list[str] = field(default_factory=list)
    """those of them that took a file as well"""
    recovered_at: float = 0.0
    hit: bool = True

    def submit(self, script: Script, *, cpus: float = CPUS) -> Part:
        run = self.rig.submit(self.task, script.command, cpus)
        assert run is not None, f"a Run was refused: {self.rig.refusal}"
        part = Part(run, script, self.rig.listen(run))
        self.parts.append(part)
        return part

    def submit_again(self, script: Script) -> Part:
        """As submit(), by somebody who takes a portal that has only just come back as it is."""
        until(
            lambda: self.try_to_submit(script),
            f"a Run to be accepted (the last answer: {self.rig.refusal})",
            seconds=PATIENCE,
            every=0.2,
        )
        return self.parts[0]

    def open(self, gate: str) -> None:
        """Let a gated script go on; past the portal, which may be away."""
        (self.rig.task_folder(self.task) / "code" / gate).touch()
        self.recovered_at = max(self.recovered_at, time.monotonic())

    def wait_printed(self, part: Part, text: bytes) -> None:
        self._wait(lambda: text in self._printed(part), f"{part.run} to print {text!r}")

    def wait_size(self, part: Part, size: int) -> None:
        self._wait(lambda: len(self._printed(part)) >= size, f"{part.run} to print {size} bytes")

    def wait_state(self, part: Part, state: str, reason: str) -> None:
        def there() -> bool:
            run = self.rig.run(part.run)
            return run is not None and (run["state"], run["reason"]) == (state, reason)

        self._wait(there, f"{part.run} to be {state} ({reason})")

    def wait_placed(self, part: Part) -> None:
        """Until the first attempt's folder is there: the Run is about to be STARTING."""
        folder = self.rig.attempt_folder(part.run, 1)
        until(folder.exists, f"{part.run} to be placed", seconds=PATIENCE, every=0.001)

    def wait_claimed(self, part: Part) -> None:
        """Until its runner took the permit. This very instant: what comes next takes milliseconds."""
        until(
            lambda: self.rig.has_claimed(part.run),
            f"{part.run} to take its permit",
            seconds=PATIENCE,
            every=0.0002,
        )

    def aim(self, part: Part) -> None:
        """Find the process now, if the fault is to hit it: later it may be too late."""
        if self.fault.ends_the_run:
            part.pid = until(
                lambda: self.rig.process_of(part.run), f"the runner of {part.run}", seconds=PATIENCE
            )

    def try_to_keep(self) -> None:
        """Make a Task with a file in it. What the portal says yes to must be there afterwards."""
        task = self.rig.try_to_make_task("meanwhile", within=ANSWER)
        if task is not None:
            self.tasks.append(task)
            if self.rig.try_to_upload(task, "code/note", NOTE, within=ANSWER):
                self.noted.append(task)

    def lost_tasks(self) -> list[str]:
        """Looked at where the storage really is."""
        lost = []
        for task in self.tasks:
            code = self.rig.task_folder(task) / "code"
            if not code.is_dir():
                lost.append(f"the folders of Task {task}, which was accepted")
            elif task in self.noted and (
                not (code / "note").exists() or (code / "note").read_bytes() != NOTE
            ):
                lost.append(f"the file of Task {task}, which was accepted")
        return lost

    def try_to_submit(self, script: Script) -> bool:
        """No part comes of it if the portal is away or says no: then there is no Run to look after."""
        run = self.rig.submit(self.task, script.command, CPUS)
        if run is not None:
            self.parts.append(Part(run, script, self.rig.listen(run)))
        return run is not None

    def strike(self, victim: Part | None, *, meanwhile: Callable[[], None] | None = None) -> None:
        """Break it, wait as long as it lasts, mend it, wait until the portal answers again."""
        at = Strike(self.rig, victim.run, victim.pid) if victim else Strike(self.rig, "")
        try:
            self.fault.strike(at)
            began = time.monotonic()
            if meanwhile is not None:
                meanwhile()
            # The outage has a length; nothing is waited for.
            time.sleep(max(0.0, began + self.fault.lasts - time.monotonic()))
        finally:
            self.fault.mend(at)
        self.hit = at.hit
        if victim is not None:
            victim.was_killed = self.fault.ends_the_run and at.hit
        self.rig.wait_ready()
        self.recovered_at = time.monotonic()

    def still(self, part: Part, states: set[str]) -> None:
        """Nothing but the fault's victim may have moved meanwhile."""
        run = self.rig.run(part.run)
        assert run is not None, f"{part.run} is gone"
        assert run["state"] in states, f"{run['state']} ({run['reason']}) instead of {states}"

    def collect(self, part: Part) -> Evidence:
        """Wait for the end, then gather everything that is known."""
        run, ended_at = self._wait_for_end(part)
        part.listener.close(within=20.0 if run and run["state"] in FINAL else 0.0)
        attempt = run["attempt"] if run else 0
        done = self.rig.task_folder(self.task) / "output" / f"done.{part.run}"
        return Evidence(
            run=run,
            script=part.script,
            done=done.read_bytes() if done.exists() else b"",
            file=self.rig.written(part.run, attempt, "log"),
            received=self.rig.log(part.run) if run else b"",
            listened=bytes(part.listener.data),
            told=part.listener.end,
            gaps=tuple(part.listener.gaps),
            cuts=tuple(part.listener.cuts),
            was_killed=part.was_killed,
            disk_was_full=self.fault.fills_the_disk,
            seconds=max(0.0, ended_at - self.recovered_at),
        )

    def close(self) -> None:
        """Whatever came of it: end what still runs, so that the next case starts from nothing."""
        for part in self.parts:
            part.listener.close(within=0.0)
            run = self.rig.run(part.run)
            if run is not None and run["state"] not in FINAL:
                self.rig.cancel(part.run)

    def _wait_for_end(self, part: Part) -> tuple[dict[str, Any] | None, float]:
        deadline = self.recovered_at + WITHIN + 1
        while True:
            run = self.rig.run(part.run)
            now = time.monotonic()
            if run is None or run["state"] in FINAL or now > deadline:
                return run, now
            time.sleep(0.1)

    def _printed(self, part: Part) -> bytes:
        return self.rig.written(part.run, 1, "log")

    @staticmethod
    def _wait(condition: Callable[[], bool], what: str) -> None:
        until(condition, what, seconds=PATIENCE, every=0.01)
