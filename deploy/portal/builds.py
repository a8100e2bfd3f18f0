"""What is built inside the clone: the runner, the front end, the collected static files."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.portal import packages
from deploy.portal.place import Place
from deploy.portal.problem import Problem
from deploy.portal.progress import Progress
from deploy.portal.stamps import Stamp, digest, files_below

NODE_AT_LEAST = (20, 19)
"""as in frontend/package.json"""
_GET_NODE = (
    "get 20.19 or newer with npm, for instance from NodeSource (docs/admin/install.md says how), and "
    "call this again."
)
GENERATED = frozenset({"node_modules", "dist", "static-root", "build"})


@dataclass(frozen=True)
class Build:
    title: str
    name: str
    inputs: Callable[[Place], str]
    """A hash of what it is made from."""
    results: tuple[str, ...]
    """Files in the clone that exist afterwards."""
    make: Callable[[Place, Progress], None]

    def stamp(self, place: Place) -> Stamp:
        return Stamp(place.clone_stamps / self.name, self.inputs(place))

    def is_done(self, place: Place) -> bool:
        there = all((place.clone / result).exists() for result in self.results)
        return there and self.stamp(place).current


def ensure(place: Place, progress: Progress) -> None:
    """Build what is missing or older than its sources. Milliseconds when nothing changed."""
    _ensure(place, progress, BUILDS)


def ensure_modules(place: Place, progress: Progress) -> None:
    """Only what the checks of the front end need."""
    _ensure(place, progress, (NODE_MODULES,))


def _ensure(place: Place, progress: Progress, wanted: Sequence[Build]) -> None:
    if all(build.is_done(place) for build in wanted):
        return
    if not os.access(place.clone, os.W_OK):
        raise Problem(
            f"{place.clone} must be built first, and you may not write there: clone the "
            "repository as yourself, or call ./rcluster up once as its owner."
        )
    place.clone_stamps.mkdir(exist_ok=True)
    with (place.clone_stamps / "build-lock").open("w") as lock:
        # Two portals of one clone must not build over each other.
        fcntl.flock(lock, fcntl.LOCK_EX)
        for build in wanted:
            # Asked anew: what one build makes is what the next is made from.
            if not build.is_done(place):
                build.stamp(place).clear()
                with progress.step(build.title):
                    build.make(place, progress)
                build.stamp(place).write()


def _runner_inputs(place: Place) -> str:
    return digest([place.clone / "runner" / "Makefile", *(place.clone / "runner").glob("*.[ch]")])


def _make_runner(place: Place, progress: Progress) -> None:
    words = ["make", "-C", str(place.clone / "runner")]
    if (place.clone / "runner" / "build").exists():
        # Times of files say little after a checkout: build anew.
        progress.command([*words, "clean"], cwd=place.clone)
    progress.command(words, cwd=place.clone)


def _modules_inputs(place: Place) -> str:
    frontend = place.clone / "frontend"
    return digest([frontend / "package.json", frontend / "package-lock.json"])


def _make_modules(place: Place, progress: Progress) -> None:
    _check_node()
    progress.command(
        ["npm", "ci", "--no-audit", "--no-fund", "--no-update-notifier"],
        cwd=place.clone / "frontend",
    )


def _front_end_inputs(place: Place) -> str:
    folder = place.clone / "frontend"
    # Templates are Django's: they don't go through the bundler.
    return digest(files_below(folder, without=GENERATED | {"templates"}))


def _make_front_end(place: Place, progress: Progress) -> None:
    progress.command(["npm", "run", "build"], cwd=place.clone / "frontend")


def _static_inputs(place: Place) -> str:
    dist = place.clone / "frontend" / "dist"
    # uv.lock: the admin pages and the API's documentation bring files of their own.
    return digest([place.clone / "uv.lock", *files_below(dist)])


def _make_static(place: Place, progress: Progress) -> None:
    progress.command(
        [str(place.python), "manage.py", "collectstatic", "--noinput", "--verbosity", "0"],
        cwd=place.clone,
        # Works before there is any home: it reads no secret.
        env={**place.environment(), "RCLUSTER_SECRET_KEY": "not-used-by-collectstatic"},
    )


RUNNER = Build(
    "Runner",
    "runner",
    _runner_inputs,
    ("runner/build/rcluster-run", "runner/build/rcluster-enter"),
    _make_runner,
)
NODE_MODULES = Build(
    "Front end: packages",
    "node-modules",
    _modules_inputs,
    ("frontend/node_modules/.package-lock.json",),
    _make_modules,
)
FRONT_END = Build(
    "Front end: build",
    "frontend",
    _front_end_inputs,
    ("frontend/dist/manifest.json",),
    _make_front_end,
)
STATIC_FILES = Build(
    "Front end: static files", "static", _static_inputs, ("frontend/static-root",), _make_static
)
BUILDS = (RUNNER, NODE_MODULES, FRONT_END, STATIC_FILES)


def packages_needed(place: Place) -> list[str]:
    """System packages for what still has to be built."""
    needed: list[str] = []
    if not RUNNER.is_done(place):
        needed += packages.BUILD
    if not (NODE_MODULES.is_done(place) and FRONT_END.is_done(place)):
        if not packages.is_there("nodejs"):
            _check_offered_node()
        needed += packages.FRONT_END
    return needed


def _check_offered_node() -> None:
    """Debian 12 offers Node 18 with 300 packages around it, of which nothing would be of use."""
    with contextlib.suppress(FileNotFoundError):
        told = subprocess.run(
            ["apt-cache", "policy", "nodejs"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        ).stdout
        if (found := re.search(r"Candidate: (?:\d+:)?(\d+\.\d+\S*)", told)) and _is_old(found[1]):
            raise Problem(f"Node.js is missing, and apt-get has {found[1]}: {_GET_NODE}")


def _check_node() -> None:
    try:
        version = subprocess.run(
            ["node", "--version"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        raise Problem(f"Node.js is missing: {_GET_NODE}") from None
    if _is_old(version):
        raise Problem(f"Node.js is {version}: {_GET_NODE}")


def _is_old(version: str) -> bool:
    numbers = [int(each) for each in re.findall(r"\d+", version)[:2]]
    return tuple(numbers) < NODE_AT_LEAST


def code_digest(place: Place) -> str:
    """Changes with anything that a running portal has loaded."""
    folders = ("rcluster_site", "accounts", "files", "jobs", "deploy/portal", "frontend/templates")
    files: list[Path] = [place.clone / "uv.lock", place.clone / "runner/build/rcluster-run"]
    for folder in folders:
        files += [p for p in files_below(place.clone / folder) if p.suffix in {".py", ".html"}]
    return digest(files, *(build.stamp(place).inputs for build in (FRONT_END, STATIC_FILES)))
