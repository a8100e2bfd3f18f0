"""What a Backend is: the contract that `local`, `docker` and `mesos` keep.

Backends see only these dataclasses. jobs/supervision/ is their only caller, in the one
process that holds the lease. tests/contract/ runs one suite over every backend.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class BackendError(Exception):
    """Base of what a backend may raise. `str(error)` is a sentence for the Run's page."""


class BackendUnavailable(BackendError):
    """The engine does not answer: nothing is known, nothing moves, the caller asks again later."""


class RegistrationRemoved(BackendUnavailable):
    """The cluster ended all that was ours, and takes us again only on an administrator's word: until
    then nothing moves, and nobody says that Runs go on."""


class RegistryUnavailable(BackendError):
    """The registry does not answer: the Run waits in the queue and says so."""


class ImageNotFound(BackendError):
    """The registry (or, without one, the machine) has no such image, or denies it: the Run fails."""


class RoomGone(BackendError):
    """The room was withdrawn before the container could take it: the Run is placed again."""


class CommandNotFound(BackendError):
    """The Environment has no such program (no R, for instance): the Run fails."""


class LaunchFailed(BackendError):
    """The engine refused to start this container and would refuse it again: the Run fails."""


class Phase(enum.StrEnum):
    """What happens between STARTING and RUNNING, shown while it happens."""

    PULLING = "pulling"
    LAUNCHING = "launching"


class Life(enum.StrEnum):
    """What an engine says of a container."""

    CREATED = "created"
    """Exists, its process has not been started."""
    STAGING = "staging"
    """A machine has it in hand, and it does not run yet: its image may still be pulled there."""
    RUNNING = "running"
    UNREACHABLE = "unreachable"
    """Its machine gives no word: it goes on as far as anybody knows."""
    ENDED = "ended"
    """Its process is gone; the exit status can be trusted."""
    GONE = "gone"
    """Positive word that it is no more or never was, and none of how it ended."""


@dataclass(frozen=True)
class Capabilities:
    """What a backend can and can't do; pages and checks ask this, never the backend's type."""

    images: bool
    """Runs start from an Environment's image; else there is one Environment, this machine's R."""
    memory: str
    """How memory is limited: "cgroup" (the Run as a whole) or "process" (each process)."""
    network: str
    """"full" (with the host's loopback out of reach) or "none"."""
    launch_is_start: bool = True
    """When launch() returns the container runs; else `status` tells when it does."""
    lends: bool = True
    """Quick commands get their memory beside what is offered. False: within it, where so much is set
    aside for them (`Offer.set_aside`). CPUs are lent to them in any case: the kernel shares."""
    notes: tuple[str, ...] = ()
    """Sentences for the cluster page about what is weaker here than usual."""


def memory_to_offer(machine: int, set_aside: int) -> int:
    """Bytes, of a machine with so many: 90 %, less what is set aside for quick commands, of which
    there is no more than 10 %."""
    return machine * 9 // 10 - min(set_aside, machine // 10)


@dataclass(frozen=True)
class Offer:
    """One machine: what it could give to Runs in all; the queue subtracts what active Runs hold."""

    machine: str
    cpus: float
    memory: int
    """bytes"""
    node: str = ""
    """The backend's own id of the machine, kept with each Run that is placed there."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    free_cpus: float | None = None
    """What may be given away now, where others use the machine too: `cpus` is then its size.
    None: all that our active Runs leave."""
    free_memory: int | None = None
    set_aside: int = 0
    """Bytes for quick commands alone, beside `memory`, of a backend that does not lend. They are part
    of `free_memory`, as far as no command holds them."""


@dataclass(frozen=True)
class MachineReport:
    """One machine as the cluster page shows it."""

    name: str
    cpus: float
    """0 of one that is away, where only itself could tell"""
    memory: int
    """bytes, in all"""
    node: str = ""
    free_cpus: float | None = None
    """not used by anybody, also not by others; None: what our Runs leave"""
    free_memory: int | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    present: bool = True
    """It answers; False: the backend knows it, and has no word from it."""
    note: str = ""
    """Why it gets no Runs just now, in a sentence."""
    advice: str = ""
    """What an administrator should change on it, in sentences."""


def reports_of(offers: Sequence[Offer]) -> list[MachineReport]:
    """The machines of a backend that has all of them to itself."""
    return [
        MachineReport(each.machine, each.cpus, each.memory, each.node, attributes=each.attributes)
        for each in offers
    ]


@dataclass(frozen=True)
class Mount:
    source: Path
    """An absolute path on the machine (shared storage: the same on every machine)."""
    target: str
    """An absolute path in the container."""
    read_only: bool = False


@dataclass(frozen=True)
class ContainerSpec:
    """Everything a backend needs to start one attempt of a Run."""

    handle: str
    """`rcluster-<run>-<attempt>`: the container's name, unique for ever."""
    run: str
    attempt: int
    image: str
    """A digest or image id as `resolve()` returned it; "" where the backend has no images."""
    command: Sequence[str]
    attempt_dir: Path
    """`runs/<run>/<attempt>` on storage: permit, log, exit record, `script/`, `stdin`."""
    mounts: Sequence[Mount]
    """The Task's areas and Datasets. The backend itself adds the attempt's folder (at /rcluster) and the runner."""
    cpus: float
    memory: int
    """bytes"""
    cpus_lent: bool = False
    """`cpus` are a limit alone: nothing that the machine offers is taken for them."""
    variables: Mapping[str, str] = field(default_factory=dict)
    workdir: str = "/code"
    has_stdin: bool = False
    """True: the file `stdin` of the attempt's folder is the command's standard input."""
    time_limit: float | None = None
    """seconds, enforced by the runner: TERM, `grace`, KILL"""
    grace: float = 10.0
    log_cap: int = 0
    """bytes; 0 means no cap"""
    uid: int = 1000
    gid: int = 1000
    machine: str = ""
    """Where the queue placed it: a name from `offers()`; backends of one machine need not look."""
    node: str = ""


@dataclass(frozen=True)
class ContainerStatus:
    """What the engine says of one container of ours, now."""

    handle: str
    life: Life
    exit_code: int | None = None
    """Exit status of the runner when ENDED: the command's own, 128+signal, 124 after the time
    limit, 125 if it never ran, 126/127 if the command could not be started. None if nobody knows
    (the runner itself was killed and left no word)."""
    out_of_memory: bool = False
    """The kernel killed a process of this container for memory, whatever the exit code."""
    started_at: float | None = None
    """Unix time"""
    ended_at: float | None = None
    peak_memory: int | None = None
    """bytes, of the container as a whole, where the backend knows"""
    error: str = ""
    """The engine's own words when it could not start the process."""
    sentence: str = ""
    """For people, where there is more to say than `life`: since when there is no word, why gone."""
    receipt: str = ""
    """Not empty: the engine repeats this status until `settled()` is called with it."""


@dataclass(frozen=True)
class Health:
    """One look at the backend, for the cluster page and set-up."""

    ok: bool
    sentence: str
    version: str = ""
    notes: tuple[str, ...] = ()
    """Sentences about what is weaker on this machine than it could be."""
    live_restore: bool | None = None
    """Whether containers outlive a restart of the engine; None where there is no engine."""


Notify = Callable[[str], None]
"""Called with a handle when something about it may have changed (a container ended). May be
called from any thread, at any time, more often than needed, and never instead of `containers()`."""

OnPhase = Callable[[Phase, str], None]
"""Called with the phase and a sentence ("Pulling r-base: 120 of 300 MB"). From the calling thread."""


class Notes(Protocol):
    """What a backend must remember for longer than a process or a machine lasts."""

    def get(self, key: str) -> str:
        """ "" if there is none."""

    def put(self, key: str, value: str) -> None:
        """Kept when this returns."""


class Backend(Protocol):
    """Starts, observes and stops containers. Every method may be called from several threads.

    Every method raises BackendUnavailable when the engine does not answer within its deadline
    (seconds, not minutes): that is "cannot tell", never "gone".
    """

    name: str
    capabilities: Capabilities

    def health(self) -> Health:
        """Does the engine answer? Never raises."""

    def offers(self) -> list[Offer]:
        """What the machines could give to Runs, now."""

    def machines(self) -> list[MachineReport]:
        """Every machine there is, also one that gives nothing now."""

    def resolve(self, image: str, *, pull: str, on_phase: OnPhase, timeout: float) -> str:
        """Turn an Environment's image into what will be launched: a digest, or the image id.

        `pull` is "always" (the newest from the registry), "missing" or "never". Pulls where needed.
        Raises ImageNotFound, RegistryUnavailable (also when `timeout` seconds have passed).
        """

    def launch(self, spec: ContainerSpec) -> None:
        """Create and start the container. Safe to repeat with the same handle: a container that
        exists already is started if it wasn't, and is otherwise left alone.
        Raises CommandNotFound, ImageNotFound, LaunchFailed, RoomGone."""

    def status(self, handle: str) -> ContainerStatus | None:
        """None is positive word: the engine answers and knows no such container."""

    def containers(self, known: Mapping[str, str] | None = None) -> dict[str, ContainerStatus]:
        """All containers of this installation, running or ended, by handle.

        `known`: handle -> node of those that the caller believes in, for an engine that must be
        asked by name. One that is not in the answer is gone for certain.
        """

    def settled(self, status: ContainerStatus) -> None:
        """The database has what `status` said, or needs it no more: never said before that."""

    def stop(self, handle: str, *, grace: float) -> None:
        """Ask it to stop: TERM to the runner, which gives the command `grace` seconds, then KILL.
        Returns at once, without waiting for the end; safe to repeat; unknown handles are ignored."""

    def kill(self, handle: str) -> None:
        """KILL now, the whole process tree. Unknown handles are ignored."""

    def remove(self, handle: str) -> None:
        """Forget an ended container and whatever it holds (cgroup, network). Idempotent."""

    def watch(self, notify: Notify) -> None:
        """Start telling about ends in the background. Called once."""

    def close(self) -> None:
        """Stop watching; containers go on."""
