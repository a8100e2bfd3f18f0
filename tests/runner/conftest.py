"""Fixtures: each test runs with both builds, and no AddressSanitizer report goes unseen."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .kit import IS_ROOT, REPOSITORY, Attempt, Binaries

MakeAttempt = Callable[[], Attempt]


@pytest.fixture(scope="session")
def build() -> Iterator[Path]:
    """A folder with the four programs, open to every user (pytest's own are private)."""
    folder = Path(tempfile.mkdtemp(prefix="runner-build-"))
    folder.chmod(0o755)
    subprocess.run(
        ["make", "-s", "-j4", "-C", REPOSITORY / "runner", "all", "asan", f"OUT={folder}"],
        check=True,
        timeout=120,
    )
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user can use."""
    folder = Path(tempfile.mkdtemp(prefix="runner-test-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=["static", "asan"])
def binaries(request: pytest.FixtureRequest, build: Path, place: Path) -> Iterator[Binaries]:
    is_asan = request.param == "asan"
    suffix = "-asan" if is_asan else ""
    reports = place / "reports"
    reports.mkdir()
    reports.chmod(0o777)
    options = f"halt_on_error=1:exitcode=99:log_path={reports}/report"
    environment = dict(os.environ) | {
        "ASAN_OPTIONS": options,
        "UBSAN_OPTIONS": f"{options}:print_stacktrace=1",
    }
    yield Binaries(
        build / f"rcluster-run{suffix}", build / f"rcluster-enter{suffix}", environment, is_asan
    )
    found = "\n".join(path.read_text() for path in reports.iterdir())
    assert not found, found


@pytest.fixture
def make_attempt(binaries: Binaries, place: Path) -> Iterator[MakeAttempt]:
    """Makes attempts, and ends whatever they left running."""
    made: list[Attempt] = []

    def make() -> Attempt:
        folder = place / f"attempt-{len(made)}"
        folder.mkdir()
        attempt = Attempt(folder, binaries)
        attempt.prepare()
        made.append(attempt)
        return attempt

    yield make
    for attempt in made:
        attempt.close()


@pytest.fixture
def attempt(make_attempt: MakeAttempt) -> Attempt:
    return make_attempt()


@pytest.fixture
def small_disk(attempt: Attempt) -> Iterator[Attempt]:
    """The attempt on a file system of 256 KiB."""
    if not IS_ROOT:
        pytest.skip("only root can mount a small file system")
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=0777", "tmpfs", str(attempt.folder)]
    subprocess.run(mount, check=True)
    attempt.prepare()
    yield attempt
    attempt.close()
    subprocess.run(["umount", str(attempt.folder)], check=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real processes that run, wait and die take their time: all of this folder is slow."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("slow")
