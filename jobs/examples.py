"""Examples for a first look: a Task with a script and data, from deploy/examples/, run in one click.

deploy/examples/<slug>/example.json   what it is called and what it asks for
                       code/ input/   copied into the new Task
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from files import storage
from jobs import services
from jobs.models import Run, RunKind, Task
from jobs.services import Refused, RunRequest

if TYPE_CHECKING:
    from accounts.models import User


@dataclass(frozen=True)
class Example:
    slug: str
    name: str
    description: str
    script: str
    cpus: float
    memory: int
    """bytes"""
    time_limit: int
    """seconds"""
    arguments: tuple[str, ...]
    folder: Path


def available() -> list[Example]:
    """All examples, by name of their folder. A damaged one is a defect of ours and raises."""
    return [_read(path) for path in sorted(_root().glob("*/example.json"))]


def create(*, user: User, slug: str) -> tuple[Task, RunRequest]:
    """A new Task with the example's files, and the request that runs it."""
    example = next((each for each in available() if each.slug == slug), None)
    if example is None:
        raise Refused("There is no such example.")
    task = services.create_task(
        user=user,
        name=example.name,
        cpus=example.cpus,
        memory=example.memory,
        time_limit=example.time_limit,
    )
    for area in ("code", "input"):
        source = example.folder / area
        for path in sorted(source.rglob("*")) if source.is_dir() else ():
            if path.is_file():
                storage.area(task.public_id, area).write(
                    str(path.relative_to(source)), _chunks(path), limit=path.stat().st_size
                )
    return task, RunRequest(
        kind=RunKind.SCRIPT, script_path=example.script, arguments=example.arguments
    )


def start(*, user: User, slug: str) -> Run:
    """Make the example's Task and run it."""
    task, request = create(user=user, slug=slug)
    return services.submit(user=user, task=task, request=request)


def _root() -> Path:
    root: Path = settings.BASE_DIR / "deploy" / "examples"
    return root


def _read(path: Path) -> Example:
    raw = json.loads(path.read_text())
    return Example(
        slug=raw["slug"],
        name=raw["name"],
        description=raw["description"],
        script=raw["script"],
        cpus=raw["cpus"],
        memory=raw["memory"],
        time_limit=raw["time_limit"],
        arguments=tuple(raw.get("arguments", ())),
        folder=path.parent,
    )


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk
