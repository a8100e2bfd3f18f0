"""Options of the suite, its portals, and the report at its end."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.cases import BACKENDS, Case, cases, sample
from tests.chaos.report import Report
from tests.chaos.rig import Rig

REPORT = pytest.StashKey[Report]()


DEFAULTS: dict[str, Any] = {"database": "postgresql", "seconds": 120.0, "sample": 0}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Known only where the suite is named on the command line: `pytest tests/chaos ...`."""
    group = parser.getgroup("chaos")
    group.addoption("--chaos-backend", choices=BACKENDS, action="append")
    group.addoption("--chaos-database", choices=("postgresql", "sqlite"))
    group.addoption("--chaos-seed", type=int, help="of everything left to chance")
    group.addoption("--chaos-seconds", type=float, help="of each random schedule")
    group.addoption("--chaos-sample", type=int, help="only so many cases, and no schedule")
    group.addoption("--chaos-write", action="store_true", help="write docs/reliability.md")


def option(config: pytest.Config, name: str) -> Any:
    """Its value, its default, or None. Where this folder is found late, nobody has parsed it."""
    value = getattr(config.option, f"chaos_{name}", None)
    return DEFAULTS.get(name) if value is None else value


def pytest_configure(config: pytest.Config) -> None:
    seed = option(config, "seed")
    config.stash[REPORT] = Report(
        seed=secrets.randbelow(10**6) if seed is None else seed,
        database=option(config, "database"),
        sampled=option(config, "sample") > 0,
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A sample has no random schedules."""
    sampled = option(config, "sample") > 0
    return True if sampled and collection_path.name == "test_schedule.py" else None


def backends_of(config: pytest.Config) -> list[str]:
    return option(config, "backend") or list(BACKENDS)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The cases (or a sample of them), grouped by backend: each backend's portal is made once."""
    config = metafunc.config
    count = option(config, "sample")
    if "case" in metafunc.fixturenames:
        table: list[Case] = cases(
            postgresql=option(config, "database") == "postgresql",
            backends=backends_of(config),
        )
        if count:
            table = sample(table, count, config.stash[REPORT].seed)
        metafunc.parametrize(
            ("rig", "case"),
            [pytest.param(case.backend, case, id=case.name) for case in table],
            indirect=["rig"],
            scope="session",
        )
    elif "rig" in metafunc.fixturenames:
        metafunc.parametrize("rig", backends_of(config), indirect=True, scope="session")


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    return request.config.stash[REPORT]


@pytest.fixture(scope="session")
def rig(request: pytest.FixtureRequest, report: Report) -> Iterator[Rig]:
    if request.param == "docker":
        request.getfixturevalue("r_image")
    made = Rig(request.param, report.database)
    yield made
    made.close()


@pytest.fixture
def chance(request: pytest.FixtureRequest, report: Report) -> random.Random:
    """Chance of one test: the same for the same seed, whatever other tests run."""
    return random.Random(f"{report.seed} {request.node.name}")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    report = config.stash[REPORT]
    if report.tried:
        terminalreporter.write_line("")
        for line in report.lines():
            terminalreporter.write_line(line)
        if option(config, "write"):
            terminalreporter.write_line(f"written to {report.write()}")
