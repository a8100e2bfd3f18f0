"""How much of each machine is free and what holds the rest, for the pages and the API."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from django.db.models import Count, Q, QuerySet, Sum, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from jobs.machines import answers
from jobs.models import Lane, Machine, Run, RunQuerySet, Site

if TYPE_CHECKING:
    from accounts.models import User

ATTRIBUTES = 12
"""listed beside the Run panel"""
_IN_QUEUE = Q(lane=Lane.QUEUE)
"""Quick commands take nothing of what others may have."""
FORGOTTEN_AFTER = timedelta(days=7)
"""A machine that its backend no longer knows is shown this long, or while Runs are on it."""


@dataclass(frozen=True, kw_only=True)
class Use:
    """What is there, what our Runs hold of it, and what is free; memory in bytes."""

    cpus: float
    memory: int
    used_cpus: float
    used_memory: int
    free_cpus: float
    """may be less than our Runs leave: others use machines, too"""
    free_memory: int

    @property
    def cpus_percent(self) -> int:
        """held by our Runs"""
        return _percent(self.used_cpus, self.cpus)

    @property
    def memory_percent(self) -> int:
        return _percent(self.used_memory, self.memory)

    @property
    def others_cpus_percent(self) -> int:
        """neither free nor held by our Runs"""
        return max(0, _percent(self.cpus - self.free_cpus, self.cpus) - self.cpus_percent)

    @property
    def others_memory_percent(self) -> int:
        return max(0, _percent(self.memory - self.free_memory, self.memory) - self.memory_percent)


@dataclass(frozen=True, kw_only=True)
class MachineUse(Use):
    machine: Machine
    runs: Sequence[Run]
    """the first of those on it that may be seen"""
    run_count: int
    """of everybody"""
    others: Sequence[tuple[str, int]]
    """name and number of Runs of each person whose Runs may not be seen"""

    @property
    def name(self) -> str:
        return self.machine.name

    @property
    def attributes(self) -> list[str]:
        return [f"{name}:{value}" for name, value in sorted(self.machine.attributes.items())]

    @property
    def run_ids(self) -> list[str]:
        return [run.public_id for run in self.runs]

    @property
    def more_runs(self) -> int:
        """that may be seen, beyond `runs`"""
        return self.run_count - len(self.runs) - sum(count for _, count in self.others)

    @property
    def answers(self) -> bool:
        return answers(self.machine)

    @property
    def condition(self) -> str:
        """Why it takes no Runs: "lost" (an administrator said so, and it has not come back), "silent",
        "drained" or "aside" (its note says why), the first that applies; "" if it takes them."""
        if not self.answers:
            return "lost" if self.machine.lost_at else "silent"
        if self.machine.drained_at:
            return "drained"
        return "aside" if self.machine.note else ""

    @property
    def takes_runs(self) -> bool:
        return not self.condition


@dataclass(frozen=True, kw_only=True)
class Total(Use):
    """The machines that take Runs, as one."""

    machines: int
    """in all"""
    taking: int
    """those that take Runs"""


class _Held(NamedTuple):
    """What the Runs of one person hold of one machine."""

    runs: int
    cpus: float
    memory: int


_Who = tuple[int, str]
"""key and name of a person"""


def machines(backend: str, user: User | None = None, *, runs_each: int = 0) -> list[MachineUse]:
    """The machines of a backend by name, each with at most `runs_each` of the Runs on it that `user`
    may see. At most three statements, however many there are."""
    active = Run.objects.active().filter(backend=backend)
    holding = _holding(active)
    known = _known(Machine.objects.filter(backend=backend), holding)
    return _uses(known, holding, active, user, runs_each)


def machine(one: Machine, user: User, *, runs_each: int = 0) -> MachineUse:
    """The same of one machine, also of one that is long gone."""
    active = Run.objects.active().filter(backend=one.backend, machine=one.name)
    return _uses([one], _holding(active), active, user, runs_each)[0]


def _uses(
    known: Sequence[Machine],
    holding: Mapping[str, Mapping[_Who, _Held]],
    active: RunQuerySet,
    user: User | None,
    runs_each: int,
) -> list[MachineUse]:
    shown = _shown(active, user, runs_each) if user and runs_each else {}
    found = []
    for each in known:
        held = holding.get(each.name, {})
        hidden = [who for who in held if not (user and (user.is_staff or who[0] == user.pk))]
        cpus = sum(part.cpus for part in held.values())
        memory = sum(part.memory for part in held.values())
        found.append(
            MachineUse(
                cpus=float(each.cpus),
                memory=each.memory,
                used_cpus=cpus,
                used_memory=memory,
                free_cpus=_free(float(each.cpus) - cpus, each.free_cpus),
                free_memory=int(_free(each.memory - memory, each.free_memory)),
                machine=each,
                runs=shown.get(each.name, []),
                run_count=sum(part.runs for part in held.values()),
                others=sorted((who[1], held[who].runs) for who in hidden),
            )
        )
    return found


def total(every: Sequence[MachineUse] | None = None) -> Total:
    """All machines that take Runs as one; of the site's backend, unless others are given."""
    if every is None:
        every = machines(Site.load().backend)
    taking = [each for each in every if each.takes_runs]
    return Total(
        cpus=sum(use.cpus for use in taking),
        memory=sum(use.memory for use in taking),
        used_cpus=sum(use.used_cpus for use in taking),
        used_memory=sum(use.used_memory for use in taking),
        free_cpus=sum(use.free_cpus for use in taking),
        free_memory=sum(use.free_memory for use in taking),
        machines=len(every),
        taking=len(taking),
    )


def attributes(of: Iterable[Machine]) -> list[str]:
    """What a Run could ask of its machine: name:value, as far as the machines have any."""
    pairs = {f"{name}:{value}" for each in of for name, value in each.attributes.items()}
    return sorted(pairs)[:ATTRIBUTES]


def largest(of: Iterable[Machine]) -> tuple[Decimal, int] | None:
    """The most CPUs and the most bytes of memory that a machine has; None: no machine is known."""
    every = list(of)
    if not every:
        return None
    return max(each.cpus for each in every), max(each.memory for each in every)


def _known(rows: QuerySet[Machine], holding: Mapping[str, object]) -> list[Machine]:
    """Those worth a line, n2 before n10."""
    rows = rows.select_related("drained_by", "lost_by")
    since = timezone.now() - FORGOTTEN_AFTER
    known = [each for each in rows if each.present or each.heard_at > since or each.name in holding]
    return sorted(known, key=lambda each: _natural(each.name))


def _natural(name: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)
    ]


def _holding(active: RunQuerySet) -> dict[str, dict[_Who, _Held]]:
    """machine -> person -> what their Runs hold there"""
    found: dict[str, dict[_Who, _Held]] = defaultdict(dict)
    rows = (
        active.order_by()
        .values_list("machine", "task__owner", "task__owner__username")
        .annotate(
            Count("pk"),
            in_cpus=Sum("cpus", filter=_IN_QUEUE),
            in_memory=Sum("memory", filter=_IN_QUEUE),
        )
    )
    for machine, owner, name, count, cpus, memory in rows:
        found[machine][owner, name] = _Held(count, float(cpus or 0), int(memory or 0))
    return found


def _shown(active: RunQuerySet, user: User, runs_each: int) -> dict[str, list[Run]]:
    """machine -> the oldest Runs there that the person may see"""
    found: dict[str, list[Run]] = defaultdict(list)
    ranked = (
        active.visible_to(user)
        .annotate(place=Window(RowNumber(), partition_by="machine", order_by="pk"))
        .filter(place__lte=runs_each)
        .select_related("task__owner")
        .defer("script_text", "stdin")
        .order_by("pk")
    )
    for run in ranked:
        found[run.machine].append(run)
    return found


def _free(left: float, reported: Decimal | int | None) -> float:
    """What our Runs leave, or what the backend says where others use more. Its word may be older than
    our newest Runs."""
    return max(0.0, left if reported is None else min(left, float(reported)))


def _percent(part: float, whole: float) -> int:
    return max(0, min(100, round(100 * part / whole))) if whole else 0
