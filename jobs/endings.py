"""How a Run ended: from an exit status and the evidence to a state, a Reason and a sentence. Pure."""

from __future__ import annotations

import errno
import re
import signal
from dataclasses import dataclass

from jobs.queue import size
from jobs.states import Reason, RunState

NEVER_RAN, NOT_EXECUTABLE, NOT_FOUND, TIMED_OUT = 125, 126, 127, 124
"""Exit statuses of the runner itself (runner/README.md)."""
KILLED = 128 + signal.SIGKILL


@dataclass(frozen=True)
class Facts:
    """What is known of an attempt whose container has ended."""

    exit_code: int | None
    """the container's own, None if nobody knows"""
    out_of_memory: bool
    memory: int
    """bytes that the Run asked for"""
    time_limit: int
    """seconds, 0: none"""
    timed_out: bool
    claimed: bool
    """a runner took the permit, so the command may have run"""
    exec_errno: int
    log_errno: int
    terminated_by: int | None
    """signal that the runner was sent, in its own words"""
    cancelled_by: str
    """name of the person who asked for the end; empty if nobody did"""
    program: str
    """first word of the command"""
    environment: str
    error: str
    """the engine's words when it could not start the process"""
    log_tail: bytes
    peak_memory: int | None = None
    """bytes in use at a time at most, None if nobody knows"""
    is_check: bool = False
    """of an Environment, which an administrator looks at"""
    quick: bool = False
    """it was a quick command, which gets little time and memory"""


@dataclass(frozen=True)
class Ending:
    state: RunState
    reason: Reason
    explanation: str


def conclude(facts: Facts) -> Ending:
    """The first line that applies wins; each line is one way to end."""
    if facts.cancelled_by and not (facts.exit_code == 0 and facts.terminated_by is None):
        return Ending(RunState.CANCELLED, Reason.CANCELLED, f"Cancelled by {facts.cancelled_by}.")
    if facts.error:
        return _failed(Reason.LAUNCH_ERROR, f"The container could not be started: {facts.error}")
    if facts.out_of_memory:
        return _failed(Reason.OUT_OF_MEMORY, _out_of_memory(facts))
    if facts.exit_code is None:
        return _failed(
            Reason.KILLED,
            "It was killed together with what watches over it; how far it came is in the output.",
        )
    if facts.exit_code == NEVER_RAN and not facts.claimed:
        return _failed(
            Reason.LAUNCH_ERROR,
            "The container could not use the Run's own folder on the storage, so nothing was run. "
            "Tell your administrator.",
        )
    if facts.exit_code in (TIMED_OUT, KILLED) and facts.timed_out:
        return _failed(Reason.TIME_LIMIT, _out_of_time(facts))
    if facts.exec_errno and facts.exit_code in (NOT_FOUND, NOT_EXECUTABLE):
        return _failed(Reason.COMMAND_NOT_FOUND, _not_found(facts))
    if facts.log_errno in (errno.ENOSPC, errno.EDQUOT):
        return _failed(
            Reason.DISK_FULL,
            "The storage was full, so part of the output is missing. Free some space, then run it again.",
        )
    if facts.log_errno:
        return _failed(
            Reason.LOG_WRITE_FAILED,
            f"Part of the output could not be written to the storage ({_errno(facts.log_errno)}).",
        )
    if facts.exit_code == 0:
        return Ending(RunState.SUCCEEDED, Reason.NONE, "")
    if facts.exit_code > 128 and facts.exit_code - 128 in _SIGNALS:
        name = _SIGNALS[facts.exit_code - 128]
        return _failed(
            Reason.KILLED,
            f"Killed by signal {name}, which R-Cluster did not send." + _last_words(facts),
        )
    if _REFUSED_MEMORY.search(last_error(facts.log_tail)):
        return _failed(Reason.OUT_OF_MEMORY, _out_of_memory(facts) + _last_words(facts))
    return _failed(
        Reason.EXIT_CODE, f"Ended with exit status {facts.exit_code}." + _last_words(facts)
    )


def _errno(number: int) -> str:
    return errno.errorcode.get(number, str(number))


_SIGNALS = {number.value: number.name for number in signal.Signals}


def _failed(reason: Reason, explanation: str) -> Ending:
    return Ending(RunState.FAILED, reason, explanation)


def _out_of_time(facts: Facts) -> str:
    limit = duration(facts.time_limit)
    if facts.quick:
        return (
            f"Stopped after {limit}, which is what a quick command may take. Run it again in the "
            "queue, where it gets the Task's usual time."
        )
    return f"Stopped at its time limit of {limit}. Run it again with a longer one."


def _out_of_memory(facts: Facts) -> str:
    limit = size(facts.memory)
    if facts.peak_memory is None:
        told = f"Ran out of memory at its limit of {limit}."
    elif size(facts.peak_memory) == limit:
        told = f"Ran out of memory: all of its {limit} were in use."
    else:
        told = (
            f"Ran out of memory at its limit of {limit}; "
            f"at most {size(facts.peak_memory)} were in use before it asked for more."
        )
    if facts.exit_code == 0:
        told += " One of its processes was killed although the script went on to its end."
    if facts.quick:
        return f"{told} Run it in the queue, where it gets the Task's usual memory."
    return f"{told} Give it more memory, or less data at a time."


def _not_found(facts: Facts) -> str:
    if facts.program in ("Rscript", "R"):
        lacking = f"There is no R in the environment “{facts.environment}”."
        if facts.is_check:
            return (
                f"{lacking} Its image needs an {facts.program} in PATH: install R in it (r-base-core in "
                "Debian), or name another image; then it is checked again."
            )
        return f"{lacking} Choose another one or tell your administrator."
    return f"“{facts.program}” was not found in the environment “{facts.environment}”."


def _last_words(facts: Facts) -> str:
    line = last_error(facts.log_tail)
    return f" {line}" if line else ""


_ERROR = re.compile(r"^(Error\b.*|.*: (?:command )?not found)$")
_REFUSED_MEMORY = re.compile(
    r"cannot allocate (?:vector|memory|buffer)|std::bad_alloc", re.IGNORECASE
)
"""what R and its packages say where the limit refuses memory instead of killing"""
_NOISE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def last_error(tail: bytes) -> str:
    """R's own last error, as one line; "" if the output ends without one.

    R breaks a long message after "Error in f(x) :" and goes on, indented, on the next line. Of a syntax
    error it quotes what it had read; where it stopped is the end of that.
    """
    lines = [_NOISE.sub("", line) for line in tail.decode("utf-8", "replace").splitlines()]
    for index in range(len(lines) - 1, -1, -1):
        if _ERROR.match(lines[index]):
            text, rest = lines[index].strip(), lines[index + 1 :]
            if text.endswith(" in:") and rest and rest[0].startswith('"'):
                quoted = next((line for line in rest[:5] if line.endswith('"')), rest[0])
                text = f'{text[:-1]} "{quoted.strip().strip(chr(34))}"'
            elif text.endswith(":") and rest:
                text = f"{text} {rest[0].strip()}"
            return text if len(text) <= 300 else text[:299] + "…"
    return ""


def duration(seconds: float) -> str:
    """45 s, 5 min, 1 h 30 min, 2 d 4 h"""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    units = [(86400, "d"), (3600, "h"), (60, "min"), (1, "s")]
    parts = []
    for length, name in units:
        count, seconds = divmod(seconds, length)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])
