"""Which Datasets a Task names, which its Runs get, and who uses one now (docs/decisions/0012)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import Q, TextField
from django.db.models.functions import Cast

from accounts import audit
from accounts.audit import Action
from files import datasets as folders
from files.models import Dataset
from jobs.models import Run, RunQuerySet, Task
from jobs.services.refused import Refused
from jobs.services.rights import must_edit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from accounts.models import User


def choose_datasets(*, user: User, task: Task, datasets: Iterable[Dataset]) -> None:
    """The Datasets that the Task's Runs get from now on. Those that are new must be this person's to
    use; those that are there already may stay."""
    must_edit(user, task)
    chosen = list(datasets)
    kept = {each.pk: each for each in task.datasets.order_by("name")}
    must_be_usable(user, [each for each in chosen if each.pk not in kept])
    wanted = {each.pk for each in chosen}
    added = named(each for each in chosen if each.pk not in kept)
    removed = named(each for key, each in kept.items() if key not in wanted)
    told = [f"{what} {these}" for what, these in (("added", added), ("removed", removed)) if these]
    with transaction.atomic():
        task.datasets.set(chosen)
        if told:
            audit.note(
                user,
                Action.TASK_DATASETS,
                subject=task.name,
                subject_id=task.public_id,
                detail="; ".join(told),
            )


def named(datasets: Iterable[Dataset]) -> str:
    """For the audit log: names are free again when a Dataset is gone, ids never are."""
    return ", ".join(f"{each.name} ({each.public_id})" for each in datasets)


def must_be_usable(user: User, datasets: Collection[Dataset]) -> None:
    """Raises Refused unless this person, who chooses them newly, may use them all. Of one that they
    may not even see nothing is told, not even that it is there; `datasets` may hold rows that were
    never saved, of names that nobody gave."""
    known = Q(pk__in=[each.pk for each in datasets if each.pk])
    seen = Dataset.objects.visible_to(user) | Dataset.objects.in_the_bin_of(user)
    names = set(seen.filter(known).values_list("name", flat=True))
    for each in datasets:
        if each.name not in names:
            raise Refused(
                f"There is no Dataset {each.name} that you may use: see /api/v1/datasets.",
                field="datasets",
            )
    _refuse(user, datasets)


def _refuse(user: User, datasets: Collection[Dataset]) -> None:
    if no := _refusal(user, datasets):
        raise Refused(no, field="datasets")


def granted(
    *, user: User, task: Task, asked: Sequence[Mapping[str, str]] | None = None
) -> list[dict[str, str]]:
    """What a new Run of `user` keeps of its Datasets. `asked`: what an earlier Run kept; None: those
    that the Task names. Raises Refused if one of them is gone or not theirs to use."""
    if asked is None:
        wanted = list(task.datasets.select_related("owner").order_by("name"))
    else:
        rows = Dataset.objects.select_related("owner").in_bulk(
            [each["id"] for each in asked], field_name="public_id"
        )
        for each in asked:
            if each["id"] not in rows:
                raise Refused(
                    f"The Dataset {each['name']} that this Run used is gone. Run the script in the "
                    "Task anew to do without it.",
                    field="datasets",
                )
        wanted = [rows[each["id"]] for each in asked]
    _refuse(user, wanted)
    return [
        {"id": each.public_id, "name": each.name, "path": folders.path_of(each)} for each in wanted
    ]


def why_not_started(run: Run) -> str:
    """Why a Run that is about to start can't have its Datasets, in a sentence; "" if it can: what was
    taken back or deleted since it was submitted is not mounted. Raises StorageAway."""
    if not run.datasets:
        return ""
    rows = Dataset.objects.select_related("owner").in_bulk(
        [each["id"] for each in run.datasets], field_name="public_id"
    )
    for each in run.datasets:
        if each["id"] not in rows:
            return f"The Dataset {each['name']} is gone."
    if no := _refusal(run.submitted_by, list(rows.values())):
        return no
    for each in run.datasets:
        if not folders.is_there(each["path"]):
            owner = rows[each["id"]].owner.get_username()
            return f"The folder of the Dataset {each['name']} is not there: tell {owner}."
    return ""


def runs_on(dataset: Dataset) -> RunQuerySet:
    """The Runs that wait, start or run with it."""
    # JSON can't be searched alike on every database; an id with its quotes is the same text on all.
    text = Cast("datasets", TextField())
    found = Run.objects.unfinished().annotate(datasets_text=text)
    return found.filter(datasets_text__contains=f'"{dataset.public_id}"')


def _refusal(user: User, wanted: Collection[Dataset]) -> str:
    """Why this person can't use all of them; "" if they can."""
    if not wanted:
        return ""
    keys = [each.pk for each in wanted]
    usable = set(Dataset.objects.visible_to(user).filter(pk__in=keys).values_list("pk", flat=True))
    for each in wanted:
        if each.deleted_at:
            mine = each.owner_id == user.pk
            who = "Restore it" if mine else f"Ask {each.owner.get_username()} to restore it"
            return f"The Dataset {each.name} is in the bin. {who}, or take it out of the Task's settings."
        if each.pk not in usable:
            return _not_yours(each)
    return ""


def _not_yours(dataset: Dataset) -> str:
    return (
        f"You may not use the Dataset {dataset.name}. Ask {dataset.owner.get_username()} to share it "
        "with you, or take it out of the Task's settings."
    )
