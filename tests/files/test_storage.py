"""Where a Task's folders lie and whose they are."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from accounts.ids import new_public_id
from files import marker, storage
from files.safe import UnsafePath
from tests.conftest import mark_storage


@pytest.fixture(autouse=True)
def root(tmp_path: Path, settings: Settings) -> Path:
    settings.RCLUSTER_STORAGE = mark_storage(tmp_path / "storage")
    settings.RCLUSTER_USER = "nobody"
    return tmp_path / "storage"


def test_folders_of_a_task(root: Path) -> None:
    task = new_public_id()
    storage.create_task_folders(task)
    storage.area(task, "code").write("main.R", [b"1"], limit=10)
    storage.create_task_folders(task)
    folder = root / "working_dir" / task
    assert sorted(each.name for each in folder.iterdir()) == ["code", "input", "output"]
    assert (folder / "code" / "main.R").read_bytes() == b"1"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for each in (folder, *folder.rglob("*"), root / "runs", root / "working_dir"):
        assert (each.stat().st_uid, each.stat().st_gid) == storage.owner()


@pytest.mark.parametrize("area", ["", "data", "code/..", "..", "Code", "permit"])
def test_there_are_three_areas(area: str) -> None:
    with pytest.raises(storage.UnknownArea):
        storage.area(new_public_id(), area)


@pytest.mark.parametrize("task", ["", "..", "../" * 5 + "x", "x" * 15, "X" * 16, "a/" * 8])
def test_only_ids_of_tasks_name_folders(task: str) -> None:
    with pytest.raises(UnsafePath):
        storage.area(task, "code")


@pytest.mark.skipif(os.geteuid() != 0, reason="others own what they make themselves")
def test_a_missing_account_is_said(settings: Settings) -> None:
    settings.RCLUSTER_USER = "no-such-account"
    with pytest.raises(storage.NoStorageOwner, match=r"no-such-account.*\./rcluster up"):
        storage.create_task_folders(new_public_id())


def test_no_folder_is_made_where_the_storage_is_not_mounted(root: Path) -> None:
    """Also not when a stray Task's folders lie in the mount point."""
    (root / marker.NAME).unlink()
    for stray in ("", "working_dir"):
        (root / stray).mkdir(exist_ok=True)
        with pytest.raises(storage.StorageAway, match="is not mounted"):
            storage.create_task_folders(new_public_id())
    assert [each.name for each in root.rglob("*")] == ["working_dir"]


def test_a_marked_storage_is_present(root: Path) -> None:
    storage.check_present()
