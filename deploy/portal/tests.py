"""`./rcluster test`: get what the tests need, run them in stages, say what came of each."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from deploy.portal import builds, homes, lint, packages
from deploy.portal.database import temporary_postgresql
from deploy.portal.place import Place
from deploy.portal.problem import Problem, Usage
from deploy.portal.progress import Progress
from deploy.portal.results import Result, say, table

LATER = ("chaos", "mesos", "nfs")
"""Part of the contract, built by later work."""


@dataclass(frozen=True)
class Stage:
    """One call of pytest."""

    name: str
    markers: str
    packages: tuple[str, ...] = ()
    engine: bool = False
    """needs a Docker engine and the image of R"""
    postgresql: bool = False


FAST = Stage("fast", "not slow and not docker and not browser", packages.TESTS)
SQLITE = Stage("SQLite", "not docker and not browser", packages.TESTS)
POSTGRESQL = Stage(
    "PostgreSQL",
    "not docker and not browser and not local and not slow",
    (*packages.TESTS, *packages.DATABASE),
    postgresql=True,
)
DOCKER = Stage(
    "Docker", "docker and not browser", (*packages.TESTS, *packages.DOCKER_TESTS), engine=True
)
BROWSER = Stage("browser", "browser", (*packages.TESTS, *packages.BROWSER))
STAGES = {"fast": (FAST,), "browser": (BROWSER,), "all": (SQLITE, POSTGRESQL, DOCKER, BROWSER)}


def run(place: Place, what: str) -> int:
    """0 only if every stage passed, and each of them ran at least one test."""
    if what in LATER:
        raise Usage(f"There are no {what} tests yet.")
    if what not in STAGES:
        raise Usage(f"There are no “{what}” tests: choose {', '.join((*STAGES, *LATER))}.")
    start = time.monotonic()
    results: list[Result] = []
    progress = Progress()
    needed = [package for stage in STAGES[what] for package in stage.packages]
    packages.ensure(
        [*builds.packages_needed(place), *needed], progress=progress, purpose="The tests"
    )
    builds.ensure(place, progress)
    homes.ensure_account(place)
    if what == "all":
        results += lint.check(place)
    results += [_guarded(place, stage, progress) for stage in STAGES[what]]
    table(results)
    say(f"in {(time.monotonic() - start) / 60:.1f} minutes")
    return 0 if all(result.ok for result in results) else 1


def _guarded(place: Place, stage: Stage, progress: Progress) -> Result:
    """What a stage needs may be missing: the other stages run all the same."""
    try:
        return _stage(place, stage, progress)
    except Problem as problem:
        say(f"\n== {stage.name}: {problem}")
        return Result(stage.name, ok=False, seconds=0.0, note=str(problem).splitlines()[0])


def _stage(place: Place, stage: Stage, progress: Progress) -> Result:
    environment = {k: v for k, v in place.variables.items() if k != "RCLUSTER_CWD"}
    with contextlib.ExitStack() as stack:
        if stage.engine:
            engine_and_image(place, progress)
        if stage.postgresql:
            with progress.step("PostgreSQL of our own"):
                environment["RCLUSTER_DATABASE_URL"] = stack.enter_context(temporary_postgresql())
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rc-test-")))
        # Portals in it are entered by the ordinary user.
        scratch.chmod(0o755)
        environment["RCLUSTER_TEST_TMP"] = str(scratch)
        junit = scratch / "junit.xml"
        words = [
            str(place.python),
            "-m",
            "pytest",
            "-q",
            "-m",
            stage.markers,
            f"--junitxml={junit}",
        ]
        return Result.of(stage.name, words, cwd=place.clone, env=environment).with_counts(junit)


def engine_and_image(place: Place, progress: Progress) -> None:
    """Start a Docker engine where none answers, and build the image of R where it is missing."""
    folder = place.clone / "deploy" / "environments"
    environment = {**os.environ, "DOCKER_HOST": place.settings.text("RCLUSTER_DOCKER_HOST")}
    if environment["DOCKER_HOST"] == "unix:///var/run/docker.sock":
        # Docker's own default: the engine may be started.
        del environment["DOCKER_HOST"]
    with progress.step("Docker engine"):
        progress.command([str(folder / "docker_engine.sh")], cwd=place.clone, env=environment)
    with progress.step("Image of R"):
        progress.command([str(folder / "r-base" / "build.sh")], cwd=place.clone, env=environment)
