"""Renaming, moving, saving over what was seen, zips: files over the API, beyond reading and writing."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from channels.db import database_sync_to_async
from django.test import AsyncClient, Client

from accounts.models import User
from files import archive, storage
from jobs.models import Role, Task, TaskMember
from tests.api.conftest import client_of
from tests.factories import make_token, make_user

At = Callable[[str], str]
Put = Callable[[str, bytes], None]


@pytest.fixture
def at(task: Task) -> At:
    return lambda path: f"/api/v1/tasks/{task.public_id}/files/{quote(path)}"


def move(api: Client, address: str, **asked: Any) -> Any:
    return api.patch(address, json.dumps(asked), content_type="application/json")


def content(task: Task, path: str) -> bytes:
    area, _, name = path.partition("/")
    return storage.area(task.public_id, area).read(name, limit=10**6)


def zip_in(response: Any) -> zipfile.ZipFile:
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/zip"
    return zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))


def test_rename_and_move(api: Client, at: At, put: Put, task: Task) -> None:
    put("input/a/old name.csv", b"rivers")
    renamed = move(api, at("input/a/old name.csv"), path="a/new/ñame.csv")
    assert renamed.status_code == 200
    assert (renamed.json()["path"], renamed.json()["size"]) == ("a/new/ñame.csv", 6)
    assert renamed.json()["url"] == at("input/a/new/ñame.csv")
    assert api.get(at("input/a/old name.csv")).status_code == 404
    elsewhere = move(api, at("input/a/"), area="output")
    assert elsewhere.json() | {"modified_at": ""} == {
        "name": "a",
        "path": "a",
        "kind": "folder",
        "size": 0,
        "modified_at": "",
        "etag": None,
        "url": at("output/a/"),
    }
    assert content(task, "output/a/new/ñame.csv") == b"rivers"


def test_nothing_is_replaced_unasked(api: Client, at: At, put: Put, task: Task) -> None:
    put("input/a", b"a")
    put("input/b", b"b")
    put("input/folder/c", b"c")
    for asked in ({"path": "b"}, {}, {"path": "folder"}, {"path": "folder", "replace": True}):
        refused = move(api, at("input/a"), **asked)
        assert refused.status_code == 409, asked
        assert "already" in refused.json()["detail"]
    assert move(api, at("input/a"), path="b", replace=True).status_code == 200
    assert content(task, "input/b") == b"a"
    assert move(api, at("input/folder"), path="folder/in/itself").status_code == 400
    assert move(api, at("input/gone"), path="x").status_code == 404


@pytest.mark.parametrize(
    "asked",
    [
        {"path": "../x"},
        {"path": "/x"},
        {"path": ""},
        {"path": "a//b"},
        {"path": 7},
        {"path": "x\0"},
        {"area": "data"},
        {"area": ".."},
        {"area": None},
        {"replace": "yes"},
        {"folder": "x"},
    ],
)
def test_what_is_no_place_is_refused(
    api: Client, at: At, put: Put, task: Task, asked: dict[str, Any]
) -> None:
    put("input/a", b"a")
    assert move(api, at("input/a"), **asked).status_code == 400
    assert content(task, "input/a") == b"a"


def test_links_can_not_be_moved_nor_moved_over(api: Client, at: At, put: Put, task: Task) -> None:
    put("output/a", b"a")
    folder = storage.task_dir(task.public_id) / "output"
    (folder / "link").symlink_to("/etc")
    assert move(api, at("output/link"), path="x").status_code == 400
    assert move(api, at("output/link/hosts"), path="x").status_code == 400
    assert move(api, at("output/a"), path="link/x").status_code == 400
    assert move(api, at("output/a"), path="link", replace=True).status_code == 409


def test_a_viewer_takes_zips_and_changes_nothing(at: At, put: Put, task: Task) -> None:
    viewer = make_user("viewer")
    TaskMember.objects.create(task=task, user=viewer, role=Role.VIEWER, added_by=task.owner)
    put("output/a", b"a")
    api = client_of(viewer)
    assert zip_in(api.get(at("output") + "?zip=1")).namelist()
    assert move(api, at("output/a"), path="b").status_code == 403
    assert content(task, "output/a") == b"a"
    stranger = client_of(make_user("stranger"))
    assert stranger.get(at("output") + "?zip=1").status_code == 404
    assert move(stranger, at("output/a"), path="b").status_code == 404


def test_a_save_goes_only_over_what_was_seen(api: Client, at: At, put: Put, task: Task) -> None:
    put("code/x.R", b"old")
    seen = api.head(at("code/x.R")).headers["ETag"]

    def save(path: str, content: bytes, **headers: str) -> Any:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return api.put(at(path), content, "application/octet-stream", headers=sent)

    first = save("code/x.R", b"mine", If_Match=seen)
    assert first.status_code == 200
    late = save("code/x.R", b"late", If_Match=seen)
    assert late.status_code == 412
    assert "changed since" in late.json()["detail"]
    assert content(task, "code/x.R") == b"mine"
    assert first.headers["ETag"] == api.head(at("code/x.R")).headers["ETag"]
    again = save("code/x.R", b"next", If_Match=first.headers["ETag"])
    assert again.status_code == 200
    taken = save("code/x.R", b"new", If_None_Match="*")
    assert taken.status_code == 412
    assert save("code/new.R", b"", If_None_Match="*").status_code == 201
    gone = save("code/gone.R", b"", If_Match=seen)
    assert (gone.status_code, "gone" in gone.json()["detail"]) == (412, True)
    assert content(task, "code/x.R") == b"next"


def test_zips(api: Client, at: At, put: Put, task: Task) -> None:
    for name in ("output/a.csv", "output/plots/ü.png", "output/plots/deep/x"):
        put(name, name.encode())
    whole = api.get(at("output") + "?zip=1")
    assert whole.headers["Content-Disposition"] == f'attachment; filename="{task.name} output.zip"'
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    top = f"{task.name} output"
    found = zip_in(whole)
    assert found.read(f"{top}/plots/ü.png") == "output/plots/ü.png".encode()
    part = zip_in(api.get(at("output/plots/") + "?zip=1&only=deep"))
    assert set(part.namelist()) == {"plots/deep/", "plots/deep/x"}
    assert api.head(at("output/plots") + "?zip=1").headers["Content-Type"] == "application/zip"
    assert api.get(at("output/none/") + "?zip=1").status_code == 404
    # A file is a file, whatever is asked.
    assert b"".join(api.get(at("output/a.csv") + "?zip=1").streaming_content) == b"output/a.csv"  # type: ignore[attr-defined]


async def test_a_zip_is_streamed_under_asgi(
    transactional_db: None, owner: User, at: At, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "CHUNK", 1000)
    monkeypatch.setattr(archive, "GATHER", 1000)
    for number in range(5):
        put(f"output/{number}.gz", b"x" * 5000)
    bearer = {"Authorization": f"Bearer {await database_sync_to_async(make_token)(owner)}"}
    response = await AsyncClient().get(at("output") + "?zip=1", headers=bearer)
    chunks = [chunk async for chunk in response.streaming_content]  # type: ignore[attr-defined]
    assert len(chunks) >= 25
    assert len(zipfile.ZipFile(io.BytesIO(b"".join(chunks))).namelist()) == 5


RANGES = [
    ("bytes=-0", 416, b""),
    ("bytes=-1", 206, b"9"),
    ("bytes=-11", 206, b"0123456789"),
    ("bytes=0-1,4-5", 200, b"0123456789"),
    ("bytes=0-0,-1", 200, b"0123456789"),
    ("bytes=,", 200, b"0123456789"),
]


@pytest.mark.parametrize(("header", "status", "wanted"), RANGES)
def test_odd_ranges_are_answered_sanely(
    api: Client, at: At, put: Put, header: str, status: int, wanted: bytes
) -> None:
    put("output/digits", b"0123456789")
    response = api.get(at("output/digits"), headers={"Range": header})
    assert response.status_code == status
    body = b"".join(response.streaming_content) if response.streaming else response.content  # type: ignore[attr-defined]
    assert body == wanted
    weak = {"Range": "bytes=0-1", "If-Range": f"W/{api.head(at('output/digits')).headers['ETag']}"}
    assert api.head(at("output/digits"), headers=weak).status_code == 200
    dated = {"Range": "bytes=0-1", "If-Range": "Sun, 06 Nov 1994 08:49:37 GMT"}
    assert api.head(at("output/digits"), headers=dated).status_code == 200
