"""How a Run's state reads to a person: a shape, a word, a sentence. Pure apart from the clock."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.endings import duration
from jobs.models import Run
from jobs.queue.words import runs
from jobs.states import Reason, RunState


@dataclass(frozen=True)
class Shown:
    """What the pages show of a Run's state."""

    key: str
    """names the shape and the colour: state-<key>, #s-<key>"""
    word: str
    sentence: str
    """why, or how long; "" when the word says it all"""


_WORDS = {
    RunState.QUEUED: ("waiting", "Waiting"),
    RunState.STARTING: ("starting", "Starting"),
    RunState.RUNNING: ("running", "Running"),
    RunState.SUCCEEDED: ("succeeded", "Succeeded"),
    RunState.FAILED: ("failed", "Failed"),
    RunState.CANCELLED: ("cancelled", "Cancelled"),
}

BY_STATE = {state.value: shown for state, shown in _WORDS.items()}
"""state -> key and word, for rows that are no whole Run"""


def shown(run: Run) -> Shown:
    key, word = _WORDS[RunState(run.state)]
    sentence = run.explanation
    for said_already in ("Waiting: ", "Starting: ", "Stopping: "):
        sentence = sentence.removeprefix(said_already)
    if run.is_cancelling:
        return Shown("stopping", "Stopping…", sentence or "Its end is not confirmed yet.")
    if run.state == RunState.RUNNING and run.reason == Reason.UNREACHABLE:
        return Shown("unreachable", "No word", sentence)
    if run.state == RunState.QUEUED and not sentence:
        sentence = "Just submitted."
    held_up = (Reason.BACKEND_UNAVAILABLE, Reason.STORAGE_LOW)
    if run.reason in held_up and run.state == RunState.QUEUED and run.ahead:
        # The only waits whose sentences do not say it.
        sentence = f"{sentence} {runs(run.ahead)} ahead."
    if run.state == RunState.SUCCEEDED:
        sentence = f"in {run_time(run)}" if run.started_at else ""
    return Shown(key, word, sentence)


def run_time(run: Run) -> str:
    """From the start to the end; "" while there is none."""
    if run.started_at is None or run.finished_at is None:
        return ""
    seconds = max(0.0, (run.finished_at - run.started_at).total_seconds())
    return duration(seconds) if seconds >= 10 else f"{seconds:.1f} s"
