"""`./rcluster bench`: the measurements in tests/bench, one module each with `main(argv)`."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.portal import builds, homes, packages
from deploy.portal.place import Place
from deploy.portal.problem import Usage
from deploy.portal.progress import Progress
from deploy.portal.results import say
from deploy.portal.tests import engine_and_image

NEEDS_ENGINE = frozenset({"first-byte", "log", "mesos", "throughput", "watch"})


def names(place: Place) -> list[str]:
    found = (place.clone / "tests" / "bench").glob("*.py")
    return sorted(p.stem.replace("_", "-") for p in found if not p.stem.startswith("_"))


def run(place: Place, *, name: str, json_file: str, options: Sequence[str] = ()) -> int:
    """0 if every figure met its goal. `options` are for the benchmark `name` itself."""
    known = names(place)
    if name and name not in known:
        raise Usage(f"There is no benchmark “{name}”: {', '.join(known) or 'there are none yet'}.")
    if not known:
        raise Usage("There are no benchmarks yet.")
    wanted = [name] if name else known
    progress = Progress()
    needed = (
        *builds.packages_needed(place),
        *packages.TESTS,
        *packages.DOCKER_TESTS,
        *packages.DATABASE,
        *packages.MESOS_LAB,
    )
    packages.ensure(needed, progress=progress, purpose="The benchmarks")
    builds.ensure(place, progress)
    homes.ensure_account(place)
    if NEEDS_ENGINE & set(wanted):
        engine_and_image(place, progress)
    figures: list[dict[str, Any]] = []
    for one in wanted:
        say(f"\n== {one}")
        module = importlib.import_module(f"tests.bench.{one.replace('-', '_')}")
        figures += module.main(list(options))
    for figure in figures:
        say(_line(figure))
    if json_file:
        here = Path(place.variables.get("RCLUSTER_CWD") or os.curdir)
        (here / json_file).write_text(json.dumps(figures, indent=2) + "\n")
    return 0 if all(figure["met"] for figure in figures) else 1


def _line(figure: dict[str, Any]) -> str:
    verdict = "met " if figure["met"] else "MISSED"
    baseline = ""
    if figure.get("ratio") is not None:
        baseline = f"  {figure['ratio']:.2f} x the bare {figure['baseline']:.4g} {figure['unit']}"
    value = f"{figure['value']:.4g} {figure['unit']}"
    return f"{verdict}  {figure['name']:<28}{value:>14}{baseline}  (goal {figure['goal']})"
