"""The home page's examples: a Task with script and data, made and run in one click."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import User
from jobs import services
from jobs.models import Run, RunKind


@dataclass(frozen=True)
class Example:
    slug: str
    title: str
    blurb: str
    icon: str


EXAMPLES: tuple[Example, ...] = ()


def start(*, user: User, slug: str) -> Run:
    """Make the example's Task and run its script. Raises Refused."""
    task = services.create_example(user=user, slug=slug)
    return services.submit(user=user, task=task, request=services.RunRequest(kind=RunKind.SCRIPT, script_path=""))
