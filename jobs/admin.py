"""The administrator's pages for Environments, Tasks and Runs."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from accounts.admin import ReadOnly
from jobs.models import Environment, Machine, Run, RunEvent, Site, Task, UserLimits


@admin.register(Environment)
class EnvironmentAdmin(ReadOnly[Environment]):
    """To look at: what changes one may have to check it, on the administrators' own pages."""

    list_display = (
        "name",
        "image",
        "uses_image",
        "pull_policy",
        "is_default",
        "ready_at",
        "retired_at",
    )
    list_filter = ("uses_image", "pull_policy")


@admin.register(Task)
class TaskAdmin(ReadOnly[Task]):
    list_display = ("name", "owner", "environment", "cpus", "memory", "used_at")
    list_select_related = ("owner", "environment")
    search_fields = ("name", "public_id", "owner__username")


class TimelineInline(admin.TabularInline[RunEvent, Run]):
    model = RunEvent
    extra = 0
    can_delete = False
    readonly_fields = ("at", "attempt", "state", "reason", "explanation")

    def has_add_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Run)
class RunAdmin(ReadOnly[Run]):
    list_display = (
        "public_id",
        "task",
        "number",
        "submitted_by",
        "state",
        "reason",
        "machine",
        "created_at",
    )
    list_filter = ("state", "reason", "backend")
    list_select_related = ("task", "submitted_by")
    search_fields = ("public_id", "task__name", "submitted_by__username")
    inlines = (TimelineInline,)
    show_full_result_count = False


@admin.register(Machine)
class MachineAdmin(ReadOnly[Machine]):
    list_display = (
        "name",
        "backend",
        "cpus",
        "memory",
        "present",
        "heard_at",
        "drained_at",
        "lost_at",
    )


@admin.register(Site)
class SiteAdmin(ReadOnly[Site]):
    list_display = ("installation", "backend", "backend_memory", "backend_network")


@admin.register(UserLimits)
class UserLimitsAdmin(ReadOnly[UserLimits]):
    """To look at: they are set on the administrators' own pages, which say in the log what changed."""

    list_display = ("__str__", "max_running", "max_queued", "max_cpus", "share")
    list_select_related = ("user",)
