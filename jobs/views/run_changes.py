"""A Run once more, with changes: a form that starts with what was asked then."""

from __future__ import annotations

import contextlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from files import storage
from files.safe import UnsafePath
from jobs import capacity, constraints, services
from jobs.models import Environment, Machine, Run, RunKind, Site
from jobs.views import choices
from jobs.views.guard import SignedInRequest, signed_in
from jobs.views.runs import visible

AS_IT_RAN, AS_IT_IS = "then", "now"
"""which text of the script: the Run's own, or that of the file today"""


@signed_in
@require_http_methods(["GET", "POST"])
def run_change(request: SignedInRequest, run: str) -> HttpResponse:
    found = visible(request, run)
    if not services.may_edit(request.user, found.task):
        raise PermissionDenied
    typed = Typed.of(request.POST) if request.method == "POST" else Typed.as_it_was(found)
    context = _context(found, typed)
    if request.method == "GET":
        return render(request, "run/change.html", context)
    try:
        asked = _request(found, typed)
        submitted = services.submit(
            user=request.user, task=found.task, request=asked, repeats=found
        )
    except services.Refused as refused:
        errors = {refused.field or "all": str(refused)}
        return render(request, "run/change.html", {**context, "errors": errors}, status=422)
    return redirect(submitted)


@dataclass(frozen=True)
class Typed:
    """What stands in the form's fields, as text."""

    script: str
    command: str
    arguments: str
    variables: str
    stdin: str
    has_stdin: bool
    environment: str
    cpus: str
    memory: str
    time_limit: str
    constraints: str
    retry_if_lost: bool

    @classmethod
    def as_it_was(cls, run: Run) -> Typed:
        needed = run.environment.constraints
        return cls(
            script=AS_IT_RAN,
            command=run.command,
            arguments=shlex.join(run.arguments),
            variables="\n".join(_line(name, value) for name, value in run.variables.items()),
            stdin=run.stdin or "",
            has_stdin=run.stdin is not None,
            environment=run.environment.slug,
            cpus=f"{run.cpus.normalize():f}",
            memory=str(run.memory),
            time_limit=str(run.time_limit),
            constraints=constraints.again(run.constraints, needed),
            retry_if_lost=run.retry_if_lost,
        )

    @classmethod
    def of(cls, form: QueryDict) -> Typed:
        def text(name: str) -> str:
            # A browser ends lines with CR LF, whatever stood in the field.
            return form.get(name, "").replace("\r\n", "\n")

        return cls(
            script=text("script"),
            command=text("command"),
            arguments=text("arguments"),
            variables=text("variables"),
            stdin=text("stdin"),
            has_stdin="has_stdin" in form,
            environment=text("environment"),
            cpus=text("cpus"),
            memory=text("memory"),
            time_limit=text("time_limit"),
            constraints=text("constraints").strip(),
            retry_if_lost="retry_if_lost" in form,
        )


def _context(run: Run, typed: Typed) -> dict[str, Any]:
    present = _present_text(run)
    environments = list(Environment.objects.offered())
    machines = list(Machine.objects.filter(backend=Site.load().backend))
    most_cpus, most_memory = capacity.largest(machines) or (None, None)
    return {
        "run": run,
        "task": run.task,
        "typed": typed,
        "errors": {},
        "environments": environments,
        "environment_gone": all(each.pk != run.environment_id for each in environments),
        "cpus_choices": choices.cpus(_number(typed.cpus, run.cpus), most_cpus),
        "memory_choices": choices.memory(_whole(typed.memory, run.memory), most_memory),
        "time_choices": choices.time_limits(_whole(typed.time_limit, run.time_limit)),
        "attributes": capacity.attributes(machines),
        "present_text": present,
        "is_unchanged": present == run.script_text,
    }


def _request(run: Run, typed: Typed) -> services.RunRequest:
    """Raises Refused with the field at fault."""
    environment = Environment.objects.offered().filter(slug=typed.environment).first()
    if environment is None:
        raise services.Refused("Choose an Environment.", field="environment")
    is_script = run.kind == RunKind.SCRIPT
    return services.RunRequest(
        kind=run.kind,
        script_path=run.script_path,
        script_text=run.script_text if is_script and typed.script != AS_IT_IS else None,
        command="" if is_script else typed.command,
        arguments=_words(typed.arguments),
        variables=_variables(typed.variables),
        stdin=typed.stdin if typed.has_stdin else None,
        environment=environment,
        cpus=_number(typed.cpus, None, field="cpus"),
        memory=_whole(typed.memory, None, field="memory"),
        time_limit=_whole(typed.time_limit, None, field="time_limit"),
        constraints=typed.constraints,
        datasets=run.datasets,
        retry_if_lost=typed.retry_if_lost,
    )


def _present_text(run: Run) -> str | None:
    """The script as its file is now; None: it can't be read any more, or it was a command."""
    if run.kind != RunKind.SCRIPT:
        return None
    with contextlib.suppress(OSError, UnsafePath, UnicodeDecodeError):
        with storage.area(run.task.public_id, "code").open_read(run.script_path) as file:
            content = file.read(services.SCRIPT_LIMIT + 1)
        if len(content) <= services.SCRIPT_LIMIT:
            return content.decode()
    return None


def _words(text: str) -> list[str]:
    """As a shell would split them."""
    try:
        return shlex.split(text)
    except ValueError:
        raise services.Refused(
            "The arguments end inside a quotation: add the missing quote.", field="arguments"
        ) from None


def _line(name: str, value: str) -> str:
    """NAME=value, quoted where the plain value would not come back as it is."""
    plain = value == value.strip() and "\n" not in value and not value.startswith('"')
    return f"{name}={value if plain else json.dumps(value, ensure_ascii=False)}"


def _variables(text: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for line in filter(str.strip, text.split("\n")):
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise services.Refused(
                f"“{line.strip()[:60]}” is no variable: write NAME=value, one a line.",
                field="variables",
            )
        found[name.strip()] = _value(value.strip())
    return found


def _value(text: str) -> str:
    if text.startswith('"'):
        with contextlib.suppress(json.JSONDecodeError):
            quoted = json.loads(text)
            if isinstance(quoted, str):
                return quoted
    return text


def _number(text: str, otherwise: Decimal | None, *, field: str = "") -> Decimal:
    with contextlib.suppress(InvalidOperation):
        number = Decimal(text)
        if number.is_finite() and 0 < number < 10_000:
            return number
    if otherwise is None:
        raise services.Refused("Choose one of these.", field=field)
    return otherwise


def _whole(text: str, otherwise: int | None, *, field: str = "") -> int:
    if text.isascii() and text.isdecimal() and len(text) < 19:
        return int(text)
    if otherwise is None:
        raise services.Refused("Choose one of these.", field=field)
    return otherwise
