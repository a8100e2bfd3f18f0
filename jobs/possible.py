"""What no machine could ever hold: refused when it is submitted instead of waiting for ever."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from jobs import constraints
from jobs.models import Environment, Machine, Run, Site
from jobs.queue import amount, size

NAMED = 12
"""attributes that a sentence lists"""


class Impossible(NamedTuple):
    sentence: str
    """what to ask for instead"""
    field: str
    """name of the RunRequest's field at fault"""


def impossible(run: Run) -> Impossible | None:
    """Whether none of the machines that are known could hold the Run. One that is away or closed
    counts: it may come back. None as long as no machine is known."""
    machines = list(Machine.objects.filter(backend=Site.load().backend))
    if not machines:
        return None
    on = constraints.stored(run.constraints)
    suited = [each for each in machines if constraints.matches(on, each.attributes)]
    if not suited:
        return _unsuited(on, run.environment, machines)
    if any(run.cpus <= each.cpus and run.memory <= each.memory for each in suited):
        return None
    # The largest requests that one machine could hold: none is smaller than another in both.
    sizes = sorted({(each.cpus, each.memory) for each in suited}, reverse=True)
    largest = [
        each for at, each in enumerate(sizes) if all(each[1] > larger[1] for larger in sizes[:at])
    ]
    choices = [f"{amount(float(cpus))} and {size(memory)}" for cpus, memory in largest[:3]]
    which = f"No machine with {constraints.words(on)}" if on else "No machine"
    return Impossible(
        f"{which} has {amount(float(run.cpus))} and {size(run.memory)}: "
        f"ask for at most {', or '.join(choices)}.",
        "cpus" if run.cpus > sizes[0][0] else "memory",
    )


def _unsuited(
    on: constraints.Constraints, environment: Environment, machines: Sequence[Machine]
) -> Impossible:
    needed = constraints.stored(environment.constraints)
    if needed and not any(constraints.matches(needed, each.attributes) for each in machines):
        return Impossible(
            f"The environment “{environment.name}” needs a machine with "
            f"{constraints.words(needed)}, and there is none. Choose another one, or tell your "
            "administrator.",
            "environment",
        )
    there = sorted({pair for each in machines for pair in each.attributes.items()})
    return Impossible(f"No machine has {constraints.words(on)}. {_known(there)}", "constraints")


def _known(there: Collection[tuple[str, str]]) -> str:
    """Which attributes a Run could ask for."""
    if not there:
        return "The machines here have no attributes: leave it empty."
    listed = [f"{name}:{value}" for name, value in there][:NAMED]
    more = len(there) - len(listed)
    return f"There is {', '.join(listed)}{f' and {more} more' if more else ''}."
