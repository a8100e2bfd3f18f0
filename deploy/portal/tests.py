"""`./rcluster test`: get what the tests need, run them in stages, say what came of each."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.portal import builds, homes, lint, packages
from deploy.portal.database import temporary_postgresql
from deploy.portal.place import Place
from deploy.portal.problem import Problem, Usage
from deploy.portal.progress import Progress
from deploy.portal.results import Result, say, table


@dataclass(frozen=True)
class Stage:
    """One call of pytest."""

    name: str
    markers: str
    packages: tuple[str, ...] = ()
    engine: bool = False
    """needs a Docker engine and the image of R"""
    postgresql: bool = False
    arguments: tuple[str, ...] = ()
    """of pytest, beside the markers"""


PARALLEL = ("--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile")
"""Each process with a database, a home and a Valkey of its own."""

FAST = Stage(
    "fast",
    "not slow and not docker and not browser and not chaos and not mesos",
    packages.TESTS,
    arguments=PARALLEL,
)
SQLITE = Stage(
    "SQLite",
    "not docker and not browser and not chaos and not mesos",
    packages.TESTS,
    arguments=PARALLEL,
)
POSTGRESQL = Stage(
    "PostgreSQL",
    "not docker and not browser and not local and not slow and not chaos and not mesos",
    (*packages.TESTS, *packages.DATABASE),
    postgresql=True,
    arguments=PARALLEL,
)
DOCKER = Stage(
    "Docker",
    "docker and not browser and not mesos",
    (*packages.TESTS, *packages.DOCKER_TESTS),
    engine=True,
)
BROWSER = Stage(
    "browser",
    "browser",
    (*packages.TESTS, *packages.BROWSER, *packages.MESOS, *packages.DOCKER_TESTS),
    engine=True,
)
CHAOS = Stage(
    "chaos",
    "chaos",
    (*packages.TESTS, *packages.DATABASE, *packages.DOCKER_TESTS),
    engine=True,
    arguments=("tests/chaos", "--chaos-write"),
)
CHAOS_SAMPLE = replace(
    CHAOS,
    name="chaos sample",
    arguments=("tests/chaos", "--chaos-sample=12", "--chaos-seed=1"),
)
MESOS = Stage(
    "Mesos",
    "mesos and not browser and not chaos",
    (*packages.TESTS, *packages.MESOS, *packages.DOCKER_TESTS),
    engine=True,
)
MESOS_FAULTS = replace(
    MESOS,
    name="Mesos faults",
    markers="mesos and chaos",
    packages=(*MESOS.packages, *packages.DATABASE),
    arguments=("tests/mesos/faults", "--faults-write"),
)
NFS = Stage("NFS", "nfs", (*packages.TESTS, *packages.NFS), arguments=("tests/nfs", "-s"))
STAGES = {
    "fast": (FAST,),
    "browser": (BROWSER,),
    "chaos": (CHAOS,),
    "nfs": (NFS,),
    "chaos-sample": (CHAOS_SAMPLE,),
    "mesos": (MESOS, MESOS_FAULTS),
    "all": (SQLITE, POSTGRESQL, DOCKER, MESOS, BROWSER, CHAOS_SAMPLE),
}
CHAOS_OPTIONS = ("--seconds", "--seed", "--backend")
"""What `./rcluster test chaos` also takes, each with a value."""


def run(place: Place, what: str, options: Mapping[str, str] | None = None) -> int:
    """0 only if every stage passed, and each of them ran at least one test.

    `options`: those of CHAOS_OPTIONS that were given, for the chaos tests.
    """
    if what not in STAGES:
        raise Usage(f"There are no “{what}” tests: choose {', '.join(STAGES)}.")
    stages = _with_options(what, options or {})
    start = time.monotonic()
    results: list[Result] = []
    progress = Progress()
    needed = [package for stage in stages for package in stage.packages]
    packages.ensure(
        [*builds.packages_needed(place), *needed], progress=progress, purpose="The tests"
    )
    builds.ensure(place, progress)
    homes.ensure_account(place)
    if what == "all":
        results += lint.check(place)
    results += [_guarded(place, stage, progress) for stage in stages]
    table(results)
    say(f"in {(time.monotonic() - start) / 60:.1f} minutes")
    return 0 if all(result.ok for result in results) else 1


def _with_options(what: str, options: Mapping[str, str]) -> tuple[Stage, ...]:
    if not options:
        return STAGES[what]
    if what != "chaos":
        raise Usage(f"Only the chaos tests take {', '.join(CHAOS_OPTIONS)}.")
    for name, value in options.items():
        if name == "--backend" and value not in {"local", "docker"}:
            raise Usage(f"There is no backend “{value}”: choose docker or local.")
        if name != "--backend" and not value.isdigit():
            raise Usage(f"{name} is “{value}”: give a whole number.")
    more = [f"--chaos-{name.removeprefix('--')}={value}" for name, value in options.items()]
    local_only = options.get("--backend") == "local"
    stage = replace(CHAOS, arguments=(*CHAOS.arguments, *more), engine=not local_only)
    return (
        replace(stage, packages=(*packages.TESTS, *packages.DATABASE)) if local_only else stage,
    )


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
            *stage.arguments,
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
