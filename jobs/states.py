"""The life of a Run: its states and the reasons it can give. Read this file first.

    QUEUED -> STARTING -> RUNNING -> SUCCEEDED | FAILED | CANCELLED

Pure: no Django, no database. Only transitions.advance() moves a Run.
"""

from __future__ import annotations

import enum


class RunState(enum.StrEnum):
    QUEUED = "queued"
    """Recorded, its folders exist, waiting for room, an image, or an engine; the reason says which."""
    STARTING = "starting"
    """Placed on a machine with a permit written; the image is pulled or the container is launched."""
    RUNNING = "running"
    """The container runs. Ends only by positive word of its end, never because nobody answers."""
    SUCCEEDED = "succeeded"
    """Exit status 0, the log whole, no process killed for memory."""
    FAILED = "failed"
    """Ended otherwise; the reason says how."""
    CANCELLED = "cancelled"
    """Somebody asked for it, and the end was confirmed or the permit revoked before the start."""


FINAL = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED})
ACTIVE = frozenset({RunState.STARTING, RunState.RUNNING})
"""Holds CPUs and memory on a machine."""


class Reason(enum.StrEnum):
    """Why a Run is in its state. Every one comes with a sentence made for the Run (`explanation`)."""

    NONE = ""
    """The state says it all."""

    # waiting (QUEUED)
    SUBMITTED = "submitted"
    """Just accepted; the next pass, within a second, looks at it."""
    NO_ROOM = "no_room"
    """No machine has the CPUs and memory free."""
    USER_LIMIT = "user_limit"
    """Its owner already has as much running as the administrator allows."""
    BACKEND_UNAVAILABLE = "backend_unavailable"
    """The engine that starts containers does not answer."""
    REGISTRY_UNAVAILABLE = "registry_unavailable"
    """The image's registry does not answer, or pulling took too long."""
    STORAGE_UNAVAILABLE = "storage_unavailable"
    """The attempt's folder could not be written: storage full or away."""
    STORAGE_LOW = "storage_low"
    """The storage has too little free space for anything new; it starts when there is enough again."""
    NEVER_STARTED = "never_started"
    """A start was given up before the command ran; it waits for the next."""
    NODE_LOST_RETRY = "node_lost_retry"
    """The machine was lost and the owner allowed the Run to be repeated."""

    # starting
    PULLING = "pulling"
    """The image comes from the registry."""
    LAUNCHING = "launching"
    """The container is created."""

    # running
    UNREACHABLE = "unreachable"
    """No word from the machine for a while; the Run goes on as far as we know."""

    # failed
    EXIT_CODE = "exit_code"
    """The command ended with an exit status other than 0."""
    OUT_OF_MEMORY = "out_of_memory"
    """At the memory limit the kernel killed the command or one of its children, whatever the exit
    status, or refused it memory, and R said so."""
    KILLED = "killed"
    """A signal that we did not send ended it."""
    TIME_LIMIT = "time_limit"
    """It ran longer than its time limit."""
    COMMAND_NOT_FOUND = "command_not_found"
    """The Environment has no such program (no R, for instance)."""
    IMAGE_NOT_FOUND = "image_not_found"
    """The registry denies the Environment's image, or there is no such image."""
    DATASET_UNAVAILABLE = "dataset_unavailable"
    """A Dataset that it was submitted with was taken back, deleted, or its folder is not there."""
    LAUNCH_ERROR = "launch_error"
    """The engine refused to start the container."""
    NODE_LOST = "node_lost"
    """The machine or the container is gone for certain, with no word of the end."""
    DISK_FULL = "disk_full"
    """The storage was full: part of the Run log was refused."""
    LOG_WRITE_FAILED = "log_write_failed"
    """The Run log could not be written for another reason than a full disk."""

    # cancelled
    CANCELLED = "cancelled"
    """By the person named in the sentence."""


MOVES: frozenset[tuple[RunState, RunState]] = frozenset(
    {
        (RunState.QUEUED, RunState.STARTING),
        (RunState.QUEUED, RunState.FAILED),
        (RunState.QUEUED, RunState.CANCELLED),
        (RunState.STARTING, RunState.RUNNING),
        (RunState.STARTING, RunState.QUEUED),
        (RunState.STARTING, RunState.SUCCEEDED),
        (RunState.STARTING, RunState.FAILED),
        (RunState.STARTING, RunState.CANCELLED),
        (RunState.RUNNING, RunState.QUEUED),
        (RunState.RUNNING, RunState.SUCCEEDED),
        (RunState.RUNNING, RunState.FAILED),
        (RunState.RUNNING, RunState.CANCELLED),
    }
)
"""Every move there is; advance() refuses others."""
