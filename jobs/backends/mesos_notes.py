"""What the `mesos` backend writes down for other processes, and how it is read again. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from jobs.backends.base import Notes

FRAMEWORK = "mesos framework"
"""the note that holds our framework's id"""
REMOVED = "mesos framework removed"
"""the note that says that Mesos forgot our framework, and when: a Removal"""
MASTER = "mesos master"
"""the note that says what pages show of the master: a MasterFacts"""


@dataclass(frozen=True)
class Removal:
    """Mesos ended our framework and all of its tasks."""

    words: str
    """Mesos' own"""
    at: float
    """Unix time"""

    def __str__(self) -> str:
        return (
            f"Mesos removed the portal's registration ({self.words}) and ended its Runs there. "
            "An administrator can register anew on the cluster page."
        )


@dataclass(frozen=True)
class MasterFacts:
    """The cluster as the portal's one connection to it knows it."""

    master: str = ""
    """host:port of the one that leads; "" if none is known"""
    version: str = ""
    framework_id: str = ""
    registered: bool = False
    trouble: str = ""
    """a sentence: why not registered, or what else the master doesn't do; "" if all is well"""
    agents: int = 0
    """that answer"""
    since: float = 0.0
    """Unix time since which it is registered with this master, or isn't"""


def removal(note: str) -> Removal | None:
    """From the note REMOVED; None: we were not removed."""
    return Removal(**_known(Removal, note)) if note else None


def facts(note: str) -> MasterFacts | None:
    """From the note MASTER; None: nothing was noted yet."""
    return MasterFacts(**_known(MasterFacts, note)) if note else None


def _known(kind: type[Removal | MasterFacts], note: str) -> dict[str, Any]:
    """Another release of the portal may have noted more."""
    names = {each.name for each in fields(kind)}
    return {name: value for name, value in json.loads(note).items() if name in names}


def as_note(noted: Removal | MasterFacts) -> str:
    return json.dumps(asdict(noted))


class FactsKeeper:
    """Writes the note MASTER when there is something new, not at every look."""

    def __init__(self, notes: Notes, clock: Callable[[], float]) -> None:
        self._notes = notes
        self._clock = clock
        self._last: MasterFacts | None = None

    def tell(self, found: MasterFacts) -> None:
        """`since` is worked out here. What isn't known now (master, version, agents, while there is
        no connection) stays as it was last known."""
        last = self._last or facts(self._notes.get(MASTER)) or MasterFacts()
        if not found.registered:
            found = replace(
                found,
                master=found.master or last.master,
                version=found.version or last.version,
                agents=last.agents,
            )
        known = (last.registered, last.framework_id, last.master)
        same = last.since and known == (found.registered, found.framework_id, found.master)
        found = replace(found, since=last.since if same else self._clock())
        if found != last:
            self._notes.put(MASTER, as_note(found))
        self._last = found
