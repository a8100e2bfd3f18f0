"""What a watcher of a Run is told, and how it looks on the wire.

Text frames are one JSON object each; binary frames are 8 bytes of big-endian offset and raw
log bytes. tests/fixtures/events.json holds one example each, read by Python and TypeScript tests.
"""

from __future__ import annotations

import struct
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

from jobs.models import Run
from jobs.states import FINAL


@dataclass(frozen=True)
class State:
    """The Run as it is now: the first frame, and one after each change."""

    run: str
    task: str
    number: int
    title: str
    attempt: int
    state: str
    reason: str
    explanation: str
    cancelling: bool
    backend: str
    machine: str
    image_digest: str
    created_at: str
    placed_at: str | None
    started_at: str | None
    finished_at: str | None
    exit_code: int | None
    peak_memory: int | None
    cpu_seconds: float | None
    log_dropped: int
    type: Literal["state"] = "state"

    @classmethod
    def of(cls, run: Run) -> State:
        return cls(
            run=run.public_id,
            task=run.task.public_id,
            number=run.number,
            title=run.title,
            attempt=run.attempt,
            state=run.state,
            reason=run.reason,
            explanation=run.explanation,
            cancelling=run.is_cancelling,
            backend=run.backend,
            machine=run.machine,
            image_digest=run.image_digest,
            created_at=run.created_at.astimezone(UTC).isoformat(),
            placed_at=_iso(run.placed_at),
            started_at=_iso(run.started_at),
            finished_at=_iso(run.finished_at),
            exit_code=run.exit_code,
            peak_memory=run.peak_memory,
            cpu_seconds=run.cpu_seconds,
            log_dropped=run.log_dropped,
        )

    @property
    def is_final(self) -> bool:
        return self.state in FINAL


@dataclass(frozen=True)
class Reset:
    """Forget what was received: another attempt began, or the file shrank. Bytes follow from `offset`."""

    attempt: int
    offset: int = 0
    type: Literal["reset"] = "reset"


@dataclass(frozen=True)
class Skip:
    """The follower is too slow for this log and allowed us to leave something out: bytes go on at
    `offset`, near the end. What lies between is in the file."""

    attempt: int
    offset: int
    type: Literal["skip"] = "skip"


@dataclass(frozen=True)
class End:
    """Nothing more will come: `size` bytes in all."""

    attempt: int
    size: int
    state: str
    type: Literal["end"] = "end"


@dataclass(frozen=True)
class Bytes:
    """Log bytes as they are in the file."""

    offset: int
    data: bytes

    def frame(self) -> bytes:
        """The same object for all who are sent these bytes."""
        return self._frame

    @cached_property
    def _frame(self) -> bytes:
        return struct.pack(">Q", self.offset) + self.data


@dataclass(frozen=True)
class Storage:
    """Whether the storage answers: told when it stops to, and when it does again. No byte is lost
    meanwhile; the log goes on where it was."""

    answers: bool
    type: Literal["storage"] = "storage"


Event = State | Reset | Skip | Storage | End | Bytes


def as_json(event: State | Reset | Skip | Storage | End) -> dict[str, Any]:
    return asdict(event)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()
