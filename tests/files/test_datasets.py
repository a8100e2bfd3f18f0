"""The folders of Datasets: where they may lie, how large they are, and how they go."""

from __future__ import annotations

import os
import resource
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from files import datasets as folders
from files import upkeep
from files.datasets import NotRegistrable
from files.models import Dataset
from files.safe import SafeFolder, UnsafePath
from files.storage import StorageAway
from tests.conftest import mark_storage
from tests.factories import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def root(tmp_path: Path, settings: Settings) -> Path:
    settings.RCLUSTER_STORAGE = mark_storage(tmp_path / "storage")
    settings.RCLUSTER_USER = "nobody"
    return tmp_path / "storage"


def make(name: str, path: str = "", **fields: Any) -> Dataset:
    owner = fields.pop("owner", None) or make_user()
    return Dataset.objects.create(name=name, path=path, owner=owner, **fields)


# Registering in place.


def test_a_folder_below_the_storage_can_be_registered(root: Path) -> None:
    (root / "archive/rivers").mkdir(parents=True)
    assert folders.registrable("archive/rivers", []) == "archive/rivers"
    assert folders.registrable(f"{root}/archive/rivers/", []) == "archive/rivers"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "not all of it"),
        ("/", "not all of it"),
        ("data", "not all of it"),
        ("runs", "the portal's own"),
        ("working_dir/abc/input", "the portal's own"),
        ("bin", "the portal's own"),
        ("data/.rcluster-gone-x", "the portal's own"),
        ("archive/missing", "no folder"),
        ("archive/file", "not a folder"),
        ("archive/../runs", "not allowed"),
        ("../outside", "not allowed"),
        ("/etc", "leading slash"),
        ("archive//rivers", "empty name"),
        ("archive/a\0b", "NUL"),
        ("link", "link"),
        ("link/inside", "link"),
        ("archive/up", "link"),
    ],
)
def test_other_folders_can_not(root: Path, path: str, why: str) -> None:
    (root / "archive/rivers").mkdir(parents=True)
    (root / "archive/file").touch()
    for ours in ("runs", "working_dir/abc/input", "bin", "data/.rcluster-gone-x"):
        (root / ours).mkdir(parents=True)
    outside = root.parent / "outside"
    (outside / "inside").mkdir(parents=True)
    (root / "link").symlink_to(outside)
    (root / "archive/up").symlink_to(root / "runs")
    with pytest.raises(NotRegistrable) as refused:
        folders.registrable(path if path != "/" else f"{root}/", [])
    assert why in str(refused.value)


@pytest.mark.parametrize("path", ["data/rivers", "data/rivers/2020", "a/b/c", "a/b", "a"])
def test_no_dataset_lies_in_another(root: Path, path: str) -> None:
    """Not even around it: what is one Dataset's would be shown to the members of the other."""
    (root / "data/rivers/2020").mkdir(parents=True)
    (root / "a/b/c").mkdir(parents=True)
    (root / "ab").mkdir()
    others = [make("rivers"), make("deep", "a/b")]
    with pytest.raises(NotRegistrable):
        folders.registrable(path, others)
    assert folders.registrable("ab", others) == "ab"


def test_nothing_is_said_of_a_storage_that_is_away(root: Path) -> None:
    (root / "archive").mkdir()
    (root / ".rcluster-storage").unlink()
    with pytest.raises(StorageAway):
        folders.registrable("archive", [])
    with pytest.raises(StorageAway):
        folders.is_there("data/rivers")
    with pytest.raises(StorageAway):
        folders.make_folder("rivers")


def test_a_link_in_place_of_the_folder_is_no_folder(root: Path) -> None:
    (root / "archive/rivers").mkdir(parents=True)
    assert folders.is_there("archive/rivers")
    (root / "archive/rivers").rmdir()
    (root / "archive/rivers").symlink_to("/etc")
    assert not folders.is_there("archive/rivers")
    assert not folders.is_there("archive/rivers/ssl")


def test_a_new_folder_never_takes_over_what_is_there(root: Path) -> None:
    folders.make_folder("rivers")
    assert (root / "data/rivers").is_dir()
    with pytest.raises(FileExistsError):
        folders.make_folder("rivers")
    (root / "data/link").symlink_to("/nowhere")
    with pytest.raises(FileExistsError):
        folders.make_folder("link")


def test_no_link_on_the_way_to_one_in_place_is_followed(root: Path) -> None:
    """Who may write the folder above could show everybody what is another's."""
    (root / "shared/deep/rivers").mkdir(parents=True)
    (root / "shared/deep/rivers/a").write_bytes(b"x")
    folder = folders.folder_of(make("rivers", "shared/deep/rivers"))
    assert folder.read("a", limit=10) == b"x"
    (root / "working_dir/secret/rivers").mkdir(parents=True)
    (root / "working_dir/secret/rivers/a").write_bytes(b"secret")
    (root / "shared/deep").rename(root / "shared/before")
    (root / "shared/deep").symlink_to(root / "working_dir/secret")
    for look in (
        lambda: folder.read("a", limit=10),
        folder.entries,
        lambda: folder.entry("a"),
        lambda: folder.entry(""),
    ):
        with pytest.raises(UnsafePath, match="links are not followed"):
            look()
    assert not folders.is_there("shared/deep/rivers")


# Measuring.


def fill(folder: Path) -> None:
    (folder / "deep/er").mkdir(parents=True)
    (folder / "a.csv").write_bytes(b"x" * 1000)
    (folder / "deep/er/b.csv").write_bytes(b"x" * 500)


def test_regular_files_are_counted_and_nothing_else(root: Path) -> None:
    folder = root / "data/rivers"
    fill(folder)
    outside = root / "outside"
    outside.write_bytes(b"x" * 10_000)
    (folder / "link").symlink_to(outside)
    (folder / "up").symlink_to(root)
    os.mkfifo(folder / "fifo")
    os.link(folder / "a.csv", folder / "deep/same.csv")
    found = folders.measure("data/rivers", seconds=10, most=1000)
    assert (found.size, found.files, found.in_part) == (1500, 2, False)


def test_measuring_ends_in_time_and_says_so(root: Path) -> None:
    folder = root / "data/rivers"
    fill(folder)
    for number in range(50):
        (folder / f"{number}").write_bytes(b"x")
    assert folders.measure("data/rivers", seconds=10, most=20).in_part
    assert folders.measure("data/rivers", seconds=-1, most=1000).in_part


def dig(folder: Path, levels: int, size: int) -> None:
    """Folders in one another, deeper than a path can say, and a file at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    at = os.open(folder, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    fd = os.open("end", os.O_WRONLY | os.O_CREAT, dir_fd=at)
    os.truncate(fd, size)
    os.close(fd)
    os.close(at)


def test_what_lies_deep_counts_and_costs_no_handles(root: Path) -> None:
    dig(root / "data/rivers", 3000, 10_000)
    fill(root / "data/rivers")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE,
        (len(os.listdir("/proc/self/fd")) + 20, hard),  # noqa: PTH208
    )
    try:
        found = folders.measure("data/rivers", seconds=60, most=10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        # Too deep for what clears away after tests.
        SafeFolder(root / "data/rivers").remove("d")
    assert (found.size, found.files, found.in_part) == (11_500, 3, False)


def test_a_folder_that_moves_while_it_is_measured(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way back up leads elsewhere then: nothing of that is counted."""
    (root / "data/rivers/a/b").mkdir(parents=True)
    (root / "data/rivers/a/b/in").write_bytes(b"x" * 10)
    for number in range(5):
        (root / f"elsewhere/{number}").mkdir(parents=True)
        (root / f"elsewhere/{number}/big").write_bytes(b"x" * 1000)
        (root / f"data/rivers/a/{number}").mkdir()
    real = folders._Count.folder

    def moves(self: Any, fd: int) -> list[str]:
        names = real(self, fd)
        if "b" in names:
            names.sort()  # b is entered first.
        elif not names and (root / "data/rivers/a/b").exists():
            (root / "data/rivers/a/b").rename(root / "elsewhere/b")
        return names

    monkeypatch.setattr(folders._Count, "folder", moves)
    found = folders.measure("data/rivers", seconds=10, most=1000)
    assert (found.size, found.in_part) == (10, False)
    (root / "elsewhere/b").rename(root / "data/rivers/a/b")

    def takes_all(self: Any, fd: int) -> list[str]:
        names = real(self, fd)
        if "b" in names:
            names.sort()
        elif not names and (root / "data/rivers/a").exists():
            (root / "data/rivers/a/b").rename(root / "elsewhere/b")
            (root / "data/rivers/a").rename(root / "gone")
            (root / "elsewhere").rename(root / "data/rivers/a")
        return names

    monkeypatch.setattr(folders._Count, "folder", takes_all)
    found = folders.measure("data/rivers", seconds=10, most=1000)
    assert (found.size, found.in_part) == (10, True)


def test_a_count_in_part_lowers_no_figure(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make("rivers", size=9000, file_count=9)
    fill(root / "data/rivers")
    monkeypatch.setattr(upkeep, "MOST", 2)
    upkeep.measure(dataset)
    dataset.refresh_from_db()
    assert (dataset.size, dataset.file_count, dataset.measured_in_part) == (9000, 9, True)
    monkeypatch.setattr(upkeep, "MOST", 1000)
    upkeep.measure(dataset)
    dataset.refresh_from_db()
    assert (dataset.size, dataset.file_count, dataset.measured_in_part) == (1500, 2, False)


def test_what_killed_uploads_left_goes_after_a_day(root: Path) -> None:
    """Only from folders that are the portal's to change, and nothing else by their names."""
    folder = root / "data/rivers"
    fill(folder)
    kept = root.parent / "kept"
    kept.mkdir()
    (kept / "secret").write_bytes(b"x")
    old, name = time.time() - 90_000, ".rcluster-0123456789abcde"
    (folder / f"deep/{name}0").write_bytes(b"x" * 700)
    (folder / f"{name}1").mkdir()
    (folder / f"{name}1/half").write_bytes(b"x")
    (folder / f"{name}1/out").symlink_to(kept)
    (folder / f"{name}2").symlink_to(kept)
    (folder / f"{name}3").write_bytes(b"x")
    (folder / f"{name}4.csv").write_bytes(b"x")
    for path in (*folder.rglob(".rcluster-*"), kept):
        if not path.name.endswith("3"):
            os.utime(path, (old, old), follow_symlinks=False)
    assert folders.measure("data/rivers", seconds=10, most=1000).size == 1500 + 700 + 1 + 1 + 1
    assert (folder / f"deep/{name}0").exists()
    found = folders.measure("data/rivers", seconds=10, most=1000, ours=True)
    assert found.size == 1500 + 1 + 1
    left = {path.name for path in folder.rglob(".rcluster-*")}
    assert left == {f"{name}3", f"{name}4.csv"}
    assert (kept / "secret").read_bytes() == b"x"


def test_a_dataset_in_place_keeps_all_of_it(root: Path) -> None:
    dataset = make("old", "archive")
    fill(root / "archive")
    abandoned = root / "archive/.rcluster-0123456789abcdef"
    abandoned.write_bytes(b"x")
    os.utime(abandoned, (1, 1))
    upkeep.measure(dataset)
    assert abandoned.exists()


def test_locked_folders_are_looked_into_as_deep_as_one_may_ask(root: Path) -> None:
    folder = at = root / "data/rivers/locked"
    for _ in range(folders.MOST_LOCKED + 5):
        at.mkdir(parents=True)
        (at / "file").write_bytes(b"x")
        at = at / "d"
    for path in sorted(folder.rglob("d"), reverse=True):
        path.chmod(0)
    folder.chmod(0)
    found = folders.measure("data/rivers", seconds=10, most=1000, ours=True)
    assert (found.size, found.in_part, found.unread) == (folders.MOST_LOCKED, False, True)
    assert folder.stat().st_mode & 0o777 == 0


def test_what_changed_is_measured_anew_and_the_rest_is_left_alone(root: Path) -> None:
    dataset = make("rivers")
    fill(root / "data/rivers")
    assert upkeep.measure_due() == 1
    dataset.refresh_from_db()
    assert (dataset.size, dataset.file_count) == (1500, 2)
    assert dataset.measured_at is not None
    assert upkeep.measure_due() == 0
    (root / "data/rivers/c.csv").write_bytes(b"x")
    now = timezone.now()
    Dataset.objects.update(measured_at=now - timedelta(minutes=1), changed_at=now)
    assert upkeep.measure_due() == 1
    dataset.refresh_from_db()
    assert dataset.size == 1501


def test_each_is_measured_once_a_day(root: Path) -> None:
    make(
        "rivers",
        measured_at=timezone.now() - timedelta(hours=25),
        changed_at=timezone.now() - timedelta(days=9),
    )
    make(
        "lakes",
        measured_at=timezone.now() - timedelta(hours=2),
        changed_at=timezone.now() - timedelta(days=9),
    )
    fill(root / "data/rivers")
    fill(root / "data/lakes")
    assert upkeep.measure_due() == 1
    assert Dataset.objects.get(name="rivers").size == 1500


def test_a_missing_folder_keeps_what_was_known_and_stops_nobody_else(root: Path) -> None:
    gone = make("gone", size=7, file_count=1)
    make("rivers")
    fill(root / "data/rivers")
    assert upkeep.measure_due() == 1
    gone.refresh_from_db()
    assert (gone.size, gone.measured_at) == (7, None)


# Going.


def test_what_was_hidden_is_removed_also_after_a_crash(root: Path) -> None:
    dataset = make("rivers")
    fill(root / "data/rivers")
    folders.hide(dataset)
    assert not (root / "data/rivers").exists()
    folders.hide(dataset)
    folders.clear_hidden()
    assert not list((root / "data").iterdir())


@pytest.mark.parametrize("path", ["archive", "data/rivers"])
def test_a_folder_in_place_is_never_touched(root: Path, path: str) -> None:
    """Not even where the portal's own would be."""
    fill(root / path)
    (root / "data").mkdir(exist_ok=True)
    folders.hide(make("rivers", path))
    folders.clear_hidden()
    assert (root / path / "a.csv").read_bytes() == b"x" * 1000
