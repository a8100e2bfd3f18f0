"""The part of a Task's settings that publishes its output."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST

from jobs import services
from jobs.models import Task
from jobs.views.guard import SignedInRequest, signed_in


def task_publishing(task: Task, request: HttpRequest) -> dict[str, Any]:
    """What task/settings_publish.html needs, besides `task` and `may_manage`."""
    return {"published_url": published_url(task, request)}


def published_url(task: Task, request: HttpRequest) -> str:
    """The whole address to send to somebody; "" if the Task is not published."""
    if not task.published_id:
        return ""
    return request.build_absolute_uri(reverse("published", args=[task.published_id]))


@signed_in
@require_POST
def task_publish(request: SignedInRequest, task: str) -> HttpResponse:
    """Publish (published=1) or end it (published=0), then back to the settings."""
    tasks = Task.objects.visible_to(request.user).select_related("owner")
    found = get_object_or_404(tasks, public_id=task)
    act = services.publish if request.POST.get("published") == "1" else services.unpublish
    act(user=request.user, task=found)
    return HttpResponseRedirect(reverse("task_settings", args=[task]) + "#publishing")
