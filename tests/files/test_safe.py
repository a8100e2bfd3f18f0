"""SafeFolder against paths and folders made to break out of it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from files import archive
from files.removal import TEMPORARY
from files.safe import MAX_PATH, FileTooLarge, SafeFolder, UnsafePath

SECRET = b"secret of another person"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside"
    path.mkdir()
    (path / "secret").write_bytes(SECRET)
    return path


@pytest.fixture
def area(tmp_path: Path) -> Path:
    path = tmp_path / "area"
    path.mkdir()
    (path / "plain.txt").write_bytes(b"plain")
    (path / "sub").mkdir()
    (path / "sub" / "deep.txt").write_bytes(b"deep")
    return path


@pytest.fixture
def folder(area: Path) -> SafeFolder:
    return SafeFolder(area)


def snapshot(path: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below a folder, to see that nothing of it was touched."""
    return {
        str(each.relative_to(path)): (
            each.lstat().st_mode,
            each.read_bytes() if each.is_file() else b"",
        )
        for each in sorted(path.rglob("*"))
    }


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


Verb = Callable[[SafeFolder, str], object]


def _read(folder: SafeFolder, path: str) -> object:
    with folder.open_read(path) as file:
        return file.read()


def _overwrite(folder: SafeFolder, path: str) -> object:
    fd = folder.open_fd(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        return os.write(fd, b"overwritten")
    finally:
        os.close(fd)


VERBS: dict[str, Verb] = {
    "open_read": _read,
    "read": lambda folder, path: folder.read(path, limit=1000),
    "open_fd": _overwrite,
    "write": lambda folder, path: folder.write(path, [b"written"], limit=1000),
    "entries": lambda folder, path: folder.entries(path),
    "entry": lambda folder, path: folder.entry(path),
    "make_folder": lambda folder, path: folder.make_folder(path),
    "remove": lambda folder, path: folder.remove(path),
    "move from": lambda folder, path: folder.move(path, "moved"),
    "move to": lambda folder, path: folder.move("plain.txt", path),
    "move over": lambda folder, path: folder.move("plain.txt", path, replace=True),
    "scan": lambda folder, path: list(folder.scan(path)),
    "zip": lambda folder, path: b"".join(archive.zipped(folder, path, top="all")),
}

BAD_PATHS = [
    "..",
    "../outside/secret",
    "sub/../../outside/secret",
    "sub/..",
    ".",
    "./plain.txt",
    "sub/./deep.txt",
    "/etc/passwd",
    "//etc/passwd",
    "sub//deep.txt",
    "sub/",
    "plain.txt\0",
    "\0",
    "x" * 256,
    "é" * 128,
    "/".join(["y" * 200] * 21),
    "lone \udcff surrogate",
    "\ud800",
    "...//..",
    "sub/../sub/deep.txt",
    "/proc/self/fd/0",
    "/dev/stdin",
    "/",
    "plain.txt/",
    "plain.txt/..",
    "sub/./.",
    "../area/plain.txt",
    "sub/deep.txt\0.png",
]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("path", BAD_PATHS, ids=lambda path: ascii(path)[:30])
def test_paths_that_lead_away_are_refused(
    folder: SafeFolder, area: Path, outside: Path, verb: str, path: str
) -> None:
    before = snapshot(area), snapshot(outside)
    with pytest.raises(UnsafePath):
        VERBS[verb](folder, path)
    assert (snapshot(area), snapshot(outside)) == before


@pytest.mark.parametrize(
    "verb", [verb for verb in VERBS if verb not in ("entries", "entry", "scan", "zip")]
)
def test_the_folder_itself_is_no_file(folder: SafeFolder, area: Path, verb: str) -> None:
    before = snapshot(area)
    with pytest.raises(UnsafePath):
        VERBS[verb](folder, "")
    assert snapshot(area) == before


@pytest.mark.parametrize(
    "name",
    [
        "..\\..\\outside\\secret",
        "%2e%2e%2foutside%2fsecret",
        "..%00",
        "C:\\x",
        "-rf",
        "...",
        "~",
        "a b\n",
        "trailing.",
        "trailing ",
        "\u2025",
        "\u2024\u2024",
        "\uff0e\uff0e\uff0fsecret",
        "..\u2215secret",
        "PLAIN.TXT",
        "con:aux|nul",
        "\u200b",
        "\\\\server\\share",
        "%2525",
        "ﬁle",
    ],
)
def test_odd_names_are_plain_names(
    folder: SafeFolder, area: Path, outside: Path, name: str
) -> None:
    before = snapshot(outside)
    folder.write(name, [b"odd"], limit=10)
    assert _read(folder, name) == b"odd"
    assert (area / name).read_bytes() == b"odd"
    assert name in [entry.name for entry in folder.entries()]
    folder.remove(name)
    assert snapshot(outside) == before


@pytest.mark.parametrize(
    "name", ["Ünïcödé.csv", "数据.R", "🐟", "e\u0301", "\u202etxt.exe", "a" * 255]
)
def test_unicode_names(folder: SafeFolder, name: str) -> None:
    folder.write(f"sub/{name}", ["ü".encode()], limit=10)
    assert _read(folder, f"sub/{name}") == "ü".encode()
    assert folder.entry(f"sub/{name}").path == f"sub/{name}"


LINKS: dict[str, Callable[[Path], Path]] = {
    "absolute": lambda outside: outside,
    "relative": lambda _: Path("../outside"),
    "inside": lambda _: Path("sub"),
    "itself": lambda _: Path("link"),
    "broken": lambda _: Path("/nonexistent/for/sure"),
    "cwd": lambda _: Path("/proc/self/cwd"),
    "proc": lambda outside: Path("/proc/self/root") / str(outside).lstrip("/"),
}


@pytest.mark.parametrize("below", ["secret", "deep.txt", "new", "new/newer"])
@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("verb", VERBS)
def test_no_link_on_the_way_is_followed(
    folder: SafeFolder, area: Path, outside: Path, verb: str, link: str, below: str
) -> None:
    (area / "link").symlink_to(LINKS[link](outside))
    (area / "sub" / "link").symlink_to(LINKS[link](outside))
    before = snapshot(area), snapshot(outside)
    for path in (f"link/{below}", f"sub/link/{below}"):
        with pytest.raises(UnsafePath):
            VERBS[verb](folder, path)
    assert (snapshot(area), snapshot(outside)) == before


@pytest.mark.parametrize("verb", [v for v in VERBS if v not in ("entry", "remove")])
@pytest.mark.parametrize("target", ["outside", "outside/secret", "/dev/null", "nowhere"])
def test_no_link_at_the_end_is_followed(
    folder: SafeFolder, area: Path, outside: Path, verb: str, target: str
) -> None:
    (area / "link").symlink_to(area.parent / target)
    before = snapshot(area), snapshot(outside)
    with pytest.raises((UnsafePath, FileExistsError)):
        VERBS[verb](folder, "link")
    assert (snapshot(area), snapshot(outside)) == before


def test_a_link_can_be_seen_and_removed_but_not_its_target(
    folder: SafeFolder, area: Path, outside: Path
) -> None:
    (area / "link").symlink_to(outside)
    assert folder.entry("link").kind == "other"
    assert [entry.kind for entry in folder.entries() if entry.name == "link"] == ["other"]
    with pytest.raises(FileExistsError):
        folder.move("plain.txt", "link")
    folder.remove("link")
    assert not (area / "link").is_symlink()
    assert (outside / "secret").read_bytes() == SECRET


def test_a_removed_folder_takes_links_with_it_and_not_what_they_point_at(
    folder: SafeFolder, area: Path, outside: Path
) -> None:
    (area / "sub" / "away").symlink_to(outside)
    (area / "sub" / "file").symlink_to(outside / "secret")
    before = snapshot(outside)
    folder.remove("sub")
    assert not (area / "sub").exists()
    assert snapshot(outside) == before


@pytest.fixture(params=["fifo", "socket", "device"])
def special(request: pytest.FixtureRequest, area: Path) -> Iterator[str]:
    path = area / "special"
    if request.param == "fifo":
        os.mkfifo(path)
        yield "special"
    elif request.param == "socket":
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
            fd = os.open(area, os.O_PATH)
            server.bind(f"/proc/self/fd/{fd}/special")
            os.close(fd)
            yield "special"
    else:
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("only root can make a device")
        yield "special"


@pytest.mark.timeout(10)
@pytest.mark.parametrize("verb", [v for v in VERBS if v not in ("entry", "remove")])
def test_what_is_no_regular_file_is_refused_at_once(
    folder: SafeFolder, area: Path, special: str, verb: str
) -> None:
    with pytest.raises((UnsafePath, FileExistsError)):
        VERBS[verb](folder, special)
    assert folder.entry(special).kind == "other"
    folder.remove(special)
    assert not (area / special).exists()


@pytest.mark.parametrize("verb", ["open_read", "read", "open_fd", "write"])
def test_a_folder_is_no_file(folder: SafeFolder, verb: str) -> None:
    with pytest.raises(UnsafePath):
        VERBS[verb](folder, "sub")


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "entry"])
def test_a_file_is_no_folder(folder: SafeFolder, area: Path, verb: str) -> None:
    with pytest.raises(UnsafePath):
        VERBS[verb](folder, "plain.txt/below")
    assert (area / "plain.txt").read_bytes() == b"plain"


@pytest.mark.parametrize("verb", ["open_read", "read", "entries", "entry", "remove", "move from"])
def test_what_is_missing_is_missing(folder: SafeFolder, verb: str) -> None:
    for path in ("missing", "missing/too", "sub/missing"):
        with pytest.raises(FileNotFoundError):
            VERBS[verb](folder, path)


SWAPPER = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, RENAME_EXCHANGE = -100, 2
print("ready", flush=True)
while True:
    assert libc.renameat2(AT_FDCWD, b"swap", AT_FDCWD, b"link", RENAME_EXCHANGE) == 0
"""


@contextlib.contextmanager
def another_process(code: str, cwd: Path) -> Iterator[None]:
    """Python that runs beside us, from its first printed line to the end of the block."""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=cwd, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        yield
        assert process.poll() is None, "it ended too early"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


RACED: dict[str, Verb] = {
    "open_read": lambda folder, _: _read(folder, "swap/secret"),
    "open_fd": lambda folder, _: _overwrite(folder, "swap/secret"),
    "write": lambda folder, _: folder.write("swap/new", [b"x"], limit=10),
    "entries": lambda folder, _: folder.entries("swap"),
    "make_folder": lambda folder, _: folder.make_folder("swap/new/newer"),
    "move to": lambda folder, _: folder.move("plain.txt", "swap/moved"),
    "move from": lambda folder, _: folder.move("swap/secret", "moved"),
    "remove": lambda folder, _: folder.remove("swap/secret"),
}


@pytest.mark.parametrize("verb", RACED)
def test_a_component_that_turns_into_a_link_during_the_call(
    folder: SafeFolder, area: Path, outside: Path, verb: str
) -> None:
    """Another process keeps exchanging a folder on the way for a link, as a script could."""
    before = snapshot(outside)
    (area / "swap").mkdir()
    (area / "link").symlink_to(outside)
    refused = done = 0
    with another_process(SWAPPER, area):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not (refused >= 20 and done >= 20):
            # What the verb needs lies in the real folder, reached by whichever name it has now.
            fd = _real_folder(area)
            for name in ("secret", "moved"):
                Path(f"/proc/self/fd/{fd}/{name}").unlink(missing_ok=True)
            Path(f"/proc/self/fd/{fd}/secret").write_bytes(b"mine")
            os.close(fd)
            folder.write("plain.txt", [b"mine"], limit=10)
            (area / "moved").unlink(missing_ok=True)
            try:
                result = RACED[verb](folder, "")
            except UnsafePath:
                refused += 1
                continue
            done += 1
            if verb == "open_read":
                assert result == b"mine"
    assert refused >= 20, (refused, done)
    assert done >= 20, (refused, done)
    assert snapshot(outside) == before


def _real_folder(area: Path) -> int:
    while True:
        for name in ("swap", "link"):
            with contextlib.suppress(OSError):
                return os.open(area / name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def test_a_component_swapped_between_two_steps(
    folder: SafeFolder, area: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same without luck: the link appears after the folder above was opened."""
    real_open = os.open

    def swapping(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "sub":
            (area / "sub").rename(area / "kept")
            (area / "sub").symlink_to(outside)
        return real_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swapping)
    with pytest.raises(UnsafePath):
        folder.open_read("sub/secret")


def test_a_folder_moved_away_during_the_call_is_still_the_one_that_was_opened(
    folder: SafeFolder, area: Path, outside: Path
) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"first "
        (area / "sub").rename(area / "kept")
        (area / "sub").symlink_to(outside)
        yield b"second"

    before = snapshot(outside)
    assert folder.write("sub/new", chunks(), limit=100) == 12
    assert snapshot(outside) == before
    assert (area / "kept" / "new").read_bytes() == b"first second"


def test_write_replaces_at_once(folder: SafeFolder, area: Path) -> None:
    seen: list[bytes] = []
    names: list[str] = []

    def chunks() -> Iterator[bytes]:
        yield b"new "
        seen.append((area / "plain.txt").read_bytes())
        names.extend(entry.name for entry in folder.entries())
        yield b"content"

    (area / "plain.txt").chmod(0o750)
    assert folder.write("plain.txt", chunks(), limit=100) == 11
    assert (seen, names) == ([b"plain"], ["sub", "plain.txt"])
    assert (area / "plain.txt").read_bytes() == b"new content"
    assert stat.S_IMODE((area / "plain.txt").stat().st_mode) == 0o750


@pytest.mark.parametrize("error", [FileTooLarge, ConnectionError])
def test_a_write_that_fails_leaves_nothing(
    folder: SafeFolder, area: Path, error: type[Exception]
) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"12345"
        if error is ConnectionError:
            raise ConnectionError
        yield b"6"

    before = snapshot(area)
    for path in ("plain.txt", "new.txt"):
        with pytest.raises(error):
            folder.write(path, chunks(), limit=5)
    assert snapshot(area) == before


def test_a_file_of_just_the_limit_is_accepted(folder: SafeFolder) -> None:
    assert folder.write("five", [b"12", b"345"], limit=5) == 5
    assert folder.read("five", limit=5) == b"12345"
    with pytest.raises(FileTooLarge, match="limit of 4 bytes"):
        folder.read("five", limit=4)


def test_something_put_in_the_way_during_a_write_is_kept(folder: SafeFolder, area: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x"
        (area / "new").symlink_to("/etc/passwd")

    with pytest.raises(UnsafePath):
        folder.write("new", chunks(), limit=10)
    assert (area / "new").is_symlink()
    assert not list(area.glob(f"{TEMPORARY}*"))


@pytest.mark.timeout(10)
def test_a_sparse_terabyte_costs_nothing(folder: SafeFolder, area: Path) -> None:
    with (area / "sparse").open("wb") as file:
        file.truncate(1024**4)
    assert folder.entry("sparse").size == 1024**4
    with folder.open_read("sparse") as opened:
        assert opened.read(10) == bytes(10)
    with pytest.raises(FileTooLarge):
        folder.read("sparse", limit=1000)
    folder.remove("sparse")


def test_a_hard_link_is_a_file_of_its_own_name(
    folder: SafeFolder, area: Path, outside: Path
) -> None:
    """A script can't make one to a file outside (its mounts differ); replacing or removing one that
    is there never touches the other name."""
    os.link(outside / "secret", area / "hard")
    folder.write("hard", [b"new"], limit=10)
    assert (outside / "secret").read_bytes() == SECRET
    os.link(outside / "secret", area / "hard2")
    folder.remove("hard2")
    assert (outside / "secret").read_bytes() == SECRET


@pytest.mark.parametrize("when", [2**62, -(2**62), 253402300800, 0])
def test_any_time_on_a_file_can_be_listed(folder: SafeFolder, area: Path, when: int) -> None:
    try:
        os.utime(area / "plain.txt", ns=(0, when * 10**9) if abs(when) < 2**33 else (0, when))
    except OverflowError:
        os.utime(area / "plain.txt", (0, 2**40))
    assert folder.entry("plain.txt").modified_at.tzinfo is UTC
    assert {entry.name for entry in folder.entries()} == {"sub", "plain.txt"}


def test_entries(folder: SafeFolder, area: Path) -> None:
    os.utime(area / "plain.txt", (0, 1_700_000_000))
    (area / "B").mkdir()
    folders_first = [(entry.name, entry.path, entry.kind) for entry in folder.entries()]
    assert folders_first == [
        ("B", "B", "folder"),
        ("sub", "sub", "folder"),
        ("plain.txt", "plain.txt", "file"),
    ]
    plain = folder.entries()[-1]
    assert (plain.size, plain.modified_at) == (5, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC))
    assert [entry.path for entry in folder.entries("sub")] == ["sub/deep.txt"]
    assert len(folder.entries(limit=2)) == 2


def test_a_name_that_is_not_utf8_is_shown_and_goes_with_its_folder(
    folder: SafeFolder, area: Path
) -> None:
    (area / "sub" / os.fsdecode(b"\xff.txt")).write_bytes(b"x")
    [entry] = [each for each in folder.entries("sub") if each.name != "deep.txt"]
    assert (entry.name, entry.path, entry.kind) == ("\ufffd.txt", "sub/\ufffd.txt", "other")
    entry.path.encode()
    folder.remove("sub")
    assert not (area / "sub").exists()


def test_move(folder: SafeFolder, area: Path) -> None:
    folder.move("plain.txt", "new/place.txt")
    assert (area / "new" / "place.txt").read_bytes() == b"plain"
    folder.move("sub", "new/sub")
    assert (area / "new" / "sub" / "deep.txt").read_bytes() == b"deep"
    assert [each.name for each in area.iterdir()] == ["new"]
    for source in ("new/place.txt", "new/sub"):
        folder.write("taken", [b""], limit=0)
        with pytest.raises(FileExistsError):
            folder.move(source, "taken")
        folder.remove("taken")
    with pytest.raises(UnsafePath, match="into itself"):
        folder.move("new", "new/sub/new")


def test_make_folder_is_idempotent(folder: SafeFolder, area: Path) -> None:
    folder.make_folder("a/b/c")
    folder.make_folder("a/b/c")
    assert (area / "a" / "b" / "c").is_dir()


def test_remove_a_very_deep_and_a_locked_tree(folder: SafeFolder, area: Path) -> None:
    """Deeper than recursion, descriptors and PATH_MAX allow; `mkdir x; cd x` makes such."""
    fd = os.open(area / "sub", os.O_PATH)
    for _ in range(3000):
        os.mkdir("deeper", dir_fd=fd)
        below = os.open("deeper", os.O_PATH, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    (area / "sub" / "locked").mkdir()
    (area / "sub" / "locked" / "file").write_bytes(b"x")
    (area / "sub" / "locked").chmod(0)
    handles = open_descriptors()
    folder.remove("sub")
    assert [each.name for each in area.iterdir()] == ["plain.txt"]
    assert open_descriptors() == handles


def test_remove_while_a_script_keeps_writing(folder: SafeFolder, area: Path) -> None:
    """Either it is gone or we say that something still writes; the name is free in both cases."""
    code = (
        "import os, itertools\n"
        "os.chdir('sub'); print('ready', flush=True)\n"
        "for n in itertools.count():\n"
        "    try: os.close(os.open(str(n), os.O_CREAT | os.O_WRONLY))\n"
        "    except FileNotFoundError: pass\n"
    )
    with another_process(code, area):
        try:
            folder.remove("sub")
        except OSError as error:
            assert error.errno == errno.ENOTEMPTY
    assert not (area / "sub").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_root_makes_belongs_to_the_owner_of_the_folder(folder: SafeFolder, area: Path) -> None:
    os.chown(area, 65534, 65534)
    folder.write("a/b/new", [b"x"], limit=10)
    folder.make_folder("c")
    os.close(folder.open_fd("d", os.O_WRONLY | os.O_CREAT))
    for name in ("a", "a/b", "a/b/new", "c", "d"):
        found = (area / name).lstat()
        assert (found.st_uid, found.st_gid) == (65534, 65534), name


def test_no_descriptor_is_left_open(folder: SafeFolder, area: Path, outside: Path) -> None:
    (area / "link").symlink_to(outside)
    handles = open_descriptors()
    for verb in VERBS.values():
        for path in ("..", "link/secret", "link", "missing/x", "plain.txt/x", "sub/deep.txt"):
            with contextlib.suppress(UnsafePath, OSError):
                verb(folder, path)
    assert open_descriptors() == handles


def test_longest_path(folder: SafeFolder) -> None:
    path = "/".join(["n" * 199] * (MAX_PATH // 200))
    folder.write(path, [b"far down"], limit=10)
    assert _read(folder, path) == b"far down"
    folder.remove("n" * 199)
