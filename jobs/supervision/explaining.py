"""Waiting Runs are told why they wait, and whatever would be untrue by now is replaced.

Those near the start learn exactly how many are ahead and what is missing. Those far back are many:
they learn only a bound, which stays true for long, and a limited number of them in one pass.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q

from jobs import notify, queue
from jobs.backends.base import Backend
from jobs.models import Environment, Run, RunQuerySet
from jobs.states import Reason
from jobs.supervision.line import Waiting, ready

TOLD_AT_ONCE = 500
"""Runs far back in line that are told so in one pass"""


@dataclass(frozen=True)
class Hold:
    """Why nothing can start just now, whatever room there is."""

    reason: Reason
    sentence: str


def explain_waits(
    plan: queue.Plan, waiting: Waiting, now: datetime, *, hold: Hold | None = None
) -> None:
    """Bring every sentence up to date that would be untrue; `hold` is for those near the start.

    Those far back are many: they are told only a bound, so that few sentences change in a pass.
    """
    explain_near(plan.waits, waiting.runs, hold)
    untrue: list[tuple[int, int]] = []
    untold: list[tuple[int, int]] = []
    last = queue.LEVELS[-1]
    known = plan.placements.keys() | plan.waits.keys()
    for key, ahead in waiting.told.items():
        if ahead is not None and queue.NEAR <= ahead <= plan.behind.get(key, last):
            continue
        if key not in known:
            (untold if ahead is None else untrue).append((key, plan.behind.get(key, last)))
    told = [*untrue, *untold][:TOLD_AT_ONCE]
    if not waiting.complete and len(told) < TOLD_AT_ONCE:
        told += [(key, last) for key in _unread(waiting, now, known | dict(told).keys())]
    by_level: dict[int, list[int]] = defaultdict(list)
    for key, level in told[:TOLD_AT_ONCE]:
        by_level[level].append(key)
    for level, keys in by_level.items():
        _tell(keys, reason=Reason.NO_ROOM, explanation=queue.behind(level), ahead=level)


def _unread(waiting: Waiting, now: datetime, known: Collection[int]) -> list[int]:
    """Runs beyond their person's first DEPTH that have not been told that they are far back."""
    untold = ready(waiting, now).filter(Q(ahead=None) | Q(ahead__lt=queue.NEAR))
    found = untold.values_list("pk", flat=True)[: TOLD_AT_ONCE + len(known)]
    return [key for key in found if key not in known and key not in waiting.told]


def explain_near(
    waits: Mapping[int, queue.Wait], runs: Mapping[int, Run] | None, hold: Hold | None = None
) -> None:
    """Those that are told exactly what they wait for; `runs`: the rows, where they are at hand."""
    if not waits:
        return
    changed = []
    for run in _for_news(waits.keys()) if runs is None else runs.values():
        if run.pk not in waits:
            continue
        wait = waits[run.pk]
        if hold:
            wait = replace(wait, reason=hold.reason, explanation=hold.sentence)
        if (run.reason, run.explanation, run.ahead) != (wait.reason, wait.explanation, wait.ahead):
            run.reason, run.explanation, run.ahead = wait.reason, wait.explanation, wait.ahead
            changed.append(run)
    if changed:
        with transaction.atomic():
            # Only while it waits: somebody may have cancelled it since it was read.
            Run.objects.waiting().bulk_update(changed, ("reason", "explanation", "ahead"))
            _publish(_for_news([run.pk for run in changed]))


def _tell(keys: Sequence[int], **changes: Any) -> None:
    """The same for many, in one statement."""
    with transaction.atomic():
        Run.objects.waiting().filter(pk__in=keys).update(**changes)
        _publish(_for_news(keys))


def _for_news(keys: Collection[int]) -> RunQuerySet:
    """Waiting Runs with what a notice of them needs, without their scripts."""
    return (
        Run.objects.waiting()
        .filter(pk__in=keys)
        .select_related("task")
        .only(
            "public_id",
            "number",
            "state",
            "reason",
            "explanation",
            "ahead",
            "task__public_id",
            "task__owner_id",
        )
    )


def _publish(runs: Iterable[Run]) -> None:
    found = list(runs)

    def publish() -> None:
        for run in found:
            notify.run_changed(run)

    transaction.on_commit(publish)


def explain_unsuited(environments: Sequence[Environment], backend: Backend) -> None:
    """Runs that were queued for another kind of backend, before an administrator changed it."""
    sentences = {each.pk: _unsuited(each, backend) for each in environments}
    told = Q()
    for environment, sentence in sentences.items():
        told |= Q(environment=environment, explanation=sentence)
    untold = Run.objects.waiting().filter(environment__in=environments).exclude(told)
    by_environment: dict[int, list[int]] = defaultdict(list)
    for key, environment in untold.values_list("pk", "environment")[:TOLD_AT_ONCE]:
        by_environment[environment].append(key)
    for environment, keys in by_environment.items():
        sentence = sentences[environment]
        _tell(keys, reason=Reason.BACKEND_UNAVAILABLE, explanation=sentence, ahead=None)


def _unsuited(environment: Environment, backend: Backend) -> str:
    needs = "an image" if environment.uses_image else "the R of a machine"
    return (
        f"The environment “{environment.name}” needs {needs}, which the backend “{backend.name}” "
        "does not offer. Cancel it and run it in another environment."
    )
