"""What only the HTTP APIs of a Mesos master and its agents tell: all machines, and a task's stderr."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from jobs.backends.base import BackendUnavailable, MachineReport
from jobs.backends.mesos_offers import MIB, machine_name

TIMEOUT = 3.0
"""seconds for a question to the master or an agent"""
FLAGS_TIMEOUT = 1.0
STDERR_LIMIT = 4096
"""bytes of a failed launch's stderr that are shown at most"""


@dataclass(frozen=True)
class Listed:
    """An agent as the master lists it."""

    report: MachineReport
    address: str
    """host:port of its HTTP API"""
    registered: float
    """Unix time of its last registration: at every start, and with every new master"""


class Operator:
    """Questions to masters and agents. `credential`: principal and secret, or None."""

    def __init__(self, credential: tuple[str, str] | None = None) -> None:
        self._session = requests.Session()
        self._session.auth = credential
        # A proxy for the way out has no part in this.
        self._session.trust_env = False

    def close(self) -> None:
        self._session.close()

    def version(self, master: str) -> str:
        """Raises BackendUnavailable."""
        return str(self._get(f"http://{master}/version", "the Mesos master").get("version", ""))

    def agents(self, master: str) -> list[Listed]:
        """Every agent that the master knows, registered or expected back.

        Raises BackendUnavailable.
        """
        told = self._get(f"http://{master}/slaves", "the Mesos master")
        present = [_listed(each) for each in told.get("slaves", ())]
        missed = [_listed(each, present=False) for each in told.get("recovered_slaves", ())]
        names = {each.report.name for each in present}
        return present + [each for each in missed if each.report.name not in names]

    def flags(self, agent: str) -> dict[str, str]:
        """What an agent was started with. Raises BackendUnavailable."""
        told = self._get(f"http://{agent}/flags", "the Mesos agent", FLAGS_TIMEOUT)
        return {str(name): str(value) for name, value in told.get("flags", {}).items()}

    def stderr(self, agent: str, framework: str, task: str) -> str:
        """The last that a task's executor wrote to its own stderr; "" if nobody tells."""
        path = f"/frameworks/{framework}/executors/{task}/runs/latest/stderr"
        query = {"path": path, "offset": "0", "length": str(STDERR_LIMIT)}
        try:
            answer = self._session.get(f"http://{agent}/files/read", params=query, timeout=TIMEOUT)
            answer.raise_for_status()
            return str(answer.json().get("data", "")).strip()
        except (requests.RequestException, ValueError):
            # The agent may be away or allow nobody to look: then there is less to say, no more.
            return ""

    def _get(self, address: str, whom: str, timeout: float = TIMEOUT) -> dict[str, Any]:
        try:
            answer = self._session.get(address, timeout=timeout)
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        except (requests.RequestException, ValueError) as error:
            reason = "no answer in time" if isinstance(error, requests.Timeout) else _cause(error)
            raise BackendUnavailable(
                f"{whom[0].upper()}{whom[1:]} does not answer ({reason})."
            ) from error
        return found


def _cause(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP status {response.status_code}"
    return "connection refused" if "refused" in str(error) else type(error).__name__


def _listed(told: Mapping[str, Any], *, present: bool = True) -> Listed:
    registered = told.get("reregistered_time") or told.get("registered_time") or 0.0
    address = str(told.get("pid", "")).rpartition("@")[2]
    return Listed(_report(told, present=present), address, float(registered))


def _report(told: Mapping[str, Any], *, present: bool) -> MachineReport:
    total, used = told.get("resources", {}), told.get("used_resources", {})
    port = int(told.get("port") or str(told.get("pid", ":5051")).rpartition(":")[2])
    # One that an administrator of Mesos deactivated or drains is not active either, and answers.
    known = bool(present and (told.get("active", True) or told.get("deactivated")))
    cpus, memory = float(total.get("cpus", 0)), int(total.get("mem", 0) * MIB)
    return MachineReport(
        name=machine_name(str(told["hostname"]), port),
        node=str(told["id"]),
        cpus=cpus,
        memory=memory,
        free_cpus=max(0.0, cpus - float(used.get("cpus", 0))) if known else None,
        free_memory=max(0, memory - int(used.get("mem", 0) * MIB)) if known else None,
        attributes={name: _text(value) for name, value in told.get("attributes", {}).items()},
        present=known,
        note=_note(told, present=present),
    )


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _note(told: Mapping[str, Any], *, present: bool) -> str:
    if not present:
        return "Mesos expects it back: no word from it since the master started."
    drain = told.get("drain_info") or {}
    if drain:
        done = drain.get("state") == "DRAINED"
        return f"Mesos {'has drained' if done else 'drains'} it: it gets no new Runs."
    if told.get("deactivated"):
        return "Deactivated in Mesos: it gets no new Runs."
    return ""
