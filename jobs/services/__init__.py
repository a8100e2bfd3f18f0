"""What people can do: pages, API, command line and admin all call these, and nothing else changes rows.

Each either does what was asked, or raises Refused and changes nothing. Notifications leave on commit.
"""

from jobs.services.checks import COMMAND_LIMIT, SMALLEST_CPUS, SMALLEST_MEMORY
from jobs.services.refused import Refused
from jobs.services.rights import Forbidden, may_edit, may_manage, must_edit, must_manage, role_of
from jobs.services.runs import (
    SCRIPT_LIMIT,
    STDIN_LIMIT,
    RunRequest,
    cancel,
    cancel_waiting,
    run_again,
    script_name,
    submit,
)
from jobs.services.tasks import create_task, update_task

__all__ = [
    "COMMAND_LIMIT",
    "SCRIPT_LIMIT",
    "SMALLEST_CPUS",
    "SMALLEST_MEMORY",
    "STDIN_LIMIT",
    "Forbidden",
    "Refused",
    "RunRequest",
    "cancel",
    "cancel_waiting",
    "create_task",
    "may_edit",
    "may_manage",
    "must_edit",
    "must_manage",
    "role_of",
    "run_again",
    "script_name",
    "submit",
    "update_task",
]
