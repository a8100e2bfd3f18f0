"""The `local` backend: this machine's own R in bubblewrap, as an ordinary user.

    rcluster-enter (root only: cgroups, network, becomes the user) -> rcluster-run -> bwrap -> R

The runner stands outside the sandbox, so its exit record, out of the script's reach, is the truth.
It is started in a session of its own and does not need us: another process finds it by the
folder of notes (local_state.py). Who may run is decided by the permit, so that starting twice is
harmless at every point where we might be interrupted. What the machine has for us is in
local_machine.py.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from jobs.backends import cgroups
from jobs.backends.base import (
    BackendUnavailable,
    Capabilities,
    CommandNotFound,
    ContainerSpec,
    ContainerStatus,
    Health,
    LaunchFailed,
    Life,
    MachineReport,
    Notify,
    Offer,
    OnPhase,
    reports_of,
)
from jobs.backends.exit_record import ExitRecord, read_record
from jobs.backends.local_machine import LocalMachine
from jobs.backends.local_state import Entry, State
from jobs.backends.processes import EndWatch, Process, boot_id, process, reap
from jobs.backends.processors import Processors
from jobs.backends.sandbox import PATH, bwrap_arguments, program, start_command, write_etc
from jobs.backends.variables import container_variables, site_proxies

log = logging.getLogger(__name__)

EXIT_NEVER_RAN = 125
PIDS_LIMIT = 4096
STORAGE_AWAY = "The storage is away: is it mounted?"
CLAIM_WITHIN = 15.0
"""seconds that a launch waits for the runner's claim; slirp4netns alone gets 10"""
UNNOTED_FOR = 15.0
"""seconds after which a start that was never noted has failed for certain"""


class LocalBackend:
    """Runs on this machine. What it can do depends on who we are: see `capabilities`."""

    name = "local"
    capabilities: Capabilities

    def __init__(
        self,
        *,
        state_dir: Path,
        runner_dir: Path,
        installation: str,
        cpus: float | None = None,
        memory: int | None = None,
        set_aside: int = 0,
        machine: str | None = None,
    ) -> None:
        self._state = State(state_dir)
        self._runner_dir = runner_dir
        self._machine = LocalMachine(
            runner_dir=runner_dir,
            installation=installation,
            cpus=cpus,
            memory=memory,
            set_aside=set_aside,
            name=machine,
        )
        self.capabilities = self._machine.capabilities
        self._proxies = site_proxies()
        self._processors = Processors()
        self._accounts: set[tuple[int, int]] = set()
        self._children: set[int] = set()
        self._watch: EndWatch | None = None

    # The machine.

    def health(self) -> Health:
        return self._machine.health()

    def offers(self) -> list[Offer]:
        return self._machine.offers()

    def machines(self) -> list[MachineReport]:
        return reports_of(self.offers())

    def resolve(self, image: str, *, pull: str, on_phase: OnPhase, timeout: float) -> str:
        """There are no images here."""
        return ""

    # Containers.

    def launch(self, spec: ContainerSpec) -> None:
        known = self._state.entry(spec.handle)
        if known is not None and self._status(known).life is not Life.CREATED:
            return
        if not spec.attempt_dir.is_dir():
            raise BackendUnavailable(STORAGE_AWAY)
        self._check(spec)
        spec = self._processors.shown(spec)
        entry = self._note(spec)
        group = self._group(spec.handle)
        try:
            group.create(cgroups.Limits(memory=spec.memory, cpus=spec.cpus, pids=PIDS_LIMIT))
            who = self._spawn(spec, entry, group)
        except cgroups.CgroupError as error:
            raise LaunchFailed(f"The limits can't be set: {error}") from error
        except OSError as error:
            raise LaunchFailed(f"The runner can't be started: {error}") from error
        if who is not None:
            entry.note_started(who)
            if self._watch is not None:
                self._watch.add(spec.handle, who)
            self._await_claim(entry, who)

    def _check(self, spec: ContainerSpec) -> None:
        """What bubblewrap would say in its own words, into the Run log."""
        if not self._machine.root and (spec.uid, spec.gid) != (os.geteuid(), os.getegid()):
            raise LaunchFailed(f"Only root can start a script as user {spec.uid}.")
        if program(spec, path=spec.variables.get("PATH", PATH)) is None:
            raise CommandNotFound(self._no_program(spec.command[0]))
        for mount in spec.mounts:
            if not mount.source.exists():
                raise LaunchFailed(f"{mount.source}, which should be {mount.target}, is not there.")

    def _no_program(self, word: str) -> str:
        if word in ("R", "Rscript"):
            return (
                f"There is no R on {self._machine.name}: its administrator can install r-base-core."
            )
        return f"There is no program {word} on {self._machine.name}."

    def _note(self, spec: ContainerSpec) -> Entry:
        try:
            self._state.prepare()
            if (spec.uid, spec.gid) not in self._accounts:
                write_etc(self._state.etc, uid=spec.uid, gid=spec.gid)
                self._accounts.add((spec.uid, spec.gid))
            entry = self._state.note(spec.handle, attempt_dir=spec.attempt_dir)
            arguments = bwrap_arguments(
                spec,
                etc=self._state.etc,
                variables=container_variables(spec, self._proxies),
                own_network=not self._machine.root,
            )
            entry.write_args(arguments, uid=spec.uid, gid=spec.gid)
        except OSError as error:
            raise BackendUnavailable(
                f"Nothing can be noted in {self._state.root}: {error}"
            ) from error
        return entry

    def _spawn(self, spec: ContainerSpec, entry: Entry, group: cgroups.Group) -> Process | None:
        """In a session of its own, with nothing of ours but the file for its complaints."""
        command = start_command(
            spec,
            args_file=entry.args_file,
            runner_dir=self._runner_dir,
            group=group if self._machine.hierarchies else None,
            as_root=self._machine.root,
            slirp=self._machine.slirp,
        )
        pid = os.posix_spawn(
            command[0],
            command,
            {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                (
                    os.POSIX_SPAWN_OPEN,
                    2,
                    str(entry.errors_file),
                    os.O_WRONLY | os.O_CREAT | os.O_APPEND,
                    0o644,
                ),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD),
        )
        self._children.add(pid)
        return process(pid)

    def _await_claim(self, entry: Entry, who: Process) -> None:
        """Until the runner has claimed the attempt, a few milliseconds. Raises LaunchFailed if it
        ended with its permit still there and says why: it could not even begin. Without a word, it
        was killed, or the storage went away under it: raises BackendUnavailable, try again."""
        deadline = time.monotonic() + CLAIM_WITHIN
        ended = select.poll()
        fd = who.open()
        if fd is not None:
            ended.register(fd, select.POLLIN)
        try:
            while fd is not None and self._record(entry) is None and time.monotonic() < deadline:
                if ended.poll(1):
                    break
        finally:
            if fd is not None:
                os.close(fd)
        if self._alive(who) or self._record(entry) is not None:
            return
        if not entry.attempt_dir.is_dir():
            # What it complained of is no fault of the Run's.
            entry.errors_file.unlink(missing_ok=True)
            raise BackendUnavailable(STORAGE_AWAY)
        if _has_permit(entry):
            words = entry.errors()
            if not words:
                raise BackendUnavailable("The runner was ended before it could begin.")
            raise LaunchFailed(f"The sandbox can't be made: {words}")

    def status(self, handle: str) -> ContainerStatus | None:
        entry = self._state.entry(handle)
        return None if entry is None else self._status(entry)

    def containers(self, known: Mapping[str, str] | None = None) -> dict[str, ContainerStatus]:
        return {entry.handle: self._status(entry) for entry in self._state.entries()}

    def settled(self, status: ContainerStatus) -> None:
        """The entry is kept until it is removed."""

    def _status(self, entry: Entry) -> ContainerStatus:
        # Life first, record second: a record that is not final by then never will be.
        record = self._record(entry)
        who = self._who(entry, record)
        if not (record and record.ended) and who is not None and self._alive(who):
            started_at = record.started_at if record else None
            return ContainerStatus(entry.handle, Life.RUNNING, started_at=started_at)
        record = self._record(entry)
        if record is not None:
            return self._ended(entry, record)
        return self._unclaimed(entry, started=who is not None)

    def _ended(self, entry: Entry, record: ExitRecord) -> ContainerStatus:
        group = self._group(entry.handle)
        exit_code = record.exit_code
        if exit_code is None and entry.was_killed:
            exit_code = 128 + signal.SIGKILL
        return ContainerStatus(
            entry.handle,
            Life.ENDED,
            exit_code=exit_code,
            out_of_memory=group.out_of_memory(),
            started_at=record.started_at,
            ended_at=record.ended_at,
            peak_memory=record.peak_memory or group.peak_memory(),
        )

    def _unclaimed(self, entry: Entry, *, started: bool) -> ContainerStatus:
        """Nobody wrote a record, and nobody whom we know of is alive."""
        permit = _has_permit(entry)
        if not started and entry.boot == boot_id():
            # Interrupted between the note and the start, or between the start and its note.
            if permit:
                return ContainerStatus(entry.handle, Life.CREATED)
            if time.time() - entry.at < UNNOTED_FOR:
                return ContainerStatus(entry.handle, Life.RUNNING)
        claimed = any(entry.attempt_dir.glob("started.*"))
        return ContainerStatus(
            entry.handle,
            Life.ENDED,
            exit_code=None if claimed else EXIT_NEVER_RAN,
            error=entry.errors() if permit else "",
        )

    def stop(self, handle: str, *, grace: float) -> None:
        """The runner got its grace at launch."""
        entry = self._state.entry(handle)
        who = self._who(entry, self._record(entry)) if entry else None
        if who is not None:
            who.send(signal.SIGTERM)

    def kill(self, handle: str) -> None:
        """The sandbox dies with its runner, and its cgroup holds whatever might escape that."""
        entry = self._state.entry(handle)
        if entry is None:
            return
        record = self._record(entry)
        who = self._who(entry, record)
        if who is not None and not (record and record.ended):
            entry.note_killed()
            who.send(signal.SIGKILL)
        self._group(handle).kill()

    def remove(self, handle: str) -> None:
        entry = self._state.entry(handle)
        if entry is not None and self._status(entry).life is Life.RUNNING:
            return
        try:
            self._group(handle).remove()
        except cgroups.CgroupError as error:
            raise BackendUnavailable(f"The cgroup of {handle} can't be removed: {error}") from error
        self._state.forget(handle)

    def watch(self, notify: Notify) -> None:
        self._watch = watch = EndWatch()
        for entry in self._state.entries():
            who = self._who(entry, self._record(entry))
            if who is None or not watch.add(entry.handle, who):
                notify(entry.handle)
        watch.start(notify)

    def close(self) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        cgroups.leave(self._machine.hierarchies)

    # Pieces.

    def _group(self, handle: str) -> cgroups.Group:
        return cgroups.Group(self._machine.hierarchies, handle)

    def _record(self, entry: Entry) -> ExitRecord | None:
        try:
            return read_record(entry.attempt_dir)
        except OSError as error:
            raise BackendUnavailable(f"{entry.attempt_dir} can't be read: {error}") from error

    def _who(self, entry: Entry, record: ExitRecord | None) -> Process | None:
        """The runner: who claimed the attempt, else who was started to do so."""
        if record is not None:
            return Process(record.pid, record.pid_start, record.boot_id)
        return entry.started()

    def _alive(self, who: Process) -> bool:
        alive = who.is_alive()
        if not alive and who.pid in self._children:
            self._children.discard(who.pid)
            reap(who.pid)
        return alive


def _has_permit(entry: Entry) -> bool:
    return (entry.attempt_dir / "permit").exists()
