"""A script that swaps folders for links while we work below them never gets us outside.

The attacker is a process of its own that exchanges `real` and `link` as fast as the kernel can. That
it is fast enough is shown first: the obvious way, to look and then to open, falls for it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from files import archive
from files.safe import SafeFolder, UnsafePath

SECRET = b"secret of another person"
EXCHANGE = """
import ctypes
libc = ctypes.CDLL(None)
print("ready", flush=True)
while True:
    for _ in range(1000):
        libc.renameat2(-100, b"swap", -100, b"other", 2)
"""
ENOUGH = 10
LONGEST = 10.0


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    (path / "deep").mkdir(parents=True)
    for name in ("file", "deep/file"):
        (path / name).write_bytes(SECRET)
    return path


@pytest.fixture
def area(tmp_path: Path, outside: Path) -> Path:
    path = tmp_path / "area"
    path.mkdir()
    (path / "other").symlink_to(outside)
    return path


@pytest.fixture
def attacker(area: Path) -> Iterator[None]:
    (area / "swap").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", EXCHANGE], cwd=area, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        assert process.poll() is None
        process.kill()


def everything(path: Path) -> dict[str, bytes | None]:
    return {
        str(each.relative_to(path)): each.read_bytes() if each.is_file() else None
        for each in sorted(path.rglob("*"))
    }


def refill(area: Path) -> None:
    """What the verbs need, in the real folder, whichever name that has just now."""
    while True:
        for name in ("swap", "other"):
            with contextlib.suppress(OSError):
                fd = os.open(area / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    real = Path(f"/proc/self/fd/{fd}")
                    (real / "deep").mkdir(exist_ok=True)
                    for each in ("file", "deep/file"):
                        (real / each).write_bytes(b"mine")
                    for each in ("moved", "made", "deep/moved"):
                        (real / each).unlink(missing_ok=True)
                finally:
                    os.close(fd)
                (area / "plain").write_bytes(b"mine")
                (area / "moved").unlink(missing_ok=True)
                return


def read(folder: SafeFolder, path: str) -> bytes:
    with folder.open_read(path) as file:
        return file.read()


Verb = Callable[[SafeFolder, SafeFolder], object]
VERBS: dict[str, Verb] = {
    "read": lambda folder, _: read(folder, "swap/deep/file"),
    "list": lambda folder, _: [entry.name for entry in folder.entries("swap")],
    "scan": lambda folder, _: [entry.size for entry in folder.scan("swap/deep")],
    "write": lambda folder, _: folder.write("swap/made", [b"mine"], limit=100),
    "overwrite": lambda folder, _: folder.write("swap/file", [b"mine"], limit=100),
    "make folder": lambda folder, _: folder.make_folder("swap/deep/new/er"),
    "rename": lambda folder, _: folder.move("swap/file", "swap/moved"),
    "rename over": lambda folder, _: folder.move("plain", "swap/file", replace=True),
    "move in": lambda folder, _: folder.move("plain", "swap/deep/moved"),
    "move out": lambda folder, _: folder.move("swap/file", "moved"),
    "move to another area": lambda folder, to: folder.move(
        "swap/file", "file", to=to, replace=True
    ),
    "remove": lambda folder, _: folder.remove("swap/file"),
    "remove a folder": lambda folder, _: folder.remove("swap/deep"),
    "zip": lambda folder, _: b"".join(archive.zipped(folder, "swap", top="all")),
    "zip from above": lambda folder, _: b"".join(archive.zipped(folder, "", top="all")),
}


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_is_led_outside(
    area: Path, outside: Path, tmp_path: Path, attacker: None, verb: str
) -> None:
    (tmp_path / "second").mkdir()
    before = everything(outside)
    folder, second = SafeFolder(area), SafeFolder(tmp_path / "second")
    refused = done = 0
    deadline = time.monotonic() + LONGEST
    while (refused < ENOUGH or done < ENOUGH) and time.monotonic() < deadline:
        refill(area)
        try:
            result = VERBS[verb](folder, second)
        except (UnsafePath, FileNotFoundError, FileExistsError):
            refused += 1
            continue
        done += 1
        assert SECRET not in (result if isinstance(result, bytes) else b"")
        if verb == "zip from above":
            # It never fails as a whole: what is a link at its moment is left out.
            refused += 1
    assert everything(outside) == before
    assert SECRET not in [each.read_bytes() for each in (tmp_path / "second").iterdir()]
    assert done >= ENOUGH, (refused, done)
    assert refused >= ENOUGH, (refused, done)


def test_the_attacker_beats_who_looks_first_and_opens_then(area: Path, attacker: None) -> None:
    def naive() -> bytes:
        path = area / "swap" / "file"
        if area / "swap" != (area / "swap").resolve():
            raise UnsafePath("a link")
        return path.read_bytes()

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        refill(area)
        with contextlib.suppress(UnsafePath, OSError):
            if naive() == SECRET:
                return
    pytest.fail("the attacker is too slow to prove anything")


@pytest.mark.parametrize("replace", [False, True])
def test_what_comes_to_the_target_during_a_move_is_never_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: bool
) -> None:
    """Without `replace` the kernel itself refuses; with it a folder or link that comes is kept."""
    area = tmp_path / "area"
    area.mkdir()
    (area / "file").write_bytes(b"mine")
    real = os.stat

    def stat(path: Any, **more: Any) -> os.stat_result:
        found = real(path, **more)
        if path == "file" and not (area / "target").exists():
            (area / "target").mkdir()
            (area / "target" / "new").write_bytes(b"theirs")
        return found

    monkeypatch.setattr(os, "stat", stat)
    with pytest.raises(FileExistsError):
        SafeFolder(area).move("file", "target", replace=replace)
    monkeypatch.undo()
    assert (area / "file").read_bytes() == b"mine"
    assert (area / "target" / "new").read_bytes() == b"theirs"


@pytest.mark.parametrize("flags", ["kernel", "network storage"])
def test_moving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str) -> None:
    if flags == "network storage":

        class NoFlags:
            @staticmethod
            def renameat2(*_: object) -> int:
                return -1

        monkeypatch.setattr("files.renaming._libc", NoFlags)
        monkeypatch.setattr("files.renaming.ctypes.get_errno", lambda: 22)
    first, second = SafeFolder(tmp_path / "first"), SafeFolder(tmp_path / "second")
    for folder in (first, second):
        folder.path.mkdir()
    first.write("a/b", [b"b"], limit=9)
    first.write("c", [b"c"], limit=9)
    first.move("a", "x/y/a", to=second)
    assert read(second, "x/y/a/b") == b"b"
    with pytest.raises(FileNotFoundError):
        first.entry("a")
    for replace in (False, True):
        with pytest.raises(FileExistsError):
            first.move("c", "x/y/a", to=second, replace=replace)
        with pytest.raises(FileExistsError):
            second.move("x", "taken", to=_with(first, "taken"), replace=replace)
    with pytest.raises(FileExistsError):
        first.move("c", "x/y/a/b", to=second)
    first.move("c", "x/y/a/b", to=second, replace=True)
    assert read(second, "x/y/a/b") == b"c"
    for target in ("x/y", "x/y/x"):
        with pytest.raises(UnsafePath, match="into itself"):
            second.move("x", target)
    with pytest.raises(FileNotFoundError):
        second.move("missing", "new/folder")


def _with(folder: SafeFolder, name: str) -> SafeFolder:
    folder.write(name, [b"x"], limit=9)
    return folder
