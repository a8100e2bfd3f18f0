"""A folder as a zip: everything that may be in it, nothing else, and never more memory than a piece."""

from __future__ import annotations

import asyncio
import gc
import io
import os
import threading
import tracemalloc
import zipfile
from pathlib import Path
from typing import IO

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase

from files import archive
from files.safe import SafeFolder, UnsafePath
from tests.waiting import until


@pytest.fixture
def area(tmp_path: Path) -> Path:
    path = tmp_path / "area"
    path.mkdir()
    return path


def zip_of(area: Path, path: str = "", *, top: str = "all", only: tuple[str, ...] = ()) -> bytes:
    return b"".join(archive.zipped(SafeFolder(area), path, top=top, only=only))


def opened(data: bytes) -> zipfile.ZipFile:
    found = zipfile.ZipFile(io.BytesIO(data))
    assert found.testzip() is None
    return found


def test_all_that_lies_below_comes_back_as_it_was(area: Path) -> None:
    wanted = {
        "plain.txt": b"text " * 1000,
        "deep/er/Ünïcödé 数据 🐟.csv": b"a,b\n",
        "deep/packed.gz": os.urandom(5000),
        "empty": b"",
        "line\nbreak": b"x",
    }
    for name, content in wanted.items():
        (area / name).parent.mkdir(parents=True, exist_ok=True)
        (area / name).write_bytes(content)
    (area / "no files").mkdir()
    found = opened(zip_of(area))
    assert {name: found.read(f"all/{name}") for name in wanted} == wanted
    assert set(found.namelist()) == {f"all/{name}" for name in wanted} | {
        "all/deep/",
        "all/deep/er/",
        "all/no files/",
    }
    below = opened(zip_of(area, "deep/er", top="er"))
    assert below.namelist() == ["er/Ünïcödé 数据 🐟.csv"]


def test_only_what_was_chosen(area: Path) -> None:
    for name in ("a", "b", "sub/a", "sub/c"):
        (area / name).parent.mkdir(exist_ok=True)
        (area / name).write_bytes(b"x")
    assert set(opened(zip_of(area, only=("sub", "b"))).namelist()) == {
        "all/b",
        "all/sub/",
        "all/sub/a",
        "all/sub/c",
    }


def test_links_and_devices_are_left_out_and_named(area: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (area / "sub").mkdir()
    (area / "sub" / "link").symlink_to(tmp_path / "secret")
    (area / "folder").symlink_to(tmp_path)
    (area / "all\nof it").symlink_to("/")
    os.mkfifo(area / "fifo")
    (area / os.fsdecode(b"\xff")).write_bytes(b"x")
    (area / "kept").write_bytes(b"kept")
    data = zip_of(area)
    found = opened(data)
    assert b"secret" not in data.replace(b"secret", b"", data.count(b"all/secret"))
    assert set(found.namelist()) == {"all/sub/", "all/kept", f"all/{archive.LEFT_OUT}"}
    told = found.read(f"all/{archive.LEFT_OUT}").decode().splitlines()
    assert len(told) == 5
    for name in ("all/sub/link", "all/folder", "'all/all\\nof it'", "all/fifo", "all/\ufffd"):
        assert any(line.startswith(f"{name}: a link") for line in told), name


def test_what_can_not_be_read_is_named_too(area: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        (area / name).write_bytes(b"x")
    real = SafeFolder.open_read

    def open_read(folder: SafeFolder, path: str) -> object:
        if path == "a":
            raise PermissionError(13, "Permission denied")
        if path == "b":
            raise FileNotFoundError(2, "No such file")
        return real(folder, path)

    monkeypatch.setattr(SafeFolder, "open_read", open_read)
    found = opened(zip_of(area))
    assert found.read("all/c") == b"x"
    told = found.read(f"all/{archive.LEFT_OUT}").decode()
    assert "all/a: Permission denied" in told
    assert "all/b: it went away meanwhile" in told


def test_a_file_that_grows_as_fast_as_it_is_read(
    area: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "CHUNK", 10)
    (area / "grows").write_bytes(b"g" * 100)
    data = b""
    for chunk in archive.zipped(SafeFolder(area), "", top="all"):
        data += chunk
        with (area / "grows").open("ab") as file:
            file.write(b"g" * 1000)
    assert opened(data).read("all/grows") == b"g" * 100


def test_a_file_that_shrinks_meanwhile(area: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "CHUNK", 50_000)
    (area / "shrinks").write_bytes(os.urandom(200_000))
    data = b""
    for chunk in archive.zipped(SafeFolder(area), "", top="all"):
        data += chunk
        os.truncate(area / "shrinks", 100_000)
    assert opened(data).read("all/shrinks") == (area / "shrinks").read_bytes()


def test_a_large_file_costs_no_memory_and_needs_zip64(
    area: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1_000_000)
    with (area / "sparse.zip").open("wb") as file:  # stored as it is
        file.truncate(60 * 1024**2)
    size = peak = 0
    head = b""
    tracemalloc.start()
    for chunk in archive.zipped(SafeFolder(area), "", top="all"):
        head = head or chunk
        size += len(chunk)
        peak = max(peak, tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert size > 60 * 1024**2
    assert peak < 8 * 1024**2
    assert b"\x01\x00\x10\x00" in head[:80], "the extra field of ZIP64"


def test_too_many_files_are_said(area: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_FILES", 3)
    for number in range(5):
        (area / str(number)).write_bytes(b"")
    found = opened(zip_of(area))
    assert len(found.namelist()) == 4
    assert b"only 3 files" in found.read(f"all/{archive.LEFT_OUT}")


@pytest.mark.parametrize("path", ["file", "link", "../x", "missing"])
def test_only_a_folder_can_be_zipped(area: Path, path: str) -> None:
    (area / "file").write_bytes(b"x")
    (area / "link").symlink_to("/etc")
    with pytest.raises((UnsafePath, FileNotFoundError)):
        zip_of(area, path)


@pytest.mark.parametrize("when", [0, 253402300800, -(2**33)])
def test_any_time_fits(area: Path, when: int) -> None:
    (area / "a").write_bytes(b"x")
    os.utime(area / "a", (when, when))
    assert 1980 <= opened(zip_of(area)).infolist()[0].date_time[0] <= 2107


def test_long_names_take_bounded_memory(area: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_NAMES", 4000)
    for number in range(20):
        (area / f"{number:03}{'🐟' * 60}").write_bytes(b"x")
    found = opened(zip_of(area))
    assert 5 < len(found.namelist()) < 20
    told = found.read(f"all/{archive.LEFT_OUT}").decode()
    assert "only 4000 bytes of names fit into one zip; take folders of it" in told


def test_the_table_of_contents_comes_in_pieces(area: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "CHUNK", 1000)
    for number in range(100):
        (area / f"{number:03}{'n' * 200}").write_bytes(b"")
    sizes = [len(chunk) for chunk in archive.zipped(SafeFolder(area), "", top="all")]
    assert max(sizes) <= 1000
    assert sum(sizes) > 40_000


# How they are sent.


@pytest.fixture
def asgi() -> ASGIRequest:
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    return ASGIRequest(scope, io.BytesIO())


async def test_many_small_files_take_few_turns(
    area: Path, asgi: ASGIRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "GATHER_SECONDS", 3600.0)
    for number in range(500):
        (area / str(number)).write_bytes(b"x")
    response = archive.respond(asgi, SafeFolder(area), "", top="all", person=1)
    assert isinstance(response, StreamingHttpResponse)
    sent = [chunk async for chunk in response]
    assert len(opened(b"".join(sent)).namelist()) == 500
    assert len(sent) < 5
    response.close()


async def test_who_hangs_up_leaves_nothing_open(
    area: Path, asgi: ASGIRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in the middle of a turn, which ends first."""
    (area / "big.zip").write_bytes(b"x" * 4 * 1024**2)
    at_work, go_on = threading.Event(), threading.Event()
    opened_files: list[IO[bytes]] = []
    real = SafeFolder.open_read

    def open_read(folder: SafeFolder, path: str) -> IO[bytes]:
        opened_files.append(real(folder, path))
        at_work.set()
        go_on.wait()
        return opened_files[0]

    monkeypatch.setattr(SafeFolder, "open_read", open_read)
    response = archive.respond(asgi, SafeFolder(area), "", top="all", person=1)
    assert isinstance(response, StreamingHttpResponse)
    reading = asyncio.ensure_future(anext(aiter(response)))
    await asyncio.to_thread(at_work.wait)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    go_on.set()
    response.close()
    await asyncio.to_thread(until, lambda: opened_files[0].closed, "the file is closed")


@pytest.mark.django_db  # The end of an answer lets go of the database.
def test_one_person_has_two_under_way(area: Path, asgi: ASGIRequest) -> None:
    (area / "a").write_bytes(b"x")

    def begin(person: int = 1) -> HttpResponseBase:
        return archive.respond(asgi, SafeFolder(area), "", top="all", person=person)

    first, second = begin(), begin()
    with pytest.raises(archive.TooManyZips, match="2 zips are being made for you already"):
        begin()
    begin(person=2).close()
    first.close()
    first.close()
    third = begin()
    with pytest.raises(archive.TooManyZips):
        begin()
    del second, third  # Nobody came to read them.
    gc.collect()
    begin().close()
    assert not archive._under_way
