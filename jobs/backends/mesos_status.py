"""What Mesos says of a task, and what it means for its container: one table. Pure: v1 JSON.

    read(status)                  -> ContainerStatus, or None where it says nothing of its own
    with_record(status, record)   the runner's exit record fills in what Mesos can't tell
    with_refusal(status, stderr)  the executor's stderr tells why Docker started nothing

What the Docker containerizer leaves open, and who closes it:
- It does not tell that the kernel killed for memory: the record counts (`oom_kills`).
- The exit status is that of `docker run`, whose own 125, 126 and 127 (it started nothing, or lost
  sight of the container) look like the runner's.
- In answer to reconciliation the master repeats a state without its message, so without the exit
  status. Where it matters the status itself is repeated too, until it is acknowledged.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from jobs.backends.base import ContainerStatus, Life
from jobs.backends.exit_record import ExitRecord
from jobs.backends.images import is_denied

DOCKER_LOST = 255
"""What Docker says of a container that ended while its engine was away."""
UNWATCHED = 20.0
"""seconds that a container may go on whose executor was killed: the agent does not stop it, it
removes it after its own --docker_remove_delay (mesos_advice.py sees to that being shorter)"""
DOCKER_SAID = frozenset({125, 126, 127})
"""What `docker run` says when it started nothing (125 also when it lost sight of the container)."""


class Means(enum.Enum):
    """What a Reason adds to a state that ends a task."""

    AS_TOLD = "as told"
    """Nothing: the state says it, and the message may have the exit status."""
    REFUSED = "refused"
    """It was not started and would be refused again: its words are the error."""
    NOT_STARTED = "not started"
    """It was not started, for a reason that may be gone the next time."""
    LOST = "lost"
    """It is no more, and nobody knows how far it came."""
    UNTOLD = "untold"
    """It ended and so did what watched over it; the runner's record may know more."""
    MEMORY = "memory"
    """Ended for using too much memory."""
    REPEATED = "repeated"
    """A state that was told before, now without its message."""


@dataclass(frozen=True)
class Row:
    means: Means
    sentence: str = ""


STATES: Mapping[str, tuple[Life, str]] = {
    "TASK_STAGING": (Life.STAGING, ""),
    "TASK_STARTING": (Life.STAGING, ""),
    "TASK_RUNNING": (Life.RUNNING, ""),
    "TASK_KILLING": (Life.RUNNING, ""),
    "TASK_FINISHED": (Life.ENDED, ""),
    "TASK_FAILED": (Life.ENDED, ""),
    "TASK_KILLED": (Life.ENDED, ""),
    "TASK_ERROR": (Life.ENDED, ""),
    "TASK_DROPPED": (Life.GONE, "It never reached its machine."),
    "TASK_LOST": (Life.GONE, "Mesos lost it."),
    "TASK_UNREACHABLE": (Life.UNREACHABLE, ""),
    "TASK_GONE": (Life.GONE, "Its machine answers and has it no more."),
    "TASK_GONE_BY_OPERATOR": (Life.GONE, "An administrator of Mesos declared its machine gone."),
    "TASK_UNKNOWN": (Life.GONE, "Mesos knows nothing of it any more."),
}
"""mesos.v1.TaskState"""

REASONS: Mapping[str, Row] = {
    # refused: the description itself
    "REASON_TASK_INVALID": Row(Means.REFUSED, "Mesos found fault with its description."),
    "REASON_TASK_UNAUTHORIZED": Row(
        Means.REFUSED, "Mesos does not allow R-Cluster to start it there."
    ),
    "REASON_TASK_GROUP_INVALID": Row(Means.REFUSED, "Mesos found fault with its description."),
    "REASON_TASK_GROUP_UNAUTHORIZED": Row(
        Means.REFUSED, "Mesos does not allow R-Cluster to start it there."
    ),
    "REASON_CONTAINER_LAUNCH_FAILED": Row(Means.REFUSED, "Its machine could not start it."),
    # not started
    "REASON_INVALID_OFFERS": Row(
        Means.NOT_STARTED, "The machine's offer had been taken back by the time it was used."
    ),
    "REASON_RESOURCES_UNKNOWN": Row(
        Means.NOT_STARTED, "The machine no longer had what it had offered."
    ),
    "REASON_MASTER_DISCONNECTED": Row(
        Means.NOT_STARTED, "The connection to the Mesos master broke off."
    ),
    "REASON_GC_ERROR": Row(Means.NOT_STARTED, "The machine was clearing the folder it needed."),
    "REASON_TASK_KILLED_DURING_LAUNCH": Row(
        Means.NOT_STARTED, "It was stopped before it had started."
    ),
    "REASON_EXECUTOR_REGISTRATION_TIMEOUT": Row(
        Means.NOT_STARTED,
        "Its machine was not ready in the time that Mesos allows for a start, mostly because its "
        "image was still being pulled (--executor_registration_timeout of the agents).",
    ),
    # lost
    "REASON_AGENT_DISCONNECTED": Row(Means.LOST, "Its machine lost its connection to Mesos."),
    "REASON_AGENT_REMOVED": Row(Means.LOST, "Its machine was removed from Mesos."),
    "REASON_AGENT_REMOVED_BY_OPERATOR": Row(
        Means.LOST, "An administrator removed its machine from Mesos."
    ),
    "REASON_AGENT_RESTARTED": Row(Means.LOST, "Its machine's Mesos agent started afresh."),
    "REASON_AGENT_UNKNOWN": Row(Means.LOST, "Mesos does not know its machine any more."),
    "REASON_AGENT_DRAINING": Row(
        Means.LOST, "An administrator of Mesos took its machine out of service."
    ),
    "REASON_FRAMEWORK_REMOVED": Row(
        Means.LOST, "R-Cluster's registration was removed from Mesos, and all that ran with it."
    ),
    "REASON_INVALID_FRAMEWORKID": Row(Means.LOST, "Mesos does not know R-Cluster's registration."),
    "REASON_CONTAINER_PREEMPTED": Row(
        Means.LOST, "Mesos ended it to make room for others on its machine."
    ),
    "REASON_CONTAINER_UPDATE_FAILED": Row(
        Means.LOST, "Its machine could not set its limits and ended it."
    ),
    "REASON_TASK_UNKNOWN": Row(Means.LOST, "Mesos knows nothing of it any more."),
    # ended, by something else than itself
    "REASON_EXECUTOR_TERMINATED": Row(
        Means.UNTOLD, "What watched over it on its machine was killed, and it with it."
    ),
    "REASON_EXECUTOR_REREGISTRATION_TIMEOUT": Row(
        Means.UNTOLD,
        "What watched over it did not find back to its machine's Mesos agent, which ended it.",
    ),
    "REASON_EXECUTOR_UNREGISTERED": Row(
        Means.UNTOLD, "It was ended before what watches over it had reported."
    ),
    "REASON_IO_SWITCHBOARD_EXITED": Row(
        Means.UNTOLD, "What carried its output on its machine was killed, and it with it."
    ),
    "REASON_CONTAINER_LIMITATION": Row(Means.UNTOLD, "Its machine ended it at one of its limits."),
    "REASON_CONTAINER_LIMITATION_DISK": Row(
        Means.UNTOLD, "Its machine ended it for what it had written to the machine's own disk."
    ),
    "REASON_CONTAINER_LIMITATION_MEMORY": Row(Means.MEMORY),
    # the end is its own
    "REASON_COMMAND_EXECUTOR_FAILED": Row(Means.AS_TOLD),
    "REASON_MAX_COMPLETION_TIME_REACHED": Row(
        Means.AS_TOLD, "Mesos ended it at a time limit of its own."
    ),
    "REASON_AGENT_REREGISTERED": Row(Means.AS_TOLD, "Its machine is back."),
    "REASON_TASK_CHECK_STATUS_UPDATED": Row(Means.AS_TOLD),
    "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED": Row(Means.AS_TOLD),
    "REASON_RECONCILIATION": Row(Means.REPEATED),
}
"""mesos.v1.TaskStatus.Reason. Counts only where the state ends the task."""

SOURCES: Mapping[str, str] = {
    "SOURCE_MASTER": "The Mesos master",
    "SOURCE_AGENT": "Its machine's Mesos agent",
    "SOURCE_EXECUTOR": "Mesos' Docker executor on its machine",
}
"""mesos.v1.TaskStatus.Source, as the subject of a sentence"""

_EXITED = re.compile(r"\bexited with status (\d{1,3})\b")
_STDERR = re.compile(r"stderr='(.*?)'?\s*$", re.DOTALL)
_PULL = re.compile(r"\bpull\b|\bmanifest\b", re.IGNORECASE)
_OPTIONS = "Failed to create docker run options: "
_DOCKER_WORDS = re.compile(r"^docker: (?:Error response from daemon: )?(.+)$", re.MULTILINE)
_LONGEST = 400


def read(status: Mapping[str, Any]) -> ContainerStatus | None:
    """None: nothing to go by. A state of a Mesos that is newer than this table; an end without
    its exit status, whose own status is on its way; "unknown" in answer to a question that did
    not name the machine, which Mesos says of a task on an unreachable machine too."""
    state, reason = str(status.get("state", "")), str(status.get("reason", ""))
    if state not in STATES:
        return None
    life, sentence = STATES[state]
    when = _number(status.get("timestamp"))
    found = ContainerStatus(
        handle=str(status["task_id"]["value"]),
        life=life,
        sentence=sentence,
        receipt=str(status.get("uuid") or ""),
    )
    row = REASONS.get(reason, Row(Means.AS_TOLD))
    if life is Life.STAGING:
        return found
    if life is Life.RUNNING:
        # The time is that of this word, which only the first has from the start itself.
        first = state == "TASK_RUNNING" and row.means is Means.AS_TOLD and not row.sentence
        return replace(found, started_at=when if first else None)
    if life is Life.UNREACHABLE:
        return replace(found, sentence=_unreachable(status))
    if life is Life.GONE:
        if state == "TASK_UNKNOWN" and not _value(status.get("agent_id")):
            return None
        return replace(found, sentence=row.sentence or sentence)
    return _ended(replace(found, ended_at=when), state, row, status)


def _ended(
    found: ContainerStatus, state: str, row: Row, status: Mapping[str, Any]
) -> ContainerStatus | None:
    message = str(status.get("message") or "")
    if state == "TASK_FINISHED":
        return replace(found, exit_code=0)
    if row.means is Means.REPEATED:
        return None
    if state == "TASK_ERROR":
        return replace(found, error=_words(message or row.sentence or _unsaid(status)))
    if row.means is Means.REFUSED:
        return _refused(found, row, message or _unsaid(status))
    if row.means in (Means.NOT_STARTED, Means.LOST):
        return replace(found, life=Life.GONE, sentence=row.sentence)
    if row.means is Means.UNTOLD:
        return replace(found, sentence=row.sentence)
    if row.means is Means.MEMORY:
        return replace(found, out_of_memory=True)
    if message.startswith(_OPTIONS):
        return replace(found, error=_words(message.removeprefix(_OPTIONS)))
    # "terminated with signal" tells of Docker's client, which was killed: of the container nobody
    # knows. One that a signal ended is "exited with status" 128 + N.
    exited = _EXITED.search(message)
    return replace(found, exit_code=int(exited[1]) if exited else None, sentence=row.sentence)


def _refused(found: ContainerStatus, row: Row, message: str) -> ContainerStatus:
    said = _STDERR.search(message)
    words = _words(said[1] if said else message)
    if not _PULL.search(message):
        return replace(found, error=words)
    if is_denied(words):
        return replace(found, error=f"its image could not be had: {words}")
    return replace(found, life=Life.GONE, sentence=f"Its machine could not pull its image: {words}")


def _unreachable(status: Mapping[str, Any]) -> str:
    nanoseconds = _number((status.get("unreachable_time") or {}).get("nanoseconds"))
    if nanoseconds is None:
        return "Mesos has no word from its machine."
    since = datetime.fromtimestamp(nanoseconds / 1e9, tz=UTC)
    return f"Mesos has had no word from its machine since {since:%Y-%m-%d %H:%M} UTC."


def _unsaid(status: Mapping[str, Any]) -> str:
    return f"{SOURCES.get(str(status.get('source')), 'Mesos')} gave no reason."


def is_settled_by_record(status: ContainerStatus) -> bool:
    """Is there something that `with_record` may know better? Else the record need not be read."""
    return status.life in (Life.ENDED, Life.GONE) and not status.error


def with_record(status: ContainerStatus, record: ExitRecord | None) -> ContainerStatus:
    """What the runner wrote down, where Docker's word for the end is missing or not its own.

    `record` None: no runner ever claimed the attempt. The script runs as the same user and could
    forge it, as anything in its own folders, and fools nobody but its owner.
    """
    if not is_settled_by_record(status):
        return status
    ended = record is not None and record.ended
    if status.life is Life.GONE:
        if record is None or not ended or record.stopped_from_outside:
            # Also where Mesos stopped it on its own: it did not come to its end.
            return status
        # It had come to its end before its machine was lost, with the word of it.
        status = replace(status, life=Life.ENDED, ended_at=record.ended_at, sentence="")
    if record is not None and record.oom_kills:
        status = replace(status, out_of_memory=True)
    if status.exit_code is None or status.exit_code == DOCKER_LOST:
        return replace(status, exit_code=record.exit_code if record and ended else None)
    if status.exit_code not in DOCKER_SAID:
        return status
    if record is None:
        if status.exit_code == 125:  # the runner's own: no permit, or Docker's (with_refusal)
            return status
        # The runner says 126 and 127 only of a command, and then it has left a record.
        words = f"Docker on its machine could not run it (exit status {status.exit_code})."
        return replace(status, exit_code=None, error=words)
    # Docker's client can also lose sight of what it started: its 125 is not the runner's then.
    return replace(status, exit_code=record.exit_code if ended else None)


def while_unwatched(
    status: ContainerStatus, record: ExitRecord | None, now: float
) -> ContainerStatus:
    """Of one whose executor was killed Mesos says at once that it ended: it goes on meanwhile, and
    its record may still tell how it ends. `now`: Unix time."""
    untold = status.exit_code is None and not status.error and not status.out_of_memory
    if status.life is not Life.ENDED or not untold or record is None or record.ended:
        return status
    if status.ended_at is None or now - status.ended_at > UNWATCHED:
        return status
    sentence = "What watches over it on its machine was killed, and it may end for that."
    return replace(status, life=Life.UNREACHABLE, sentence=sentence, receipt="")


def may_be_refusal(status: ContainerStatus, record: ExitRecord | None) -> bool:
    """Would the executor's stderr tell more (with_refusal)?"""
    return status.life is Life.ENDED and status.exit_code in DOCKER_SAID and record is None


def with_refusal(status: ContainerStatus, stderr: str) -> ContainerStatus:
    """`stderr` of the executor's sandbox, for a status of which `may_be_refusal` holds: what
    Docker's client said there. Nothing of it: the status as it is."""
    said = _DOCKER_WORDS.findall(stderr)
    if not said:
        return status
    return replace(status, exit_code=None, error=_words(said[-1]))


def _words(text: str) -> str:
    """On one line, and not endlessly long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _value(wrapped: object) -> str:
    return str(wrapped.get("value") or "") if isinstance(wrapped, Mapping) else ""


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value > 0 else None
