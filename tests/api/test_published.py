"""Published output: for everybody who knows the address, with nothing of the portal in reach."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEntry, User
from files import storage
from files.removal import TEMPORARY
from jobs import services
from jobs.models import Role, Site, Task, TaskMember
from tests.api.conftest import client_of
from tests.factories import make_user

Put = Callable[[str, bytes], None]


@pytest.fixture
def home(task: Task, owner: User) -> str:
    address = services.publish(user=owner, task=task).get_published_url()
    assert address is not None
    return address


def change(api: Client, task: Task, **asked: Any) -> Any:
    address = f"/api/v1/tasks/{task.public_id}"
    return api.patch(address, json.dumps(asked), content_type="application/json")


def test_publishing_over_the_api(api: Client, task: Task) -> None:
    assert api.get(f"/api/v1/tasks/{task.public_id}").json()["published_url"] is None
    first = change(api, task, published=True).json()["published_url"]
    assert re.fullmatch(r"/o/[0-9a-z]{16}/", first)
    assert task.public_id not in first
    assert change(api, task, published=True).json()["published_url"] == first
    assert Client().get(first).status_code == 200
    assert change(api, task, published=False).json()["published_url"] is None
    assert Client().get(first).status_code == 404
    second = change(api, task, published=True).json()["published_url"]
    assert second != first
    assert Client().get(first).status_code == 404
    told = [each.action for each in AuditEntry.objects.filter(subject_id=task.public_id)]
    assert sorted(told) == ["task.published", "task.published", "task.unpublished"]


def test_only_who_manages_the_task_publishes_it(task: Task) -> None:
    editor = make_user("editor")
    TaskMember.objects.create(task=task, user=editor, role=Role.EDITOR, added_by=task.owner)
    refused = change(client_of(editor), task, published=True, name="Renamed")
    assert refused.status_code == 403
    task.refresh_from_db()
    assert (task.published_id, task.name != "Renamed") == (None, True)
    client = Client()
    client.force_login(editor)
    assert client.post(f"/tasks/{task.public_id}/publish/", {"published": "1"}).status_code == 403
    assert (
        client_of(make_user("stranger")).get(f"/api/v1/tasks/{task.public_id}").status_code == 404
    )


def test_the_site_chooses_what_new_tasks_do(api: Client, task: Task) -> None:
    def new(**more: Any) -> Any:
        asked = json.dumps({"name": "New", **more})
        return api.post("/api/v1/tasks", asked, content_type="application/json").json()

    assert new()["published_url"] is None
    assert new(published=True)["published_url"]
    Site.objects.update(publishes_by_default=True)
    assert new()["published_url"]
    assert new(published=False)["published_url"] is None


def test_files_folders_and_index(put: Put, home: str) -> None:
    put("output/a b/ü#.txt", "ü".encode())
    put("output/report/index.html", b"<h1>Report</h1>")
    put("output/javascript:x", b"")
    put("code/secret.R", b"secret")
    anybody = Client()
    listing = anybody.get(home)
    text = listing.content.decode()
    assert 'href="./a%20b/"' in text
    assert 'href="./javascript%3Ax"' in text
    assert "<script" not in text
    assert "script" not in listing.headers["Content-Security-Policy"]
    inside = anybody.get(home + "a%20b/").content.decode()
    assert 'href="./%C3%BC%23.txt"' in inside
    assert f'href="{home}"' in inside
    found = anybody.get(home + "a%20b/%C3%BC%23.txt")
    assert b"".join(found.streaming_content) == "ü".encode()  # type: ignore[attr-defined]
    report = anybody.get(home + "report/")
    assert b"".join(report.streaming_content) == b"<h1>Report</h1>"  # type: ignore[attr-defined]
    moved = anybody.get(home + "report")
    assert (moved.status_code, moved.headers["Location"]) == (302, home + "report/")
    assert anybody.get(home[:-1]).headers["Location"] == home
    part = anybody.head(home + "report/index.html", headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.headers["Content-Length"]) == (206, "4")


def test_what_is_not_published_is_not_there(put: Put, home: str, task: Task) -> None:
    put("output/kept.txt", b"x")
    put("code/secret.R", b"secret")
    folder = storage.task_dir(task.public_id) / "output"
    (folder / "link").symlink_to(folder.parent / "code")
    (folder / f"{TEMPORARY}0").write_text("being written")
    anybody = Client()
    for path in (
        "../code/secret.R",
        "%2e%2e/code/secret.R",
        "..%2fcode/secret.R",
        "link/secret.R",
        "link",
        "none",
        "kept.txt/",
        "kept.txt/x",
        f"{TEMPORARY}0",
        "x%00",
        "/etc/passwd",
    ):
        assert anybody.get(home + path).status_code == 404, path
    assert "./link" not in anybody.get(home).content.decode()
    for path in ("/o/", "/o/x/", "/o/aaaaaaaaaaaaaaaa/"):
        assert anybody.get(path).status_code == 404
    for method in ("post", "put", "delete", "patch"):
        assert getattr(anybody, method)(home + "kept.txt").status_code == 405
    worker = anybody.get(home + "kept.txt", headers={"Service-Worker": "script"})
    assert worker.status_code == 404
    Task.objects.filter(pk=task.pk).update(deleted_at="2026-01-01T00:00:00Z")
    assert anybody.get(home).status_code == 404


@pytest.mark.parametrize(
    ("name", "content_type", "shown"),
    [
        ("page.html", "text/html; charset=utf-8", True),
        ("plot.svg", "image/svg+xml", True),
        ("script.js", "text/javascript; charset=utf-8", True),
        ("data.csv", "text/plain; charset=utf-8", True),
        ("report.pdf", "application/pdf", True),
        ("feed.xml", "application/octet-stream", False),
        ("page.xhtml", "application/octet-stream", False),
        ("model.rds", "application/octet-stream", False),
        ("sw.js ", "application/octet-stream", False),
    ],
)
def test_nothing_comes_with_the_portals_authority(
    put: Put, home: str, owner: User, name: str, content_type: str, shown: bool
) -> None:
    put(f"output/{name}", b"x")
    known = Client()
    known.force_login(owner)
    for client in (Client(), known):
        response = client.head(home + name.replace(" ", "%20"))
        assert not client.cookies or client is known
        assert not response.cookies
        headers = response.headers
        assert headers["Content-Type"] == content_type
        assert headers["Content-Disposition"].startswith("inline" if shown else "attachment")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-cache"
        assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in headers
        assert "Cookie" not in headers.get("Vary", "")
        policy = headers["Content-Security-Policy"]
        if name == "report.pdf":
            continue
        assert policy.startswith("sandbox allow-scripts ")
        assert "allow-same-origin" not in policy
        assert "allow-forms" not in policy
        assert "allow-top-navigation" not in policy
        assert f"default-src http://testserver{home} data: blob:" in policy


def test_the_settings_show_and_end_it(task: Task, owner: User, home: str) -> None:
    client = Client()
    client.force_login(owner)
    page = client.get(f"/tasks/{task.public_id}/settings/").content.decode()
    assert f"http://testserver{home}" in page
    ended = client.post(f"/tasks/{task.public_id}/publish/", {"published": "0"})
    assert (ended.status_code, Client().get(home).status_code) == (302, 404)
