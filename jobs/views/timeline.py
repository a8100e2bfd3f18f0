"""What happened to a Run, step by step, with how long each step took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from jobs.models import Run, RunEvent
from jobs.states import FINAL, Reason, RunState

_WORDS = {
    RunState.QUEUED: ("waiting", "Queued"),
    RunState.STARTING: ("starting", "Placed"),
    RunState.RUNNING: ("running", "Started"),
    RunState.SUCCEEDED: ("succeeded", "Succeeded"),
    RunState.FAILED: ("failed", "Failed"),
    RunState.CANCELLED: ("cancelled", "Cancelled"),
}


@dataclass(frozen=True)
class Step:
    """One thing that happened, and what came of it until the next."""

    key: str
    """names the shape and the colour: state-<key>, #s-<key>"""
    word: str
    at: datetime
    lasted: float | None
    """seconds until the next step; None: it is the last"""
    goes_on: bool
    """the last, and not the end"""
    where: str
    """the machine, as far as it is known; "" otherwise"""
    why: str
    """a sentence; "" where the word says it all or the headline does"""


@dataclass(frozen=True)
class Attempt:
    """The steps of one start; the first one's begin with the submission."""

    number: int
    steps: Sequence[Step]


def attempts_of(run: Run, events: Iterable[RunEvent]) -> list[Attempt]:
    """The timeline, oldest first: nearly always one attempt. `events` as they were written."""
    known = list(events)
    moments = [_moment(run, event) for event in known]
    found: dict[int, list[Step]] = {}
    for index, event in enumerate(known):
        last = index == len(known) - 1
        until = run.finished_at if last else moments[index + 1]
        step = Step(
            key=_WORDS[RunState(event.state)][0],
            word=_word(event, known[index - 1] if index else None),
            at=moments[index],
            lasted=None if last or until is None else _seconds(moments[index], until),
            goes_on=last and event.state not in FINAL,
            where=run.machine if event.attempt == run.attempt and _is_placed(event) else "",
            # The headline has the last one's.
            why="" if last or not event.attempt or _is_placed(event) else event.explanation,
        )
        found.setdefault(_start_of(event), []).append(step)
    return [Attempt(number, steps) for number, steps in found.items()]


def _start_of(event: RunEvent) -> int:
    """Which start it belongs to: what waits belongs to the one that comes."""
    return event.attempt + 1 if event.state == RunState.QUEUED else max(event.attempt, 1)


def _moment(run: Run, event: RunEvent) -> datetime:
    """When it happened: of the present start and of the end the Run's own times, which the machine
    told; the events are from when the portal learned it."""
    told = None
    if event.state == RunState.RUNNING and event.attempt == run.attempt:
        told = run.started_at
    elif event.state in FINAL:
        told = run.finished_at
    return told or event.at


def _word(event: RunEvent, before: RunEvent | None) -> str:
    if event.reason == Reason.PULLING:
        return "Pulling the image"
    if before is not None and before.reason == Reason.PULLING and _is_placed(event):
        return "Pulled"
    if event.state == RunState.QUEUED and event.attempt:
        return "Back in the queue"
    return _WORDS[RunState(event.state)][1]


def _is_placed(event: RunEvent) -> bool:
    return event.state == RunState.STARTING and event.reason != Reason.PULLING


def _seconds(since: datetime, until: datetime) -> float:
    """Clocks of machines differ: never less than none."""
    return max(0.0, (until - since).total_seconds())
