"""Options of the fault tests, their portal, and the report at their end."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos.report import Report
from tests.mesos.faults.cases import cases
from tests.mesos.faults.faults import ALL
from tests.mesos.faults.rig import MesosRig

REPORT = pytest.StashKey[Report]()
DEFAULTS: dict[str, Any] = {"database": "postgresql", "seed": 4}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Known only where this folder is named on the command line."""
    group = parser.getgroup("mesos faults")
    group.addoption("--faults-database", choices=("postgresql", "sqlite"))
    group.addoption("--faults-seed", type=int, help="of everything left to chance")
    group.addoption("--faults-write", action="store_true", help="write docs/reliability.md")


def option(config: pytest.Config, name: str) -> Any:
    value = getattr(config.option, f"faults_{name}", None)
    return DEFAULTS.get(name) if value is None else value


def pytest_configure(config: pytest.Config) -> None:
    config.stash[REPORT] = Report(
        seed=option(config, "seed"), database=option(config, "database"), sampled=False
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        table = cases(option(metafunc.config, "seed"))
        metafunc.parametrize(
            "case", [pytest.param(case, id=case.name.removeprefix("mesos-")) for case in table]
        )


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    config = request.config
    if REPORT not in config.stash:
        pytest_configure(config)
    return config.stash[REPORT]


@pytest.fixture(scope="session")
def rig(r_image: str, report: Report) -> Iterator[MesosRig]:
    made = MesosRig(report.database)
    yield made
    made.close()


@pytest.fixture
def chance(request: pytest.FixtureRequest, report: Report) -> random.Random:
    return random.Random(f"{report.seed} {request.node.name}")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    report = config.stash.get(REPORT, None)
    if report is None or not report.tried:
        return
    terminalreporter.write_line("")
    for line in report.lines():
        terminalreporter.write_line(line)
    if option(config, "write"):
        terminalreporter.write_line(f"written to {report.write(faults=('mesos-faults', ALL))}")
