"""The processors that a Run is shown, and where the files for that are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.backends.base import BackendUnavailable, ContainerSpec, Mount
from jobs.backends.processors import Processors, cores, cpuinfo

INTEL = """processor\t: 0
model name\t: Fast
siblings\t: 8
core id\t\t: 0
cpu cores\t: 4

processor\t: 1
model name\t: Fast
siblings\t: 8
core id\t\t: 1
cpu cores\t: 4
power management:

"""
ARM = "processor\t: 0\nBogoMIPS\t: 50\n\nprocessor\t: 1\nBogoMIPS\t: 50\n\nHardware\t: board\n"


@pytest.fixture
def spec(tmp_path: Path) -> ContainerSpec:
    (tmp_path / "runs").mkdir()
    return ContainerSpec(
        handle="rcluster-x-1",
        run="x",
        attempt=1,
        image="",
        command=["true"],
        attempt_dir=tmp_path / "runs" / "x" / "1",
        mounts=[Mount(tmp_path, "/code")],
        cpus=2,
        memory=2**30,
    )


@pytest.mark.parametrize(
    ("cpus", "count"), [(0.05, 1), (1, 1), (1.01, 2), (1.5, 2), (2.0, 2), (64, 64)]
)
def test_a_part_of_a_cpu_counts_as_one(cpus: float, count: int) -> None:
    assert cores(cpus) == count


def numbers(text: str) -> list[int]:
    return [int(line.split(":")[1]) for line in text.splitlines() if line.startswith("processor")]


@pytest.mark.parametrize("machine", [INTEL, ARM, "", "machine: s390x\n"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_as_many_processors_as_asked_whatever_the_machine_has(machine: str, count: int) -> None:
    assert numbers(cpuinfo(count, machine)) == list(range(count))


def test_they_are_described_as_the_machines_and_as_all_there_is() -> None:
    text = cpuinfo(2, INTEL)
    assert text.count("model name\t: Fast\n") == 2
    assert "core id\t\t: 1\n" in text
    assert text.count("siblings\t: 2\n") == text.count("cpu cores\t: 2\n") == 2


def test_files_are_read_only_and_beside_the_runs(spec: ContainerSpec) -> None:
    shown = Processors().shown(spec)
    assert shown.mounts[0] == spec.mounts[0]
    seen = {mount.target: mount for mount in shown.mounts[1:]}
    assert set(seen) == {"/proc/cpuinfo", "/sys/devices/system/cpu/online"}
    runs = spec.attempt_dir.parents[1]
    for mount in seen.values():
        assert mount.read_only
        assert mount.source.is_relative_to(runs)
        assert not mount.source.is_relative_to(spec.attempt_dir)
        assert mount.source.stat().st_mode & 0o777 == 0o644
    assert numbers(seen["/proc/cpuinfo"].source.read_text()) == [0, 1]
    assert seen["/sys/devices/system/cpu/online"].source.read_text() == "0-1\n"


def test_runs_with_as_many_share_them(spec: ContainerSpec) -> None:
    processors = Processors()
    first = processors.shown(spec)
    again = processors.shown(replace(spec, attempt_dir=spec.attempt_dir.parents[1] / "y" / "1"))
    fewer = processors.shown(replace(spec, cpus=0.5))
    assert first.mounts == again.mounts
    assert fewer.mounts[1].source != first.mounts[1].source
    assert fewer.mounts[2].source.read_text() == "0\n"


def test_files_that_were_removed_are_made_again(spec: ContainerSpec) -> None:
    processors = Processors()
    file = processors.shown(spec).mounts[1].source
    file.unlink()
    assert processors.shown(spec).mounts[1].source.exists()


def test_a_machine_elsewhere_is_not_described_as_this_one(spec: ContainerSpec) -> None:
    elsewhere = Processors(here=False).shown(spec).mounts[1].source
    here = Processors().shown(spec).mounts[1].source
    assert elsewhere != here
    assert elsewhere.read_text() == "processor\t: 0\n\nprocessor\t: 1\n\n"


def test_a_storage_that_is_away_starts_nothing(spec: ContainerSpec) -> None:
    spec.attempt_dir.parents[1].rmdir()
    with pytest.raises(BackendUnavailable, match="is it mounted"):
        Processors().shown(spec)
