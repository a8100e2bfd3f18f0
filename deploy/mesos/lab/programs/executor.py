"""Runs one command task: stands in for Mesos' own command executor.

Follows what Mesos documents of it: TASK_STARTING, TASK_RUNNING, one terminal update with "Command
exited with status N"; on kill TERM and, after the grace period, KILL; where the framework
checkpoints, it waits MESOS_RECOVERY_TIMEOUT for its agent to come back. No health checks.
"""

from __future__ import annotations

import binascii
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from .wire import Agent, Json, seconds

TERMINAL = frozenset({"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED"})
RETRY = 0.2
"""seconds between two looks for an agent that is away"""
GIVE_UP_AFTER = 60.0
"""seconds without an acknowledgement of the last update, as in Mesos"""


def log(text: str) -> None:
    """Into the sandbox' `stderr`, where Mesos' own executors write theirs."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def words_of(code: int) -> str:
    """What Mesos says of an end; `code` as subprocess has it."""
    if code < 0:
        return f"terminated with signal {signal.strsignal(-code)}"
    return f"exited with status {code}"


def base64(raw: bytes) -> str:
    return binascii.b2a_base64(raw, newline=False).decode()


def grace_of(policy: Json) -> float | None:
    period = policy.get("kill_policy", {}).get("grace_period")
    return float(period["nanoseconds"]) / 1e9 if period else None


class Executor:
    """The life of one task, as its agent is told it. Subclasses say what is run, and how it ends."""

    noun = "Command"

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = variables
        self.agent = Agent(variables)
        self.checkpoint = variables.get("MESOS_CHECKPOINT") == "1"
        self.patience = seconds(variables.get("MESOS_RECOVERY_TIMEOUT"), 900.0)
        self.shutdown_grace = seconds(variables.get("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD"), 5.0)
        self.task: Json = {}
        self.child: subprocess.Popen[bytes] | None = None
        self.killed = False
        self.timed_out = False
        self._executor_id = {"value": variables["MESOS_EXECUTOR_ID"]}
        self._task_known = False
        """The agent has acknowledged an update of the task, so it need not be told of it."""
        self._killing_state = False
        self._waiting: dict[str, Json] = {}
        """Updates that no acknowledgement came for, by their uuid."""
        self._last = ""
        """The uuid of the terminal update."""
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._lost_at = 0.0

    # -- what a command and a container differ in --

    def launch(self) -> None:
        command = self.task["command"]
        variables = dict(self.variables)
        for each in command.get("environment", {}).get("variables", []):
            variables[each["name"]] = each.get("value", "")
        if command.get("shell", True):
            self.spawn(["/bin/sh", "-c", command["value"]], variables)
        else:
            arguments = command.get("arguments") or [command["value"]]
            self.spawn(arguments, variables, program=command["value"])
        if self.child:
            log(f"Forked command at {self.child.pid}")
            self.update("TASK_RUNNING")

    def stop(self, grace: float) -> None:
        """Ask the task to end; force it after the grace period. May be called again."""
        self._signal(signal.SIGTERM)
        self.after(grace, lambda: self._signal(signal.SIGKILL))

    def die(self) -> NoReturn:
        """End at once, and the task too."""
        self._signal(signal.SIGKILL)
        sys.exit(1)

    def exited(self, code: int) -> None:
        """The task has ended."""
        message = f"{self.noun} {words_of(code)}"
        if self.timed_out:
            self.update("TASK_FAILED", message, reason="REASON_MAX_COMPLETION_TIME_REACHED")
        elif self.killed:
            self.update("TASK_KILLED", message)
        else:
            self.update("TASK_FAILED" if code else "TASK_FINISHED", message)

    def subscribed(self) -> None:
        """The agent knows us."""

    # -- tools --

    def spawn(
        self, words: Sequence[str], variables: Mapping[str, str], program: str | None = None
    ) -> None:
        try:
            self.child = subprocess.Popen(
                words, executable=program, env=variables, start_new_session=True
            )
        except OSError as error:
            self.update("TASK_FAILED", f"Failed to execute command: {error}")

    def after(self, delay: float, function: Callable[[], None]) -> None:
        self._timers.append((time.monotonic() + delay, function))

    @property
    def ended(self) -> bool:
        return bool(self._last)

    def update(self, state: str, message: str = "", **more: object) -> None:
        """Send an update; one that can't be delivered is sent when the agent is back."""
        raw = bytearray(os.urandom(16))
        raw[6], raw[8] = raw[6] & 15 | 64, raw[8] & 63 | 128  # version 4
        uuid = base64(bytes(raw))
        status: Json = more | {
            "task_id": self.task["task_id"],
            "executor_id": self._executor_id,
            "state": state,
            "uuid": uuid,
            "source": "SOURCE_EXECUTOR",
            "timestamp": time.time(),
        }
        if message:
            log(message)
            status["message"] = message
        self._waiting[uuid] = status
        if state in TERMINAL:
            self._last = uuid
            self.after(GIVE_UP_AFTER, lambda: sys.exit(1))
        self._deliver(uuid)

    def _deliver(self, uuid: str) -> None:
        """Until the agent has taken it: one that recovers takes subscriptions before updates."""
        status = self._waiting.get(uuid)
        if status is None:
            return
        try:
            self.agent.call({"type": "UPDATE", "update": {"status": status}})
        except OSError as error:
            log(f"{status['state']} not delivered yet: {error}")
            self.after(RETRY, lambda: self._deliver(uuid))

    # -- the loop --

    def run(self) -> NoReturn:
        wake, wake_end = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(wake_end, False)
        signal.set_wakeup_fd(wake_end)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self.die())
        self._subscribe()
        self._take(read=False)
        while True:
            self._run_timers()
            if self.agent.stream is None and not self._come_back():
                delay = RETRY
            else:
                delay = max(0.0, min((when for when, _ in self._timers), default=9e9) - self._now)
            stream = self.agent.stream
            sources: list[Any] = [wake] if stream is None else [wake, stream]
            ready = select.select(sources, [], [], min(delay, 60.0))[0]
            if wake in ready:
                os.read(wake, 4096)
            if self.child and (code := self.child.poll()) is not None:
                self.child = None
                self.exited(code)
            if stream is not None and stream in ready:
                self._take(read=True)

    @property
    def _now(self) -> float:
        return time.monotonic()

    def _run_timers(self) -> None:
        now = self._now
        due = [function for when, function in self._timers if when <= now]
        self._timers = [each for each in self._timers if each[0] > now]
        for function in due:
            function()

    def _subscribe(self) -> None:
        tasks = [self.task] if self.task and not self._task_known else []
        self.agent.subscribe(tasks, list(self._waiting.values()))

    def _come_back(self) -> bool:
        """The agent was away; is it there again?"""
        try:
            self._subscribe()
        except OSError:
            if self._now - self._lost_at > self.patience:
                log("Recovery timeout exceeded; shutting down")
                self.die()
            return False
        self._take(read=False)
        return True

    def _take(self, *, read: bool) -> None:
        for event in self.agent.receive(read=read):
            self._event(event)
        if self.agent.stream is None:
            self._lost_at = self._now
            if not self.checkpoint:
                log("The agent is gone; shutting down")
                self.die()

    def _event(self, event: Json) -> None:
        kind = event["type"]
        if kind == "SUBSCRIBED":
            there = event["subscribed"]
            capabilities = there["framework_info"].get("capabilities", [])
            self._killing_state = any(c["type"] == "TASK_KILLING_STATE" for c in capabilities)
            log(f"Subscribed executor on {there['agent_info']['hostname']}")
            self.subscribed()
        elif kind == "LAUNCH":
            self._begin(event["launch"]["task"])
        elif kind == "KILL":
            graces = (grace_of(event["kill"]), grace_of(self.task), self.shutdown_grace)
            self.kill(next(each for each in graces if each is not None))
        elif kind == "ACKNOWLEDGED":
            uuid = event["acknowledged"]["uuid"]
            self._waiting.pop(uuid, None)
            self._task_known = True
            if uuid == self._last:
                sys.exit(0)
        elif kind == "SHUTDOWN":
            log("Shutting down")
            self.checkpoint = False  # nor wait for another agent
            if self.child is None:
                sys.exit(0)
            # Two seconds less than the agent waits, as in Mesos: TASK_KILLED must still arrive.
            self.kill(max(0.0, self.shutdown_grace - 2.0))
        elif kind == "ERROR":
            log(f"The agent says: {event['error']}")

    def _begin(self, task: Json) -> None:
        self.task = task
        log(f"Starting task {task['task_id']['value']}")
        self.update("TASK_STARTING")
        limit = task.get("max_completion_time", {}).get("nanoseconds", 0)
        if limit:
            self.after(limit / 1e9, self._time_out)
        if "health_check" in task or "check" in task:
            self.update("TASK_FAILED", "This executor of the Mesos lab has no checks of health.")
        else:
            self.launch()

    def _time_out(self) -> None:
        if not self.killed and not self.ended:
            self.timed_out = self.killed = True
            self.stop(0.0)

    def kill(self, grace: float) -> None:
        """Said again with another grace period, it is done again."""
        if not self.task or self.ended:
            return
        if not self.killed:
            self.killed = True
            if self._killing_state:
                self.update("TASK_KILLING")
        self.stop(grace)

    def _signal(self, which: signal.Signals) -> None:
        if self.child is None:
            return
        try:
            os.killpg(self.child.pid, which)
        except ProcessLookupError:
            return


def main() -> NoReturn:
    Executor(os.environ).run()
