"""How much of each machine is free, for the bars of the pages."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from jobs.models import Machine, Run, Site


@dataclass
class Use:
    """What Runs hold of one machine, or of all together."""

    name: str
    cpus: float = 0.0
    memory: int = 0
    used_cpus: float = 0.0
    used_memory: int = 0
    runs: list[Run] = field(default_factory=list)

    @property
    def free_cpus(self) -> float:
        return max(0.0, self.cpus - self.used_cpus)

    @property
    def free_memory(self) -> int:
        return max(0, self.memory - self.used_memory)

    @property
    def cpus_percent(self) -> int:
        return _percent(self.used_cpus, self.cpus)

    @property
    def memory_percent(self) -> int:
        return _percent(self.used_memory, self.memory)


def machines(backend: str) -> list[Use]:
    """Every machine of the backend with the Runs on it. Two queries."""
    holding: dict[str, list[Run]] = defaultdict(list)
    for run in (
        Run.objects.active().filter(backend=backend).select_related("task__owner").order_by("id")
    ):
        holding[run.machine].append(run)
    found = []
    for machine in Machine.objects.filter(backend=backend):
        runs = holding[machine.name]
        found.append(
            Use(
                machine.name,
                float(machine.cpus),
                machine.memory,
                float(sum(run.cpus for run in runs)),
                sum(run.memory for run in runs),
                runs,
            )
        )
    return found


def total() -> Use:
    """All machines of the site's backend as one."""
    every = machines(Site.load().backend)
    return Use(
        "",
        sum(use.cpus for use in every),
        sum(use.memory for use in every),
        sum(use.used_cpus for use in every),
        sum(use.used_memory for use in every),
    )


def _percent(part: float, whole: float) -> int:
    return min(100, round(100 * part / whole)) if whole else 0
