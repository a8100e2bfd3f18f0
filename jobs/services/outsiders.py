"""Administrators in what is somebody else's: nobody asked them in, so the audit log tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from accounts import audit
from accounts.audit import Action
from files.models import Dataset, DatasetMember, DatasetRole
from jobs.models import Role, RunKind, Task, TaskMember

if TYPE_CHECKING:
    from accounts.models import User
    from jobs.models import Run

TOLD_EVERY = 600
"""seconds between two entries about one person and the files of one Task or Dataset"""


def is_outsider(user: User, row: Task | Dataset) -> bool:
    """They may change it only because they are an administrator. One query, and none for others."""
    if not user.is_staff or row.owner_id == user.pk:
        return False
    if isinstance(row, Task):
        return not TaskMember.objects.filter(task=row, user=user, role=Role.EDITOR).exists()
    editors = DatasetMember.objects.filter(dataset=row, role=DatasetRole.EDITOR)
    return not editors.filter(user=user).exists()


def note_files(user: User, row: Task | Dataset, change: str) -> None:
    """Files were uploaded, moved or removed; of many one is told. `change`: "PUT code/main.R"."""
    if is_outsider(user, row):
        audit.note_once(
            f"files:{user.pk}:{row.public_id}",
            seconds=TOLD_EVERY,
            actor=user,
            action=Action.TASK_FILES if isinstance(row, Task) else Action.DATASET_FILES,
            subject=row.name,
            subject_id=row.public_id,
            detail=f"of {row.owner.get_username()}, from then on for some minutes; first {change}",
        )


def note_run(user: User, run: Run) -> None:
    """One was submitted. Its command, arguments and variables stay with it: they may hold secrets."""
    if is_outsider(user, run.task):
        what = f"script {run.script_path}" if run.kind == RunKind.SCRIPT else "a command"
        audit.note(
            user,
            Action.RUN_SUBMITTED,
            subject=f"{run.task.name} #{run.number}",
            subject_id=run.public_id,
            detail=f"{what}, in a Task of {run.task.owner.get_username()} ({run.task.public_id})",
        )
