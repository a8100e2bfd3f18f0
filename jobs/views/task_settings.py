"""The settings of a Task: name, people, Datasets, publishing, storage, and its life up to the bin."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from jobs import services
from jobs.models import Role, Task
from jobs.services import copying, quota
from jobs.services.bin import going_on
from jobs.views.datasets import task_datasets
from jobs.views.guard import SignedInRequest, signed_in
from jobs.views.publishing import task_publishing


def visible_task(request: SignedInRequest, public_id: str) -> Task:
    tasks = Task.objects.visible_to(request.user).select_related("owner", "environment", "copy")
    return get_object_or_404(tasks, public_id=public_id)


def settings_context(request: SignedInRequest, task: Task) -> dict[str, Any]:
    """All that the page shows of a Task that this person may see."""
    role = services.role_of(request.user, task)
    may_manage = role is None
    mine = task.owner_id == request.user.pk
    members = list(task.members.select_related("user"))
    return {
        "task": task,
        "may_edit": role in (None, Role.EDITOR),
        "may_manage": may_manage,
        "role": role,
        "roles": Role.choices,
        # Administrators, too, who may do everything in it anyway.
        "is_member": any(each.user_id == request.user.pk for each in members),
        "members": members,
        "storage": quota.storage_of(task.owner) if mine else None,
        "copy": task_copy(task),
        "copy_words": copy_words(task),
        "going": going_on(task).count() if may_manage else 0,
        "bin_days": settings.RCLUSTER_BIN_DAYS,
        **task_datasets(request.user, task),
        **task_publishing(task, request),
    }


def task_copy(task: Task) -> Any:
    """The TaskCopy while files are on their way, else None; with select_related it costs nothing."""
    return getattr(task, "copy", None)


def copy_words(task: Task) -> str:
    copy = task_copy(task)
    return copying.words(copy) if copy else ""


@signed_in
@require_http_methods(["GET", "POST"])
def task_settings(request: SignedInRequest, task: str) -> HttpResponse:
    """The page; its first form keeps name and description."""
    found = visible_task(request, task)
    if request.method == "POST":
        given = {
            "name": request.POST.get("name", ""),
            "description": request.POST.get("description", ""),
        }
        try:
            services.update_task(user=request.user, task=found, **given)
        except services.Forbidden:
            raise
        except services.Refused as refused:
            found.refresh_from_db()
            return _page(request, found, "about", refused, given)
        messages.success(request, "Saved.")
        return redirect("task_settings", found.public_id)
    return render(request, "task/settings.html", settings_context(request, found))


@signed_in
@require_GET
def task_copying(request: SignedInRequest, task: str) -> HttpResponse:
    """How far the copy of a duplicate's files is."""
    found = visible_task(request, task)
    context = {
        "task": found,
        "copy": task_copy(found),
        "copy_words": copy_words(found),
        "may_edit": services.may_edit(request.user, found),
    }
    response = render(request, "task/copying.html", context)
    if task_copy(found) is None:
        # The page has more to show now: files, and a Run button that works.
        response["HX-Refresh"] = "true"
    return response


def _page(
    request: SignedInRequest,
    task: Task,
    form: str,
    refused: services.Refused,
    given: dict[str, str] | None = None,
) -> HttpResponse:
    """The page again, with what was typed and why it was refused beside its form."""
    said = {"form": form, "refused": refused, "given": given or {}}
    context = {**settings_context(request, task), **said}
    return render(request, "task/settings.html", context, status=422)


type_of_action = Callable[[SignedInRequest, Task], HttpResponse]


def _action(form: str) -> Callable[[type_of_action], Callable[..., Any]]:
    """A POST on the settings page: what is refused is said beside the form of this name."""

    def decorate(act: type_of_action) -> Callable[..., Any]:
        @signed_in
        @require_POST
        @wraps(act)
        def view(request: SignedInRequest, task: str) -> HttpResponse:
            found = visible_task(request, task)
            try:
                return act(request, found)
            except services.Forbidden:
                raise
            except services.Refused as refused:
                given = {name: str(value) for name, value in request.POST.items()}
                return _page(request, visible_task(request, task), form, refused, given)

        return view

    return decorate


def _back(task: Task, section: str) -> HttpResponse:
    return redirect(f"{reverse('task_settings', args=[task.public_id])}#{section}")


@_action("people")
def task_share(request: SignedInRequest, task: Task) -> HttpResponse:
    """Add a member, or change a role."""
    services.must_manage(request.user, task)
    person = services.person_named(request.POST.get("username", ""))
    role = request.POST.get("role", "")
    services.share_task(user=request.user, task=task, person=person, role=role)
    messages.success(request, f"{person.get_username()} is {_article(role)} of this Task.")
    return _back(task, "people")


@_action("people")
def task_unshare(request: SignedInRequest, task: Task) -> HttpResponse:
    """Take the Task back from a member."""
    name = request.POST.get("username", "")
    may = partial(services.must_manage, request.user, task)
    may()
    person = services.leaving(request.user, name, task.members, may)
    if person is not None:
        services.unshare_task(user=request.user, task=task, person=person)
        messages.success(request, f"{person.get_username()} is no longer a member.")
    return _back(task, "people")


@_action("leave")
def task_leave(request: SignedInRequest, task: Task) -> HttpResponse:
    services.unshare_task(user=request.user, task=task, person=request.user)
    messages.success(request, f"You left “{task.name}”.")
    return redirect("home")


@_action("transfer")
def task_transfer(request: SignedInRequest, task: Task) -> HttpResponse:
    services.must_manage(request.user, task)
    person = services.person_named(request.POST.get("username", ""))
    services.transfer_task(user=request.user, task=task, person=person)
    messages.success(request, f"{person.get_username()} owns this Task now.")
    return redirect("task_settings", task.public_id)


@_action("archive")
def task_archive(request: SignedInRequest, task: Task) -> HttpResponse:
    """Into the archive; with `undo` in the form, out of it."""
    if request.POST.get("undo"):
        services.unarchive_task(user=request.user, task=task)
        messages.success(request, f"“{task.name}” is out of the archive.")
        return redirect(task)
    services.archive_task(user=request.user, task=task)
    messages.success(request, f"“{task.name}” is in the archive.")
    return redirect("home")


@_action("duplicate")
def task_duplicate(request: SignedInRequest, task: Task) -> HttpResponse:
    left_out: list[str] = []
    name = request.POST.get("name", "").strip()
    new = services.duplicate_task(user=request.user, task=task, name=name, left_out=left_out)
    if told := copying.left_out_words(left_out):
        messages.warning(request, told)
    return redirect(new)


@_action("copying")
def task_copy_act(request: SignedInRequest, task: Task) -> HttpResponse:
    """After a copy stopped: again, or make do with what is there."""
    act = services.try_copy_again if request.POST.get("again") else services.give_up_copy
    act(user=request.user, task=task)
    return redirect(task)


@_action("delete")
def task_delete(request: SignedInRequest, task: Task) -> HttpResponse:
    """Into the bin; with `cancel` in the form, its Runs are cancelled first."""
    cancel = bool(request.POST.get("cancel"))
    services.delete_task(user=request.user, task=task, cancel_runs=cancel)
    messages.success(request, f"“{task.name}” is in the bin. It can be restored there.")
    return redirect("home")


def _article(role: str) -> str:
    return "an editor" if role == Role.EDITOR else "a viewer"


# In the bin, where the Task has no page any more.


@signed_in
@require_POST
def task_restore(request: SignedInRequest, task: str) -> HttpResponse:
    found = get_object_or_404(Task.objects.in_bin_of(request.user), public_id=task)
    try:
        services.restore_task(user=request.user, task=found)
    except services.Forbidden:
        raise
    except services.Refused as refused:
        messages.error(request, str(refused))
        return redirect(f"{reverse('home')}?show=bin")
    messages.success(request, f"“{found.name}” is back.")
    return redirect(found)


@signed_in
@require_http_methods(["GET", "POST"])
def task_purge(request: SignedInRequest, task: str) -> HttpResponse:
    """What deleting for good would do, and, with its name typed, the doing."""
    tasks = Task.objects.in_bin_of(request.user).select_related("owner")
    found = get_object_or_404(tasks, public_id=task)
    if request.method == "GET":
        return render(request, "task/purge.html", {"task": found})
    if " ".join(request.POST.get("name", "").split()) != found.name:
        return render(request, "task/purge.html", {"task": found, "mistyped": True}, status=422)
    services.purge_task(user=request.user, task=found)
    messages.success(request, f"“{found.name}” is deleted. Its files go within the next minutes.")
    return redirect(f"{reverse('home')}?show=bin")


@signed_in
@require_GET
def people(request: SignedInRequest) -> HttpResponse:
    """Suggestions for a field that names a person, as options of its list."""
    found = services.find_people(request.user, request.GET.get("username", ""))
    return render(request, "task/people_options.html", {"people": found})
