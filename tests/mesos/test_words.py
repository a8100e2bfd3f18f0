"""`./rcluster mesos-lab`, from up to down."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.mesos.lab import Lab
from deploy.portal import mesos_lab
from deploy.portal.place import Place
from deploy.portal.problem import Problem

pytestmark = pytest.mark.mesos


@pytest.fixture
def place(tmp_path: Path) -> Place:
    port = str(Lab.free_port(2))
    return Place.of({"RCLUSTER_HOME": str(tmp_path / "home"), "RCLUSTER_MESOS_LAB_PORT": port})


def test_from_up_to_down(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    def said() -> str:
        return capsys.readouterr().err

    master = f"127.0.0.1:{place.variables['RCLUSTER_MESOS_LAB_PORT']}"
    try:
        assert mesos_lab.up(place, agents="1") == 0
        assert f"RCLUSTER_MESOS_MASTER={master} ./rcluster up --backend mesos" in said()
        assert mesos_lab.status(place) == 0
        assert re.search(r"agent1 .* registered, 0 tasks run", said())

        assert mesos_lab.up(place) == 0
        assert f"runs already: master {master}, agent1." in said()
        assert mesos_lab.up(place, agents="2") == 0
        assert f"runs: master {master}, agent1, agent2." in said()

        assert mesos_lab.kill(place, "agent2") == 0
        assert "up brings it back" in said()
        assert mesos_lab.status(place) == 1
        assert re.search(r"agent2 .* does not run", said())
        with pytest.raises(Problem, match="agent2 does not run"):
            mesos_lab.kill(place, "agent2")
        with pytest.raises(Problem, match="choose master, agent1, agent2"):
            mesos_lab.kill(place, "agent3")

        assert mesos_lab.kill(place, "master") == 0
        assert mesos_lab.status(place) == 1
        assert mesos_lab.up(place) == 0
        assert mesos_lab.status(place) == 0
    finally:
        said()
        assert mesos_lab.down(place) == 0
    assert said() == "The Mesos lab is stopped.\n"
    assert mesos_lab.down(place) == 0
    assert said() == "No Mesos lab runs.\n"
    assert mesos_lab.status(place) == 1


def test_before_the_first_up(place: Place) -> None:
    for call in (mesos_lab.status, lambda place: mesos_lab.kill(place, "master")):
        with pytest.raises(Problem, match="mesos-lab up makes one"):
            call(place)
    assert mesos_lab.down(place) == 0
