"""Who asks, and for what: the people, rows and folders behind tests/site/test_matrix.py."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts.models import ApiToken, Scope, User
from files import datasets, storage
from files.models import Dataset, DatasetMember, DatasetRole
from jobs.models import Announcement, Role, Task, TaskCopy, TaskMember
from jobs.states import RunState
from tests.factories import make_environment, make_machine, make_run, make_task, make_user

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
PEOPLE = ("anonymous", "stranger", "viewer", "editor", "owner", "staff")
_CSRF = "x" * 32
PUBLISHED = "0" * 15 + "1"


def routes() -> Iterator[tuple[str, URLPattern]]:
    """Every address of the URL configuration; of Django's admin pages only the first."""

    def walk(resolver: URLResolver, before: str) -> Iterator[tuple[str, URLPattern]]:
        for each in resolver.url_patterns:
            there = before + str(each.pattern)
            if isinstance(each, URLPattern):
                yield there, each
            elif there == "admin/":
                yield (
                    there,
                    next(
                        page
                        for page in each.url_patterns
                        if isinstance(page, URLPattern) and page.name == "index"
                    ),
                )
            else:
                yield from walk(each, there)

    yield from walk(get_resolver(), "")


@dataclass
class Scene:
    """One Task, Dataset and Run of the owner, shared with a viewer and an editor."""

    people: dict[str, User]
    ids: dict[str, str]
    """what stands for <name> in a route"""
    odd_ids: dict[str, dict[str, str]]
    """where a route needs another row, by its beginning"""
    clients: dict[str, Client] = field(default_factory=dict)

    def address(self, route: str) -> str:
        ids = dict(self.ids)
        for start, more in self.odd_ids.items():
            if route.startswith(start) or f"/{start}" in f"/{route}":
                ids |= more
        found = route
        for name, value in ids.items():
            for kind in ("str", "slug", "int", "any", "path", "public_id", "dataset", "uuid"):
                found = found.replace(f"<{kind}:{name}>", value)
        assert "<" not in found, f"tests/site/matrix.py has nothing to put into {route}"
        query = "?path=output/main.R" if route.endswith("/preview/") else ""
        return f"/{found}{query}"

    def restore(self) -> None:
        """The files that a request before may have removed; rows come back by rolling back."""
        folder = storage.area(self.ids["task"], "code")
        folder.write("main.R", [b"cat(1)\n"], limit=100)
        data = datasets.folder_of(Dataset.objects.get(public_id=self.ids["dataset"]))
        data.write("main.R", [b"1\n"], limit=100)

    def ask(self, who: str, method: str, address: str, body: Any = None) -> str:
        """What it comes to: see outcome(). Changes nothing for those who ask later."""
        form = isinstance(body, dict) and not address.startswith("/api/")
        client = self.clients[who]
        cookies = copy.deepcopy(client.cookies)
        content = b"" if body is None or form else json.dumps(body).encode()
        with transaction.atomic():
            if form:
                response = client.generic(
                    method,
                    address,
                    "&".join(f"{key}={value}" for key, value in body.items()),
                    content_type="application/x-www-form-urlencoded",
                )
            else:
                response = client.generic(method, address, content, content_type="application/json")
            if response.streaming:
                b"".join(response.streaming_content)  # type: ignore[attr-defined]
            transaction.set_rollback(True)
        client.cookies = cookies
        return outcome(response)


def outcome(response: Any) -> str:
    """`-` sign in first, `x` forbidden, `0` as if it were not there, `m` no such method, `+` let in
    (whatever it then makes of the request), `!` a defect of ours."""
    status = response.status_code
    if status == 401 or (
        status == 302 and response["Location"].startswith(("/login/?", "/admin/login/"))
    ):
        return "-"
    if status >= 500:
        return f"!{status}"
    return {403: "x", 404: "0", 405: "m"}.get(status, "+")


def make_scene(public_ids: Mapping[str, str] | None = None) -> Scene:
    """`public_ids`: of the Task, Run, Dataset and token, where they must be known before."""
    public = {name: {"public_id": value} for name, value in (public_ids or {}).items()}
    people = {name: make_user(name, staff=name == "staff") for name in PEOPLE[1:]}
    owner = people["owner"]
    environment = make_environment()
    task = _task(owner, people, name="Rivers", published_id=PUBLISHED, **public.get("task", {}))
    binned = _task(owner, people, name="Binned", deleted_at=timezone.now(), deleted_by=owner)
    copying = _task(owner, people, name="Copying")
    TaskCopy.objects.create(task=copying, source=task)
    for area in ("code", "output"):
        storage.area(task.public_id, area).write("main.R", [b"cat(1)\n"], limit=100)
    dataset = _dataset(owner, people, name="rain", **public.get("dataset", {}))
    gone = _dataset(owner, people, name="old-rain")
    Dataset.objects.filter(pk=gone.pk).update(deleted_at=timezone.now())
    token, _ = ApiToken.issue(user=owner, name="row", scopes=["read"])
    ApiToken.objects.filter(pk=token.pk).update(**public.get("token", {}))
    token.refresh_from_db()
    ids = {
        "task": task.public_id,
        "run": make_run(task, state=RunState.SUCCEEDED, **public.get("run", {})).public_id,
        "token": token.public_id,
        "environment": environment.slug,
        "machine": str(make_machine().pk),
        "dataset": dataset.public_id,
        "username": "viewer",
        "area": "code",
        "path": "main.R",
        "rest": "nothing-here",
        "published_id": PUBLISHED,
        "slug": environment.slug,
        "announcement": str(
            Announcement.objects.create(
                text="Maintenance on Friday.", created_by=people["staff"]
            ).pk
        ),
        "uidb64": urlsafe_base64_encode(force_bytes(owner.pk)),
        "person": str(people["viewer"].pk),
    }
    odd = {
        "tasks/examples/": {"slug": "pi"},
        "account/choose/": {"token": default_token_generator.make_token(owner)},
        "manage/people/<str:username>/tokens/": {"username": "owner"},
        "runs/<public_id:run>/cancel/": {"run": make_run(task, number=2).public_id},
        "tasks/<public_id:task>/copying/": {"task": copying.public_id},
        "tasks/<public_id:task>/copy/": {"task": copying.public_id},
    }
    for kind in ("public_id", "str"):
        for last in ("restore", "purge"):
            odd[f"tasks/<{kind}:task>/{last}"] = {"task": binned.public_id}
            odd[f"datasets/<{kind}:dataset>/{last}"] = {"dataset": gone.public_id}
    return Scene(people, ids, odd)


def add_clients(scene: Scene) -> None:
    """Everybody's browser, with and without the page's CSRF token, and their scripts."""
    for name in PEOPLE:
        scene.clients[name] = _client(scene.people.get(name))
        scene.clients[f"{name} without CSRF"] = _client(scene.people.get(name), csrf=False)
    for name in ("owner", "staff"):
        for scope in Scope:
            scene.clients[f"{name}'s {scope.value}"] = _script(scene.people[name], [scope.value])


def _task(owner: User, people: dict[str, User], **fields: Any) -> Task:
    task = make_task(owner, **fields)
    storage.create_task_folders(task.public_id)
    for name, role in (("viewer", Role.VIEWER), ("editor", Role.EDITOR)):
        TaskMember.objects.create(task=task, user=people[name], role=role, added_by=owner)
    return task


def _dataset(owner: User, people: dict[str, User], *, name: str, **fields: str) -> Dataset:
    made = Dataset.objects.create(owner=owner, name=name, **fields)
    datasets.make_folder(name)
    datasets.folder_of(made).write("main.R", [b"1\n"], limit=100)
    for who, role in (("viewer", DatasetRole.READER), ("editor", DatasetRole.EDITOR)):
        DatasetMember.objects.create(dataset=made, user=people[who], role=role)
    return made


def _client(user: User | None, *, csrf: bool = True) -> Client:
    """A browser, with the page's CSRF token or without one."""
    client = Client(enforce_csrf_checks=True, headers={"X-CSRFToken": _CSRF} if csrf else {})
    if csrf:
        client.cookies[settings.CSRF_COOKIE_NAME] = _CSRF
    if user is not None:
        client.force_login(user)
    return client


def _script(user: User, scopes: list[str]) -> Client:
    _, text = ApiToken.issue(user=user, name="-".join(scopes), scopes=scopes)
    return Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {text}"})
