"""Removing over the API: only what was seen, at once whatever its size, and no name that is ours."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils.http import http_date

from accounts.models import User
from files import datasets as folders
from files import storage, unmodified
from files.models import Dataset
from files.safe import SafeFolder
from jobs import notify
from jobs.api import file_views
from jobs.models import Task
from jobs.services import clearing
from tests.factories import make_task

NOW = 1_700_000_000


@pytest.fixture
def at(task: Task) -> str:
    return f"/api/v1/tasks/{task.public_id}/files/output/"


@pytest.fixture
def output(task: Task) -> Path:
    return storage.task_dir(task.public_id) / "output"


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(notify, "measure", found.append)
    return found


def listed(api: Client, at: str, name: str) -> Any:
    return next(each for each in api.get(at).json()["entries"] if each["name"] == name)


def test_a_file_goes_only_as_it_was_seen(api: Client, at: str, output: Path) -> None:
    (output / "log").write_text("seen")
    etag = listed(api, at, "log")["etag"]
    assert api.head(f"{at}log")["ETag"] == etag
    (output / "log").write_text("written since")
    refused = api.delete(f"{at}log", headers={"If-Match": etag})
    assert refused.status_code == 412
    assert "was changed since you read it" in refused.json()["detail"]
    assert (output / "log").read_text() == "written since"
    etag = listed(api, at, "log")["etag"]
    assert api.delete(f"{at}log", headers={"If-Match": etag}).status_code == 204
    assert not (output / "log").exists()
    assert api.delete(f"{at}log", headers={"If-Match": etag}).status_code == 404


def test_a_folder_in_the_place_of_a_file_that_was_seen_stays(
    api: Client, at: str, output: Path
) -> None:
    (output / "x").write_text("seen")
    etag = listed(api, at, "x")["etag"]
    (output / "x").unlink()
    (output / "x/in").mkdir(parents=True)
    assert api.delete(f"{at}x", headers={"If-Match": etag}).status_code == 412
    assert (output / "x/in").exists()
    assert listed(api, at, "x")["etag"] is None


@pytest.mark.parametrize("changed", ["", "plots", "plots/deep", "plots/deep/a", "tomorrow"])
def test_a_folder_goes_only_if_nothing_in_it_was_written_since(
    api: Client, at: str, output: Path, changed: str
) -> None:
    seen = int(output.stat().st_ctime) + 60
    (output / "plots/deep").mkdir(parents=True)
    (output / "plots/deep/a").write_text("x")
    if changed == "tomorrow":
        # A script may set such a time; that was done before.
        os.utime(output / "plots/deep/a", (seen + 86400, seen + 86400))
    since = http_date(seen if changed in ("", "tomorrow") else seen - 120)
    if changed not in ("", "tomorrow"):
        for each in ("plots/deep/a", "plots/deep", "plots"):
            old = seen - 180
            if each != changed:
                os.utime(output / each, (old, old))
    answer = api.delete(f"{at}plots/", headers={"If-Unmodified-Since": since})
    assert answer.status_code == (204 if changed in ("", "tomorrow") else 412)
    assert (output / "plots/deep/a").exists() == (answer.status_code == 412)


def test_the_look_for_changes_has_an_end(
    api: Client, at: str, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unmodified, "MOST", 3)
    for number in range(10):
        (output / f"many/{number}").mkdir(parents=True)
    os.utime(output / "many", (NOW, NOW))
    since = http_date(NOW + 10)
    looked: list[int] = []
    real = unmodified._newer

    def never(found: os.stat_result, moment: int) -> bool:
        looked.append(moment)
        return real(found, 2**40)

    monkeypatch.setattr(unmodified, "_newer", never)
    answer = api.delete(f"{at}many", headers={"If-Unmodified-Since": since})
    assert answer.status_code == 204
    assert len(looked) == 4


def test_a_file_of_a_dataset_goes_only_as_it_was_seen(api: Client, owner: User) -> None:
    made = Dataset.objects.create(name="rivers", owner=owner)
    folders.make_folder("rivers")
    folder = folders.folder_of(made)
    folder.write("a", [b"seen"], limit=10)
    address = f"/api/v1/datasets/{made.public_id}/files/a"
    etag = api.head(address)["ETag"]
    folder.write("a", [b"since"], limit=10)
    assert api.delete(address, headers={"If-Match": etag}).status_code == 412
    etag = api.head(address)["ETag"]
    assert api.delete(address, headers={"If-Match": etag}).status_code == 204


# Large ones.


def test_a_large_folder_is_out_of_sight_at_once_and_emptied_later(
    api: Client,
    task: Task,
    at: str,
    output: Path,
    measured: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(notify, "clear", asked.append)
    monkeypatch.setattr(file_views, "REMOVE_SECONDS", -1.0)
    for number in range(5):
        (output / f"plots/{number}").mkdir(parents=True)
        (output / f"plots/{number}/a").write_text("x")
    (output / "kept").write_text("x")
    assert api.delete(f"{at}plots").status_code == 204
    assert [each["name"] for each in api.get(at).json()["entries"]] == ["kept"]
    (left,) = asked
    assert len(list(output.iterdir())) == 2
    measured.clear()
    left = clearing.clear(left, seconds=-1.0)
    assert (storage.storage_root() / left).is_dir()
    assert measured == []
    assert clearing.clear(left, seconds=60) == ""
    assert list(output.iterdir()) == [output / "kept"]
    assert measured == [task.public_id]
    assert clearing.clear(left, seconds=60) == ""  # As after a step that came twice.


@pytest.mark.parametrize("path", ["", "data", ".rcluster-x", "working_dir/{task}/output/kept"])
def test_only_hidden_folders_are_emptied(task: Task, output: Path, path: str) -> None:
    (output / "kept").mkdir()
    assert clearing.clear(path.format(task=task.public_id), seconds=5) == ""
    assert (output / "kept").exists()


def test_a_dataset_is_measured_after_its_folder_was_emptied(owner: User) -> None:
    made = Dataset.objects.create(name="rivers", owner=owner)
    folders.make_folder("rivers")
    (storage.storage_root() / "data/rivers/.rcluster-x/in").mkdir(parents=True)
    assert clearing.clear("data/rivers/.rcluster-x", seconds=5) == ""
    before = made.changed_at
    made.refresh_from_db()
    assert made.changed_at > before


# Names and sums.


def test_names_that_listings_leave_out_are_not_given(api: Client, at: str) -> None:
    def refused(response: Any) -> bool:
        return response.status_code == 400 and "the portal's own" in response.json()["detail"]

    octets = "application/octet-stream"
    assert refused(api.put(f"{at}.rcluster-x", b"x", content_type=octets))
    assert refused(api.put(f"{at}.rcluster-x/a", b"x", content_type=octets))
    assert api.put(f"{at}a", b"x", content_type=octets).status_code == 201
    json = "application/json"
    assert refused(api.patch(f"{at}a", {"path": "in/.rcluster-x"}, content_type=json))
    assert refused(api.post(at, {"folder": ".rcluster-x"}, content_type=json))


def test_what_a_task_fills_is_never_negative(owner: User) -> None:
    from jobs.services import quota

    task = make_task(owner, storage_used=100)
    quota.grew(task, -150)
    task.refresh_from_db()
    assert task.storage_used == 0


def test_the_bytes_of_a_file_come_off_once_however_many_replace_it(output: Path) -> None:
    """The second waits for the first before it looks how large the file is."""
    folder = SafeFolder(output)
    folder.write("a", [b"x" * 100], limit=1000)
    grown: list[int] = []
    threads: list[threading.Thread] = []

    def second() -> None:
        folder.put("a", [b"x" * 10], limit=1000, grows=grown.append)

    def grows(count: int) -> None:
        grown.append(count)
        threads.append(threading.Thread(target=second))
        threads[0].start()
        threads[0].join(0.5)  # It can't come to its end before we do.
        assert len(grown) == 1

    folder.put("a", [b"x" * 10], limit=1000, grows=grows)
    threads[0].join()
    assert grown == [-90, 0]
