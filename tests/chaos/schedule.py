"""A random schedule: who submits what, what breaks when, and what became of every Run.

All chance comes from one seeded generator; the machine's own timing does not, so a seed repeats
the submissions and the faults, not the instants at which they meet.
"""

from __future__ import annotations

import random
import threading
import time
from datetime import datetime
from typing import Any

from tests.chaos.faults import FAULTS, Fault, Strike
from tests.chaos.listener import Listener
from tests.chaos.rig import Rig
from tests.chaos.scripts import PRINTING, QUICK, STOPPING, Script, timed
from tests.chaos.verdict import (
    CANCELLED,
    DISK_FULL,
    KILLED,
    SUCCEEDED,
    Evidence,
    Outcome,
    Verdict,
    judge,
)
from tests.client import FINAL

RUNS = 200
SCRIPTS: tuple[Script, ...] = (QUICK, QUICK, QUICK, PRINTING, timed(2.0), timed(5.0), STOPPING)
LISTENED = 25
"""Runs that somebody watches from beginning to end"""
SHARE = 0.2
"""CPUs of one Run: ten at a time"""
PAUSE = (1.5, 4.0)
"""seconds between the end of one fault and the next"""
BACKLOG = 300.0
"""seconds, after the last fault, for the queue to empty; the 60 s count for each Run from its start"""
TICK = 0.1


class Part:
    def __init__(self, run: str, script: Script, listener: Listener | None) -> None:
        self.run, self.script, self.listener = run, script, listener
        self.cancelled = self.killed = False


class Schedule:
    def __init__(self, rig: Rig, chance: random.Random, *, seconds: float) -> None:
        self._rig, self._seconds = rig, seconds
        self._task = rig.client.create_task("random schedule")
        self._due = sorted(
            ((chance.uniform(0, seconds), chance.choice(SCRIPTS)) for _ in range(RUNS)),
            key=lambda due: due[0],
        )
        self._listened = set(chance.sample(range(RUNS), LISTENED))
        self._breaker = random.Random(chance.random())
        self._faults = [
            fault
            for fault in FAULTS
            if rig.backend in fault.backends
            and (rig.database is not None or not fault.needs_postgresql)
        ]
        self.parts: dict[str, Part] = {}
        self.struck = 0
        self.refused = 0
        """submissions that a portal in trouble did not accept"""
        self.history: list[str] = []
        self._disk_was_full = False
        self._began = self._mended_at = 0.0
        self._stop = threading.Event()

    def play(self) -> None:
        """Submit and cancel while another thread breaks and mends, then let the queue empty."""
        self._began = time.monotonic()
        breaker = threading.Thread(target=self._break, name="breaker")
        breaker.start()
        try:
            while self._due or time.monotonic() - self._began < self._seconds:
                if self._due and time.monotonic() - self._began >= self._due[0][0]:
                    self._submit(self._due.pop(0)[1])
                else:
                    self._cancel_who_waits()
                    time.sleep(TICK)
        finally:
            self._stop.set()
            breaker.join()
        self._rig.wait_whole()
        self._mended_at = time.time()

    def judge(self) -> dict[str, Verdict]:
        """By Run. Waits until all are over."""
        ended = self._wait_for_the_end()
        known = set(self._rig.states_of(self._task))
        verdicts = {run: judge(*self._collect(part, ended)) for run, part in self.parts.items()}
        for run in known - set(self.parts):
            # Its submission was cut off by a fault, so nobody knew that it was accepted. It is
            # a Run all the same, but which script it got can't be told from here.
            self.history.append(f"{run} was accepted although its answer was cut off")
        for run in set(self.parts) - known:
            verdicts[run].lost.append("the Task's list does not have it")
        return verdicts

    # What people do.

    def _submit(self, script: Script) -> None:
        run = self._rig.submit(self._task, script.command, SHARE)
        if run is None:
            self.refused += 1
            return
        listener = self._rig.listen(run) if len(self.parts) in self._listened else None
        self.parts[run] = Part(run, script, listener)

    def _cancel_who_waits(self) -> None:
        for part in self.parts.values():
            if part.script is STOPPING and not part.cancelled and self._waits(part):
                part.cancelled = self._rig.cancel(part.run)

    def _waits(self, part: Part) -> bool:
        """In whichever attempt: one may have come to nothing before it began."""
        try:
            folder = self._rig.attempt_folder(part.run, 1).parent
            attempts = [each.name for each in folder.iterdir()]
        except FileNotFoundError:
            return False
        return any(b"waiting" in self._log(part, int(attempt)) for attempt in attempts)

    # What breaks.

    def _break(self) -> None:
        while not self._stop.wait(self._breaker.uniform(*PAUSE)):
            fault = self._breaker.choice(self._faults)
            victim = self._victim() if fault.ends_the_run else None
            if fault.ends_the_run and victim is None:
                continue
            self._strike(fault, victim)

    def _victim(self) -> Part | None:
        """One of the newest Runs that run now."""
        newest = self._rig.ask(f"/tasks/{self._task}/runs").raise_for_status().json()["results"]
        running = sorted(r["id"] for r in newest if r["state"] == "running")
        return self.parts.get(self._breaker.choice(running)) if running else None

    def _strike(self, fault: Fault, victim: Part | None) -> None:
        at = Strike(self._rig, victim.run if victim else "")
        self.history.append(f"{time.monotonic() - self._began:6.1f} s {fault.name} {at.victim}")
        self._disk_was_full |= fault.fills_the_disk
        if victim is not None:
            # Before the blow: who looks meanwhile must know.
            victim.killed = True
        try:
            fault.strike(at)
            time.sleep(fault.lasts)
        finally:
            fault.mend(at)
        self.struck += at.hit
        self._rig.wait_ready()
        # Looking waits for the zombies of runners whose parent was killed.
        self._rig.leftovers()

    # What became of it.

    def _wait_for_the_end(self) -> dict[str, float]:
        """Run -> when it was first seen to be over, in Unix time."""
        ended: dict[str, float] = {}
        deadline = time.monotonic() + BACKLOG
        while len(ended) < len(self.parts) and time.monotonic() < deadline:
            self._cancel_who_waits()
            # One question for all: two hundred would take longer than what they measure.
            states = self._rig.states_of(self._task)
            for run in self.parts.keys() - ended.keys():
                if states.get(run) is None or states[run] in FINAL:
                    ended[run] = time.time()
            time.sleep(TICK)
        return ended

    def _collect(self, part: Part, ended: dict[str, float]) -> tuple[Evidence, frozenset[Outcome]]:
        run = self._rig.run(part.run)
        listener = part.listener
        if listener is not None:
            listener.close(within=20.0 if part.run in ended else 0.0)
        done = self._rig.task_folder(self._task) / "output" / f"done.{part.run}"
        attempt = run["attempt"] if run else 0
        evidence = Evidence(
            run=run,
            script=part.script,
            done=done.read_bytes() if done.exists() else b"",
            file=self._log(part, attempt),
            received=self._rig.log(part.run) if run else b"",
            listened=bytes(listener.data) if listener else None,
            told=listener.end if listener else None,
            gaps=tuple(listener.gaps) if listener else (),
            cuts=tuple(listener.cuts) if listener else (),
            was_killed=part.killed,
            disk_was_full=self._disk_was_full,
            seconds=self._seconds_of(run, ended.get(part.run, time.time())),
        )
        return evidence, self._allowed(part)

    def _seconds_of(self, run: dict[str, Any] | None, ended_at: float) -> float:
        """From the last recovery, or from its start if that came later."""
        started = run["started_at"] if run else None
        since = self._mended_at
        if started:
            since = max(since, datetime.fromisoformat(started).timestamp())
        return max(0.0, ended_at - since)

    def _allowed(self, part: Part) -> frozenset[Outcome]:
        allowed = {CANCELLED} if part.cancelled else {SUCCEEDED}
        if part.killed:
            # It may have been faster than the blow.
            allowed.add(KILLED)
        if self._disk_was_full and not part.cancelled:
            allowed.add(DISK_FULL)
        return frozenset(allowed)

    def _log(self, part: Part, attempt: int) -> bytes:
        return self._rig.written(part.run, attempt, "log")
