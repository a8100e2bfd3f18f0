"""What a master's list of agents says of machines; the JSON is that of a real Mesos 1.11."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.backends.base import BackendUnavailable
from jobs.backends.mesos_operator import Operator

AGENT: dict[str, Any] = {
    "id": "8638ef16-S1",
    "hostname": "agent1",
    "pid": "slave(1)@10.0.0.7:5051",
    "port": 5051,
    "registered_time": 100.5,
    "active": True,
    "deactivated": False,
    "attributes": {"disk": "ssd", "rack": 3.0},
    "resources": {"cpus": 4.0, "mem": 4096.0},
    "used_resources": {"cpus": 1.5, "mem": 1024.0},
}


@pytest.fixture
def operator() -> Operator:
    return Operator()


def listed(operator: Operator, monkeypatch: pytest.MonkeyPatch, **told: Any) -> Any:
    monkeypatch.setattr(operator, "_get", lambda *_: told)
    return operator.agents("m:5050")


def test_an_agent(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    [found] = listed(operator, monkeypatch, slaves=[AGENT])
    report = found.report
    assert (found.address, found.registered) == ("10.0.0.7:5051", 100.5)
    assert (report.name, report.node, report.cpus, report.free_cpus) == (
        "agent1", "8638ef16-S1", 4.0, 2.5,
    )  # fmt: skip
    assert report.free_memory == 3 * 1024**3
    assert report.attributes == {"disk": "ssd", "rack": "3"}
    assert report.present
    assert report.note == ""


@pytest.mark.parametrize(
    ("changes", "present", "note"),
    [
        ({"active": False}, False, ""),
        ({"active": False, "deactivated": True}, True, "Deactivated in Mesos"),
        (
            {"active": False, "deactivated": True, "drain_info": {"state": "DRAINED"}},
            True,
            "Mesos has drained it",
        ),
    ],
)
def test_one_that_takes_nothing(
    operator: Operator,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    present: bool,
    note: str,
) -> None:
    [found] = listed(operator, monkeypatch, slaves=[AGENT | changes])
    assert found.report.present is present
    assert found.report.note.startswith(note)
    assert bool(found.report.note) is bool(note)


def test_one_that_is_expected_back(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    missed = AGENT | {"hostname": "agent2"}
    found = listed(operator, monkeypatch, slaves=[AGENT], recovered_slaves=[missed, AGENT])
    assert [each.report.name for each in found] == ["agent1", "agent2"]
    assert not found[1].report.present
    assert "expects it back" in found[1].report.note


def test_its_time_of_registration_is_that_of_its_last_start(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    [found] = listed(operator, monkeypatch, slaves=[AGENT | {"reregistered_time": 200.0}])
    assert found.registered == 200.0


def test_nobody_there() -> None:
    with pytest.raises(BackendUnavailable, match="Mesos agent does not answer"):
        Operator().flags("127.0.0.1:9")
