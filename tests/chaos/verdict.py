"""Is what became of a Run what should have become of it? Pure: sees only what was collected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.scripts import REFUSED, Script
from tests.client import FINAL

Outcome = tuple[str, str]
"""state and reason"""

SUCCEEDED: Outcome = ("succeeded", "")
KILLED: Outcome = ("failed", "killed")
DISK_FULL: Outcome = ("failed", "disk_full")
CANCELLED: Outcome = ("cancelled", "cancelled")
WITHIN = 60.0
"""seconds from recovery to the final state"""


@dataclass(frozen=True)
class Evidence:
    """All that can be known of one Run when it is over."""

    run: dict[str, Any] | None
    """as the API shows it; None: it knows of no such Run"""
    script: Script
    done: bytes
    """the file that it appends its line to"""
    file: bytes
    """the log of its last attempt, on the disk"""
    received: bytes
    """the log, from the API"""
    listened: bytes | None = None
    """the log, from a socket that was open all the time; None: nobody listened"""
    told: dict[str, Any] | None = None
    """the event that ended that socket"""
    gaps: tuple[str, ...] = ()
    cuts: tuple[str, ...] = ()
    """why the socket had to be opened again"""
    was_killed: bool = False
    """the container was the one that was killed"""
    disk_was_full: bool = False
    seconds: float = 0.0
    """from recovery to the final state"""


@dataclass
class Verdict:
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def problems(self) -> list[str]:
        return [
            *(f"LOST: {each}" for each in self.lost),
            *(f"DOUBLED: {each}" for each in self.doubled),
            *(f"WRONG: {each}" for each in self.wrong),
        ]


def judge(evidence: Evidence, allowed: Collection[Outcome]) -> Verdict:
    found = Verdict(seconds=evidence.seconds)
    run = evidence.run
    if run is None:
        found.lost.append("the Run was accepted and is not there any more")
        return found
    if run["state"] not in FINAL:
        found.wrong.append(f"still {run['state']} ({run['reason']}: {run['explanation']})")
        return found
    outcome = (run["state"], run["reason"])
    if outcome not in allowed:
        found.wrong.append(
            f"{outcome}, allowed {sorted(allowed)}: {run['explanation']} (exit {run['exit_code']})"
        )
    if evidence.seconds > WITHIN:
        found.wrong.append(f"final only {evidence.seconds:.0f} s after recovery")
    _judge_work(evidence, outcome, found)
    _judge_log(evidence, outcome, found)
    _judge_copies(evidence, run, found)
    return found


def _judge_work(evidence: Evidence, outcome: Outcome, found: Verdict) -> None:
    lines = evidence.done.splitlines()
    if len(lines) > 1:
        found.doubled.append(f"the work was done by attempts {lines}")
    refused = evidence.disk_was_full and evidence.file.startswith(REFUSED)
    # Killed in its first instant it may not have come to its work; what it printed came after it.
    came_to_it = outcome == SUCCEEDED or bool(evidence.file)
    if not lines and came_to_it and not refused:
        found.lost.append("the work was not done")


def _judge_log(evidence: Evidence, outcome: Outcome, found: Verdict) -> None:
    data, whole = evidence.file, evidence.script.output
    if evidence.disk_was_full and data.startswith(REFUSED):
        whole = REFUSED + whole
    doubled = [line for line, times in Counter(data.splitlines()).items() if times > 1]
    if doubled:
        found.doubled.append(f"{len(doubled)} lines of the log, such as {doubled[0]!r}")
    if outcome == DISK_FULL:
        if data == whole:
            found.wrong.append("disk_full although no byte of the log is missing")
        if not _in_order(data, whole):
            found.wrong.append("the log has bytes that were never printed")
    elif evidence.was_killed and outcome != SUCCEEDED:
        if not whole.startswith(data):
            found.lost.append(f"bytes inside the log: {_difference(data, whole)}")
    elif data != whole and not doubled:
        found.lost.append(f"bytes of the log: {_difference(data, whole)}")


def _judge_copies(evidence: Evidence, run: dict[str, Any], found: Verdict) -> None:
    """What everybody is shown is what is on the disk."""
    data = evidence.file
    if run["log_size"] != len(data):
        found.wrong.append(f"log_size is {run['log_size']}, the file has {len(data)} bytes")
    if evidence.received != data:
        found.lost.append(f"bytes on the way to curl: {_difference(evidence.received, data)}")
    if evidence.listened is None:
        return
    for gap in evidence.gaps:
        found.wrong.append(f"the socket: {gap}")
    if evidence.listened != data:
        kind = found.doubled if len(evidence.listened) > len(data) else found.lost
        kind.append(f"bytes on the way to the browser: {_difference(evidence.listened, data)}")
    if evidence.told is None:
        found.wrong.append(
            f"the socket never told of the end (cut {len(evidence.cuts)} times: {evidence.cuts[-3:]})"
        )
    elif (evidence.told["state"], evidence.told["size"]) != (run["state"], len(data)):
        found.wrong.append(f"the socket told of another end: {evidence.told}")


def _in_order(data: bytes, whole: bytes) -> bool:
    """Are the complete lines of `data` lines of `whole`, in its order? A full disk cuts anywhere."""
    rest = iter(whole.splitlines())
    return all(line in rest for line in data.splitlines()[:-1])


def _difference(data: bytes, whole: bytes) -> str:
    same = next((i for i, (a, b) in enumerate(zip(data, whole, strict=False)) if a != b), None)
    at = min(len(data), len(whole)) if same is None else same
    return f"{len(data)} of {len(whole)} bytes, differing from byte {at} on: {data[at : at + 40]!r}"
