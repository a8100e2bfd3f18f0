"""Whether an upload is wanted, asked before a byte of it is stored (files/gate.py): else anybody who is
signed in could fill the portal's disk on the way to a Task that is none of theirs."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from django.http import Http404
from django.urls import Resolver404, resolve

from files import storage
from files.models import Dataset
from files.safe import UnsafePath, components
from files.storage import UnknownArea
from jobs import services
from jobs.api.base import existing
from jobs.api.problems import Problem, as_problem
from jobs.models import Task
from jobs.queue import size
from jobs.services import quota

if TYPE_CHECKING:
    from accounts.models import User


def why_unwanted(user: User, path: str, length: int | None) -> tuple[HTTPStatus, str] | None:
    """The status and sentence with which the view would refuse it; None: it may come."""
    try:
        _must_be_wanted(user, path, length)
    except (Http404, services.Refused, UnsafePath, UnknownArea, Problem) as error:
        problem = as_problem(error)
        if problem is None:
            raise
        return HTTPStatus(problem.status_code), problem.sentence
    return None


def _must_be_wanted(user: User, path: str, length: int | None) -> None:
    try:
        match = resolve(path)
    except Resolver404:
        raise Http404 from None
    owner = _whose(user, match.view_name, match.kwargs)
    most = quota.storage_of(owner).quota
    if most is not None and (length or 0) > most:
        raise Problem(
            HTTPStatus.INSUFFICIENT_STORAGE,
            f"The file is larger than all that {owner.get_username()}, who owns this, may store: "
            f"{size(most)}.",
        )


def _whose(user: User, view: str, ids: dict[str, str]) -> User:
    """Whose storage it would fill. Raises Http404, Forbidden, UnknownArea, UnsafePath. Asks only the
    database: a storage that hangs must hold nobody up here."""
    components(ids.get("path", ""))
    if view == "api-file":
        task = existing(Task.objects.visible_to(user).select_related("owner"), ids["task"])
        services.must_edit(user, task)
        storage.area(task.public_id, ids["area"])
        return task.owner
    if view == "api-dataset-file":
        rows = Dataset.objects.visible_to(user).select_related("owner")
        dataset = existing(rows, ids["dataset"])
        services.must_change_files(user, dataset)
        return dataset.owner
    raise Http404
