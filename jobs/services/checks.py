"""What people ask for, checked: each returns the value to keep or raises Refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

from django.conf import settings
from django.db.models import Q

from jobs import constraints
from jobs.models import Environment, EnvironmentState, Site
from jobs.queue import size
from jobs.services.refused import Refused

COMMAND_LIMIT = 64 * 1024
DESCRIPTION_LIMIT = 10_000
"""characters"""
SMALLEST_CPUS = Decimal("0.05")
SMALLEST_MEMORY = 32 * 1024**2
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def task_name(name: str) -> str:
    name = " ".join(name.split())
    if not name.isprintable():
        raise Refused("Use letters, digits and signs that can be seen in the name.", field="name")
    if not name:
        raise Refused("Give the Task a name.", field="name")
    if len(name) > 200:
        raise Refused("Use at most 200 characters for the name.", field="name")
    return name


def description(written: str) -> str:
    """Of a Task or a Dataset."""
    checked = text(written.strip(), "description", 4 * DESCRIPTION_LIMIT) or ""
    if len(checked) > DESCRIPTION_LIMIT:
        raise Refused(
            f"Use at most {DESCRIPTION_LIMIT} characters for the description, or write a file.",
            field="description",
        )
    return checked


def environment_for(chosen: Environment | None) -> Environment:
    """`chosen` or, for None, the site's usual one, if new Runs may choose it now."""
    kept = Environment.objects.filter(
        retired_at__isnull=True, uses_image=Site.load().backend_has_images
    ).select_related("check_run")
    kept = kept.defer("check_run__script_text", "check_run__stdin")
    if chosen is not None:
        found = kept.filter(pk=chosen.pk).first()
    else:
        # Never another one instead of the usual one, only because that is not ready yet.
        choices = kept.filter(Q(is_default=True) | Q(pk__in=Environment.objects.usable()))
        found = choices.order_by("-is_default", "name").first()
        if found is None:
            raise Refused(
                "There is no Environment to run in. Ask your administrator to add one.",
                field="environment",
            )
    if found is None or found.state is not EnvironmentState.READY:
        checked = found is not None and found.state is EnvironmentState.CHECKING
        name = found.name if found is not None else chosen.name if chosen is not None else ""
        raise Refused(
            f"The environment “{name}” is being checked: try again in some minutes, or choose "
            "another one."
            if checked
            else f"The environment “{name}” can't be used now. Choose another one.",
            field="environment",
        )
    return found


def text(value: str | None, name: str, limit: int) -> str | None:
    if value is None:
        return None
    if "\0" in value:
        raise Refused("It contains a NUL character: remove it.", field=name)
    try:
        length = len(value.encode())
    except UnicodeEncodeError:
        raise Refused("It is not valid Unicode text.", field=name) from None
    if length > limit:
        raise Refused(
            f"It is larger than {size(limit)}: put it into a file of the Task.", field=name
        )
    return value


def arguments(arguments: Sequence[str]) -> list[str]:
    checked = [text(str(each), "arguments", COMMAND_LIMIT) or "" for each in arguments]
    if sum(map(len, checked)) > COMMAND_LIMIT or len(checked) > 1000:
        raise Refused("Too many arguments: put them into a file of the Task.", field="arguments")
    return checked


def variables(variables: Mapping[str, str]) -> dict[str, str]:
    for name in variables:
        if not _VARIABLE.fullmatch(name):
            raise Refused(
                f"“{name}” is no variable name: use letters, digits and _, no digit first.",
                field="variables",
            )
        if name.startswith(("RCLUSTER_", "LD_")):
            raise Refused(f"{name} is reserved: choose another name.", field="variables")
    checked = {
        name: text(str(value), "variables", COMMAND_LIMIT) or ""
        for name, value in variables.items()
    }
    if sum(len(value) for value in checked.values()) > COMMAND_LIMIT:
        raise Refused(
            "The variables are too large: put them into a file of the Task.", field="variables"
        )
    return checked


def cpus(value: Decimal | float | str) -> Decimal:
    try:
        cpus = Decimal(str(value)).quantize(Decimal("0.01"))
    except InvalidOperation:
        raise Refused("Give the CPUs as a number, for example 0.5 or 2.", field="cpus") from None
    if not cpus.is_finite():
        raise Refused("Give the CPUs as a number, for example 0.5 or 2.", field="cpus")
    if cpus < SMALLEST_CPUS:
        raise Refused(f"Ask for at least {SMALLEST_CPUS} CPUs.", field="cpus")
    if cpus >= 10_000:
        raise Refused("Ask for fewer CPUs.", field="cpus")
    return cpus


def memory(value: int) -> int:
    if value < SMALLEST_MEMORY:
        raise Refused(f"Ask for at least {size(SMALLEST_MEMORY)} of memory.", field="memory")
    if value > 2**60:
        raise Refused("Ask for less memory.", field="memory")
    return int(value)


def time_limit(value: int) -> int:
    longest = settings.RCLUSTER_TIME_LIMIT
    if value < 0 or value > 10**9:
        raise Refused("Give the time limit in seconds, 0 for none.", field="time_limit")
    if longest and (value == 0 or value > longest):
        raise Refused(f"The longest time limit here is {longest} seconds.", field="time_limit")
    return int(value)


def constraints_text(written: str, environment: Environment) -> str:
    """The Environment's and the Run's own, as the Run keeps them."""
    needed = constraints.stored(environment.constraints)
    try:
        return constraints.text(constraints.union((*needed, *constraints.parse(written))))
    except constraints.BadConstraints as error:
        raise Refused(str(error), field="constraints") from error
