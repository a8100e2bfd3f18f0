"""Files over the API: what comes back is what went in, and never more authority than a file has."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from channels.db import database_sync_to_async
from django.test import AsyncClient, Client
from pytest_django.fixtures import Settings

from accounts.models import User
from files import archive, marker, serving, storage
from jobs.api import file_views as api_files
from jobs.models import Task
from tests.factories import make_token

Put = Callable[[str, bytes], None]


@pytest.fixture
def at(task: Task) -> Callable[[str], str]:
    """The address of a file: at("input/x.csv")."""
    return lambda path: f"/api/v1/tasks/{task.public_id}/files/{quote(path)}"


At = Callable[[str], str]


@pytest.fixture
def folder(task: Task) -> Path:
    return storage.task_dir(task.public_id)


def upload(api: Client, address: str, content: bytes, **more: Any) -> Any:
    return api.put(address, content, content_type="application/octet-stream", **more)


def body(response: Any) -> bytes:
    if not response.streaming:
        return bytes(response.content)
    return b"".join(response.streaming_content)


NAMES = [
    "input/flow.csv",
    "code/deep/er/main.R",
    "output/Ünïcödé 数据 🐟.txt",
    "input/100%.csv",
    "input/a?b#c&d=e.csv",
    "input/semi;colon 'quotes\" \\ back.txt",
    "input/%2e%2e%2fx",
    "input/line\nbreak.txt",
    "input/-rf",
]


@pytest.mark.parametrize("name", NAMES)
def test_what_was_uploaded_comes_back_under_its_name(api: Client, at: At, name: str) -> None:
    content = bytes(range(256)) * 3
    first = upload(api, at(name), content)
    assert first.status_code == 201
    entry = first.json()
    area, _, path = name.partition("/")
    assert entry["path"] == path
    assert entry["name"] == path.rpartition("/")[2]
    assert (entry["kind"], entry["size"]) == ("file", len(content))
    assert entry["modified_at"].endswith("Z")
    assert first.headers["Location"] == entry["url"]
    assert body(api.get(entry["url"])) == content
    above = path.rpartition("/")[0]
    listed = api.get(at(f"{area}/{above}/" if above else area)).json()
    assert entry in listed["entries"]
    assert (listed["area"], listed["path"], listed["truncated"]) == (area, above, False)
    again = upload(api, at(name), b"new")
    assert (again.status_code, again.json()["size"]) == (200, 3)
    assert api.delete(entry["url"]).status_code == 204
    assert api.get(entry["url"]).status_code == 404


def test_a_large_upload_goes_through_in_pieces(
    api: Client, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_files, "CHUNK", 1000)
    content = os.urandom(1_234_567)
    assert upload(api, at("input/large"), content).status_code == 201
    monkeypatch.setattr(serving, "CHUNK", 1000)
    assert (
        hashlib.sha256(body(api.get(at("input/large")))).digest()
        == hashlib.sha256(content).digest()
    )


async def test_under_asgi_the_body_is_streamed(
    transactional_db: None, owner: User, at: At, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "CHUNK", 1000)
    content = os.urandom(10_500)
    put("output/large", content)
    bearer = {"Authorization": f"Bearer {await database_sync_to_async(make_token)(owner)}"}
    response = await AsyncClient().get(
        at("output/large"), headers={"Range": "bytes=100-", **bearer}
    )
    assert response.status_code == 206
    chunks = [chunk async for chunk in response.streaming_content]  # type: ignore[attr-defined]
    assert b"".join(chunks) == content[100:]
    assert len(chunks) == 11


@pytest.mark.parametrize("content", [b"", b"x"])
def test_empty_and_tiny_files(api: Client, at: At, content: bytes) -> None:
    upload(api, at("input/small"), content)
    response = api.get(at("input/small"))
    assert response.headers["Content-Length"] == str(len(content))
    assert body(response) == content


RANGES = [
    ("bytes=0-0", 206, slice(0, 1)),
    ("bytes=2-5", 206, slice(2, 6)),
    ("bytes=5-", 206, slice(5, None)),
    ("bytes=-3", 206, slice(-3, None)),
    ("bytes=-100", 206, slice(0, None)),
    ("bytes=0-100", 206, slice(0, None)),
    ("bytes=9-9", 206, slice(9, 10)),
    ("bytes=10-", 416, None),
    ("bytes=10-20", 416, None),
    ("bytes=-0", 416, None),
    ("bytes=9999999999999999999-", 416, None),
    ("bytes=5-2", 200, slice(0, None)),
    ("bytes=0-1,4-5", 200, slice(0, None)),
    ("bytes=a-b", 200, slice(0, None)),
    ("bytes=-", 200, slice(0, None)),
    ("lines=0-1", 200, slice(0, None)),
    ("", 200, slice(0, None)),
]


@pytest.mark.parametrize(("header", "status", "part"), RANGES)
def test_ranges(
    api: Client, at: At, put: Put, header: str, status: int, part: slice[Any, Any, Any] | None
) -> None:
    content = b"0123456789"
    put("output/digits", content)
    address = at("output/digits")
    response = api.get(address, headers={"Range": header})
    head = api.head(address, headers={"Range": header})
    assert response.status_code == head.status_code == status
    if part is None:
        assert response.headers["Content-Range"] == "bytes */10"
        assert body(response) == b""
        return
    wanted = content[part]
    assert body(response) == wanted
    assert body(head) == b""
    assert response.headers["Accept-Ranges"] == "bytes"
    for each in (response, head):
        assert each.headers["Content-Length"] == str(len(wanted))
    if status == 206:
        start = content.index(wanted)
        shown = f"bytes {start}-{start + len(wanted) - 1}/10"
        assert response.headers["Content-Range"] == head.headers["Content-Range"] == shown


def test_a_range_continues_only_the_same_file(api: Client, at: At, put: Put) -> None:
    put("output/digits", b"0123456789")
    etag = api.head(at("output/digits")).headers["ETag"]
    ranged = {"Range": "bytes=5-", "If-Range": etag}
    assert body(api.get(at("output/digits"), headers=ranged)) == b"56789"
    assert api.get(at("output/digits"), headers={"If-None-Match": etag}).status_code == 304
    put("output/digits", b"abcdefghij")
    changed = api.get(at("output/digits"), headers=ranged)
    assert (changed.status_code, body(changed)) == (200, b"abcdefghij")
    fresh = api.get(at("output/digits"), headers={"If-None-Match": etag})
    assert (fresh.status_code, body(fresh)) == (200, b"abcdefghij")


HOSTILE = b"<script>alert(document.cookie)</script>"


@pytest.mark.parametrize(
    ("name", "content_type", "shown"),
    [
        ("plot.png", "image/png", True),
        ("PLOT.PNG", "image/png", True),
        ("plot.jpg", "image/jpeg", True),
        ("plot.jpeg", "image/jpeg", True),
        ("plot.gif", "image/gif", True),
        ("plot.webp", "image/webp", True),
        ("table.csv", "text/plain; charset=utf-8", True),
        ("summary.txt", "text/plain; charset=utf-8", True),
        ("main.R", "text/plain; charset=utf-8", True),
        ("run.log", "text/plain; charset=utf-8", True),
        ("evil.svg", "image/svg+xml", False),
        ("evil.html", "application/octet-stream", False),
        ("evil.htm", "application/octet-stream", False),
        ("evil.xhtml", "application/octet-stream", False),
        ("evil.xml", "application/octet-stream", False),
        ("evil.js", "application/octet-stream", False),
        ("report.pdf", "application/pdf", False),
        ("evil.png.html", "application/octet-stream", False),
        ("evil.html ", "application/octet-stream", False),
        ("png", "application/octet-stream", False),
        ("model.rds", "application/octet-stream", False),
    ],
)
@pytest.mark.parametrize("inline", ["", "?inline=1"])
def test_nothing_is_served_with_the_portals_authority(
    api: Client, at: At, put: Put, name: str, content_type: str, shown: bool, inline: str
) -> None:
    put(f"output/{name}", HOSTILE)
    response = api.get(at(f"output/{name}") + inline)
    assert body(response) == HOSTILE
    assert response.headers["Content-Type"] == content_type
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Content-Security-Policy"] == (
        "sandbox; default-src 'none'; img-src 'self'; style-src 'unsafe-inline'"
    )
    disposition = response.headers["Content-Disposition"]
    assert disposition.startswith("inline" if inline and shown else "attachment")


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("a b.csv", 'attachment; filename="a b.csv"'),
        ('q".csv', 'attachment; filename="q\\".csv"'),
        ("ü.csv", "attachment; filename*=utf-8''%C3%BC.csv"),
        ("x\r\nSet-Cookie: a=b", 'attachment; filename="x__Set-Cookie: a=b"'),
        ("invoice\u202efdp.exe", 'attachment; filename="invoice_fdp.exe"'),
    ],
)
def test_names_for_saving(api: Client, at: At, put: Put, name: str, disposition: str) -> None:
    put(f"output/{name}", b"")
    response = api.get(at(f"output/{name}"))
    assert response.headers["Content-Disposition"] == disposition
    assert "Set-Cookie" not in response.headers
    assert body(response) == b""


def test_a_browsers_accept_header_is_no_obstacle(api: Client, at: At, put: Put) -> None:
    put("output/plot.png", b"png")
    response = api.get(at("output/plot.png"), headers={"Accept": "image/png"})
    assert body(response) == b"png"


BAD = [
    "..",
    "../x",
    "a/../../x",
    "./x",
    "a//b",
    "x\0y",
    "/etc/passwd",
    "y" * 256,
    "z/" * 2100 + "z",
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST"])
@pytest.mark.parametrize("path", BAD, ids=lambda path: ascii(path)[:20])
def test_paths_that_lead_away_are_refused(
    api: Client, at: At, folder: Path, tmp_path: Path, method: str, path: str
) -> None:
    response = api.generic(
        method, at(f"code/{path}"), b'{"folder": "new"}', content_type="application/json"
    )
    assert response.status_code == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert [each.name for each in tmp_path.rglob("*") if each.is_file()] == [marker.NAME]


@pytest.mark.parametrize("name", ["../x", "a/../..", "", "x\0", "/x", "a//b", 7, None, ["x"]])
def test_new_folders_stay_inside(api: Client, at: At, folder: Path, name: Any) -> None:
    response = api.post(at("code"), {"folder": name}, content_type="application/json")
    assert response.status_code == 400
    assert sorted(os.listdir(folder)) == ["code", "input", "output"]  # noqa: PTH208


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST"])
def test_links_and_fifos_are_refused(
    api: Client, at: At, folder: Path, tmp_path: Path, method: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (folder / "output" / "link").symlink_to(secret)
    (folder / "output" / "dir").symlink_to(tmp_path)
    os.mkfifo(folder / "output" / "fifo")
    for path in ("link", "dir/secret", "fifo"):
        response = api.generic(
            method, at(f"output/{path}"), b'{"folder": "x"}', content_type="application/json"
        )
        assert response.status_code == 400, path
        assert response.json()["detail"] if method != "HEAD" else not response.content
    assert secret.read_text() == "secret"
    kinds = {each["name"]: each["kind"] for each in api.get(at("output")).json()["entries"]}
    assert kinds == {"link": "other", "dir": "other", "fifo": "other"}
    for path in kinds:
        assert api.delete(at(f"output/{path}")).status_code == 204
    assert secret.read_text() == "secret"


@pytest.mark.parametrize("area", ["data", "runs", "..", "Code", "code%2f..", "permit"])
def test_there_are_three_areas(api: Client, task: Task, area: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        response = api.generic(method, f"/api/v1/tasks/{task.public_id}/files/{area}/x", b"")
        assert response.status_code in (400, 404)
        assert response.json()["detail"]


def test_folders(api: Client, at: At, folder: Path) -> None:
    made = api.post(at("output"), {"folder": "plots"}, content_type="application/json")
    assert made.status_code == 201
    assert (made.json()["kind"], made.json()["url"]) == ("folder", at("output/plots/"))
    below = api.post(at("output/plots/"), {"folder": "new"}, content_type="application/json")
    assert below.json()["path"] == "plots/new"
    for address in (at("output/plots"), at("output/plots/")):
        assert [each["name"] for each in api.get(address).json()["entries"]] == ["new"]
    assert api.delete(at("output/plots/")).status_code == 204
    assert list((folder / "output").iterdir()) == []
    assert api.get(at("output/plots/")).status_code == 404


def test_a_file_and_a_folder_do_not_replace_each_other(api: Client, at: At, put: Put) -> None:
    put("code/folder/file", b"x")
    assert upload(api, at("code/folder"), b"y").status_code == 400
    assert upload(api, at("code/folder/file/more"), b"y").status_code == 400
    assert api.get(at("code/folder/file/")).status_code == 400
    assert body(api.get(at("code/folder/file"))) == b"x"


def test_uploads_have_a_limit(api: Client, at: At, folder: Path, settings: Settings) -> None:
    settings.RCLUSTER_UPLOAD_LIMIT = 10
    assert upload(api, at("input/ten"), b"x" * 10).status_code == 201
    response = upload(api, at("input/eleven"), b"x" * 11)
    assert (response.status_code, response.json()["title"]) == (413, "Request Entity Too Large")
    assert "10 bytes" in response.json()["detail"]
    assert [each.name for each in (folder / "input").iterdir()] == ["ten"]


def test_a_full_disk_is_said_before_and_during_an_upload(
    api: Client, at: At, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_files, "HEADROOM", 2**60)
    response = upload(api, at("input/x"), b"x")
    assert response.status_code == 507
    assert "full" in response.json()["detail"]
    monkeypatch.undo()

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("files.safe.os.write", full)
    response = upload(api, at("input/x"), b"x")
    assert response.status_code == 507
    monkeypatch.undo()
    assert list((folder / "input").iterdir()) == []


def test_a_long_listing_says_that_it_is_cut(
    api: Client, at: At, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_files, "MAX_ENTRIES", 3)
    for number in range(4):
        put(f"output/{number}", b"")
    listed = api.get(at("output")).json()
    assert (len(listed["entries"]), listed["truncated"]) == (3, True)


def test_names_that_are_not_utf8_can_be_listed(api: Client, at: At, folder: Path) -> None:
    (folder / "output" / os.fsdecode(b"\xff.txt")).write_bytes(b"")
    [entry] = api.get(at("output")).json()["entries"]
    assert (entry["name"], entry["kind"]) == ("\ufffd.txt", "other")


def test_a_task_whose_folder_is_gone(api: Client, at: At, folder: Path) -> None:
    (folder / "input").rmdir()
    assert api.get(at("input")).status_code == 404
    assert upload(api, at("input/x"), b"x").status_code == 404


def test_more_zips_at_a_time_than_one_may_have(
    api: Client, at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "AT_ONCE", 1)
    first = api.get(at("input/") + "?zip=1")
    second = api.get(at("input/") + "?zip=1")
    assert second.status_code == 429
    assert second["Retry-After"] == "10"
    assert "zips are being made for you already" in second.json()["detail"]
    assert body(first).startswith(b"PK")
    assert body(api.get(at("input/") + "?zip=1")).startswith(b"PK")
