"""What an administrator should change on an agent, from the flags that it was started with."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from jobs.backends.base import BackendUnavailable
from jobs.backends.mesos_status import UNWATCHED

log = logging.getLogger(__name__)

AGAIN = 600.0
"""seconds until an agent that did not tell is asked once more"""
REMOVED_WITHIN = UNWATCHED - 5
_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "secs": 1.0,
    "mins": 60.0,
    "hrs": 3600.0,
    "days": 86400.0,
    "weeks": 7 * 86400.0,
}
_DURATION = re.compile(r"([0-9.]+)(ns|us|ms|secs|mins|hrs|days|weeks)")


def advice_for(flags: Mapping[str, str], *, pull_timeout: float) -> str:
    """Sentences; "" if nothing is wrong. Pure."""
    found = []
    containerizers = flags.get("containerizers", "docker")
    if "docker" not in containerizers.split(","):
        found.append(
            f"Its containerizers are {containerizers}: no Run can start there until it is started "
            "with --containerizers=docker,mesos."
        )
    waits = seconds(flags.get("executor_registration_timeout", ""))
    if waits is not None and waits < pull_timeout:
        found.append(
            f"Its executor_registration_timeout is {_words(waits)}, shorter than the "
            f"{_words(pull_timeout)} that pulling an image may take: raise it, or large images "
            "never start there."
        )
    removes = seconds(flags.get("docker_remove_delay", ""))
    if removes is not None and removes > REMOVED_WITHIN:
        found.append(
            f"Its docker_remove_delay is {_words(removes)}: a container whose executor was killed "
            f"goes on that long although its Run has ended. Set it to {REMOVED_WITHIN:g}secs or less."
        )
    return " ".join(found)


def seconds(text: str) -> float | None:
    """From a duration as Mesos writes it ("1mins"); None if it is none."""
    match = _DURATION.fullmatch(text)
    try:
        return float(match[1]) * _UNITS[match[2]] if match else None
    except ValueError:
        return None


def _words(value: float) -> str:
    if value < 120 and value % 60:
        return f"{value:g} s"
    return f"{value / 60:.3g} min" if value < 7200 else f"{value / 3600:.3g} h"


@dataclass
class _Asked:
    started: float
    """when the agent registered, as the master tells: its flags can't change without that"""
    advice: str = ""
    again: float | None = None
    """it did not tell: when to ask once more"""


class Advisor:
    """Asks every agent once after each of its starts, in a thread of its own: nobody waits."""

    def __init__(self, flags: Callable[[str], Mapping[str, str]], *, pull_timeout: float) -> None:
        """`flags`: from an agent's host:port to its flags; may raise BackendUnavailable."""
        self._flags = flags
        self._pull_timeout = pull_timeout
        self._asked: dict[str, _Asked] = {}
        self._lock = threading.Lock()
        self._asking = ThreadPoolExecutor(1, thread_name_prefix="mesos-flags")
        self._closed = False

    def advice(self, node: str, address: str, started: float) -> str:
        """As far as is known now; of an agent that is new or was started again, "" at first."""
        now = time.monotonic()
        with self._lock:
            asked = self._asked.get(node)
            told = asked is not None and asked.started == started
            if asked is not None and told and (asked.again is None or now < asked.again):
                return asked.advice
            if self._closed:
                return ""
            old = asked.advice if asked is not None else ""
            self._asked[node] = _Asked(started, old)
            self._asking.submit(self._ask, node, address, started)
            return old

    def _ask(self, node: str, address: str, started: float) -> None:
        found = _Asked(started)
        try:
            flags = self._flags(address)
            found.advice = advice_for(flags, pull_timeout=self._pull_timeout)
        except BackendUnavailable as error:
            log.info("The agent at %s does not tell its flags: %s", address, error)
            found.again = time.monotonic() + AGAIN
        with self._lock:
            self._asked[node] = found

    def keep_only(self, nodes: set[str]) -> None:
        with self._lock:
            for node in self._asked.keys() - nodes:
                del self._asked[node]

    def close(self) -> None:
        with self._lock:
            self._closed = True
        self._asking.shutdown(wait=False, cancel_futures=True)
