"""Datasets: the list, one of them, its members, the bin; and which of them a Task's Runs get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from files import datasets as folders
from files.models import Dataset, DatasetRole
from files.safe import MAX_ENTRIES
from jobs import services
from jobs.models import Task
from jobs.services.datasets import goes_at, why_files_stay
from jobs.services.using import use_of
from jobs.views.guard import SignedInRequest, signed_in

if TYPE_CHECKING:
    from accounts.models import User

LISTED = 500


@dataclass(frozen=True)
class Choice:
    """A Dataset that a Task names, or could."""

    dataset: Dataset
    chosen: bool
    usable: bool
    """by the person who looks, in new Runs"""


def task_datasets(user: User, task: Task) -> dict[str, Any]:
    """What task/settings_datasets.html shows, besides `task` and `may_edit`: those that the Task names
    first, then those that this person could add."""
    usable = list(Dataset.objects.visible_to(user).select_related("owner")[:LISTED])
    named = list(task.datasets.select_related("owner").order_by("name"))
    keys, names = {each.pk for each in usable}, {each.pk for each in named}
    choices = [Choice(each, True, each.pk in keys) for each in named]
    choices += [Choice(each, False, True) for each in usable if each.pk not in names]
    return {"dataset_choices": choices, "datasets_named": len(named)}


def console_datasets(user: User, task: Task) -> list[dict[str, str]]:
    """What the console lists of the Task's Datasets."""
    named = list(task.datasets.select_related("owner").order_by("name"))
    keys = [each.pk for each in named]
    usable = set(Dataset.objects.visible_to(user).filter(pk__in=keys).values_list("pk", flat=True))
    return [
        {
            "name": each.name,
            "api": reverse("api-dataset", args=[each.public_id]),
            "page": reverse("dataset", args=[each.public_id]),
            "closed": _why_closed(user, each, each.pk in usable),
        }
        for each in named
    ]


def _why_closed(user: User, dataset: Dataset, usable: bool) -> str:
    owner = dataset.owner.get_username()
    if dataset.deleted_at and dataset.owner_id == user.pk:
        return "It is in the bin: restore it on the page of your Datasets."
    if dataset.deleted_at:
        return f"It is in the bin: ask {owner} to restore it."
    return "" if usable else f"It is not shared with you: ask {owner}."


@signed_in
@require_POST
def task_choose_datasets(request: SignedInRequest, task: str) -> HttpResponse:
    """Which Datasets the Task's Runs get from now on."""
    found = Task.objects.visible_to(request.user).filter(public_id=task).first()
    if found is None:
        raise Http404
    chosen = Dataset.objects.filter(public_id__in=request.POST.getlist("dataset"))
    try:
        services.update_task(
            user=request.user, task=found, datasets=list(chosen.select_related("owner"))
        )
    except services.Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, "Saved. The next Run finds them at /data.")
    return redirect(reverse("task_settings", args=[found.public_id]) + "#datasets")


@signed_in
@require_http_methods(["GET", "POST"])
def datasets(request: SignedInRequest) -> HttpResponse:
    """Those that I may use, and what I may restore; with POST a new one."""
    context: dict[str, Any] = {"asked": request.POST}
    if request.method == "POST":
        in_place = {"path": request.POST["path"]} if request.POST.get("path", "").strip() else {}
        make: Callable[..., Dataset] = services.create_dataset
        if in_place:
            make = services.register_dataset
        try:
            made = make(
                user=request.user,
                name=request.POST.get("name", "").strip(),
                description=request.POST.get("description", ""),
                for_everybody="for_everybody" in request.POST,
                **in_place,
            )
        except services.Refused as refused:
            context["refused"] = refused
        else:
            return redirect("dataset", made.public_id)
    tasks = Count("tasks", filter=Q(tasks__deleted_at__isnull=True))
    shown = Dataset.objects.visible_to(request.user).select_related("owner")
    rows = list(shown.annotate(task_count=tasks)[: LISTED + 1])
    binned = Dataset.objects.in_the_bin_of(request.user).select_related("owner")
    context |= {
        "datasets": rows[:LISTED],
        "more": len(rows) > LISTED,
        "binned": [(each, goes_at(each)) for each in binned[:LISTED]],
    }
    status = 422 if "refused" in context else 200
    return render(request, "dataset/list.html", context, status=status)


@signed_in
@require_GET
def dataset(request: SignedInRequest, dataset: str) -> HttpResponse:
    found = _dataset(request, dataset, also_binned=True)
    role = services.dataset_role(request.user, found)
    manages = role is None
    context = {
        **_now(request, found),
        "may_manage": manages,
        "may_describe": role in (None, DatasetRole.EDITOR),
        "is_member": not manages and found.members.filter(user=request.user).exists(),
        "members": list(found.members.select_related("user")) if manages else [],
        "roles": DatasetRole.choices,
        "goes_at": goes_at(found),
        "files": {
            "name": found.name,
            "api": reverse("api-dataset", args=[found.public_id]),
            "fixed": why_files_stay(request.user, found),
            "most": MAX_ENTRIES,
        },
        "folder": folders.path_of(found),
    }
    return render(request, "dataset/page.html", context)


@signed_in
@require_GET
def dataset_now(request: SignedInRequest, dataset: str) -> HttpResponse:
    """How large it is and who uses it, as it refreshes itself."""
    found = _dataset(request, dataset, also_binned=True)
    return render(request, "dataset/now.html", _now(request, found))


@signed_in
@require_POST
def dataset_change(request: SignedInRequest, dataset: str) -> HttpResponse:
    """Its description, and for everybody or not: what the form names is changed."""
    found = _dataset(request, dataset)
    changes: dict[str, Any] = {}
    if "description" in request.POST:
        changes["description"] = request.POST["description"].replace("\r\n", "\n")
    if "for_everybody" in request.POST:
        changes["for_everybody"] = request.POST["for_everybody"] == "1"

    def change() -> None:
        services.update_dataset(user=request.user, dataset=found, **changes)

    return _done(request, found, change, "Saved.")


@signed_in
@require_POST
def dataset_share(request: SignedInRequest, dataset: str) -> HttpResponse:
    """Add a member, change one's role, or (role "none") take it back from one."""
    found = _dataset(request, dataset)
    role = request.POST.get("role", "")
    name = request.POST.get("username", "").strip()
    leaves = role == "none" and name == request.user.get_username()

    def share() -> None:
        if role == "none":
            may = partial(services.must_manage_dataset, request.user, found)
            person = services.leaving(request.user, name, found.members, may)
            if person is not None:
                services.unshare_dataset(user=request.user, dataset=found, person=person)
            return
        person = services.person_named(name)
        if role == "owner":
            services.transfer_dataset(user=request.user, dataset=found, person=person)
        else:
            services.share_dataset(user=request.user, dataset=found, person=person, role=role)

    said = {
        "none": f"{name} may no longer use it." if not leaves else f"You left {found.name}.",
        "owner": f"{name} owns {found.name} now.",
    }
    answer = _done(request, found, share, said.get(role, f"Shared with {name}."), at="#members")
    still = Dataset.objects.visible_to(request.user).filter(pk=found.pk).exists()
    return answer if still else redirect("datasets")


@signed_in
@require_POST
def dataset_delete(request: SignedInRequest, dataset: str) -> HttpResponse:
    """Into the bin."""
    found = _dataset(request, dataset)

    def delete() -> None:
        services.delete_dataset(user=request.user, dataset=found)

    return _done(request, found, delete, f"{found.name} is in the bin.")


@signed_in
@require_POST
def dataset_restore(request: SignedInRequest, dataset: str) -> HttpResponse:
    """Out of the bin."""
    found = _dataset(request, dataset, also_binned=True)

    def restore() -> None:
        services.restore_dataset(user=request.user, dataset=found)

    return _done(request, found, restore, f"{found.name} is back.")


@signed_in
@require_http_methods(["GET", "POST"])
def dataset_purge(request: SignedInRequest, dataset: str) -> HttpResponse:
    """What deleting for good would do, and, with its name typed, the doing."""
    binned = Dataset.objects.in_the_bin_of(request.user).select_related("owner")
    found = get_object_or_404(binned, public_id=dataset)
    context: dict[str, Any] = {"dataset": found}
    if request.method == "GET":
        return render(request, "dataset/purge.html", context)
    if request.POST.get("name", "").strip() != found.name:
        context["error"] = "That is not its name. Nothing was deleted."
        return render(request, "dataset/purge.html", context, status=422)
    try:
        services.purge_dataset(user=request.user, dataset=found)
    except services.Refused as refused:
        context["error"] = str(refused)
        return render(request, "dataset/purge.html", context, status=422)
    files = "" if found.path else " Its files go within the next minutes."
    messages.success(request, f"{found.name} is deleted.{files}")
    return redirect("datasets")


def _dataset(request: SignedInRequest, public_id: str, *, also_binned: bool = False) -> Dataset:
    """The Dataset, if this person may see it; 404 otherwise."""
    every = Dataset.objects.select_related("owner").filter(public_id=public_id)
    found = every.visible_to(request.user).first()
    if found is None and also_binned:
        found = every.in_the_bin_of(request.user).first()
    if found is None:
        raise Http404
    return found


def _now(request: SignedInRequest, found: Dataset) -> dict[str, Any]:
    return {"dataset": found, "use": use_of(user=request.user, dataset=found)}


def _done(
    request: SignedInRequest, found: Dataset, act: Callable[[], None], said: str, *, at: str = ""
) -> HttpResponse:
    """Do it, say how it went, and show the Dataset again."""
    try:
        act()
    except services.Forbidden as forbidden:
        raise PermissionDenied(str(forbidden)) from None
    except services.Refused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, said)
    return redirect(reverse("dataset", args=[found.public_id]) + at)
