"""Rows: Tasks, Environments, Runs and their timeline, people's limits, the site.

Runs change state only through transitions.advance(). Rows are reached through `visible_to(user)`.
"""

from jobs.models.environments import (
    Environment,
    EnvironmentQuerySet,
    EnvironmentState,
    PullPolicy,
)
from jobs.models.people import UserLimits, UserUsage
from jobs.models.runs import Lane, Run, RunEvent, RunKind, RunQuerySet
from jobs.models.site import Announcement, BackendNote, Lease, Machine, Site
from jobs.models.tasks import GIB, Role, Task, TaskCopy, TaskMember, TaskQuerySet, shared_with

MIB = 1024**2

__all__ = [
    "GIB",
    "MIB",
    "Announcement",
    "BackendNote",
    "Environment",
    "EnvironmentQuerySet",
    "EnvironmentState",
    "Lane",
    "Lease",
    "Machine",
    "PullPolicy",
    "Role",
    "Run",
    "RunEvent",
    "RunKind",
    "RunQuerySet",
    "Site",
    "Task",
    "TaskCopy",
    "TaskMember",
    "TaskQuerySet",
    "UserLimits",
    "UserUsage",
    "shared_with",
]
