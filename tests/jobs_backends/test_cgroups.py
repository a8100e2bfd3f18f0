"""The files that limits are written to. v1 is proven by the contract suite on a real kernel; of
v2, which not every kernel mounts with its controllers, this shows the files only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobs.backends import cgroups
from jobs.backends.cgroups import Group, Limits

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes cgroups")

LIMITS = Limits(memory=1 << 30, cpus=1.5, pids=77)


def v2(root: Path) -> str:
    """A folder that looks like a cgroup v2 mount; returns its line of /proc/self/mounts."""
    (root / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    (root / "cgroup.subtree_control").touch()
    ours = root / "rcluster-test"
    ours.mkdir()
    for name in ("cgroup.subtree_control", "memory.swap.max"):
        (ours / name).touch()
    group = ours / "h"
    group.mkdir()
    for name in ("memory.max", "memory.swap.max", "cpu.max", "pids.max"):
        (group / name).touch()
    return f"cgroup2 {root} cgroup2 rw,nosuid 0 0\n"


def test_v2(tmp_path: Path) -> None:
    found = cgroups.find("rcluster-test", mounts=v2(tmp_path))
    assert cgroups.describe(found) == "memory, cpu, pids by cgroup v2"
    ours = tmp_path / "rcluster-test"
    for folder in (tmp_path, ours):
        assert (folder / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    group = Group(found, "h")
    group.create(LIMITS)
    written = {file.name: file.read_text() for file in (ours / "h").iterdir()}
    assert written == {
        "memory.max": str(1 << 30),
        "memory.swap.max": "0",
        "cpu.max": "150000 100000",
        "pids.max": "77",
    }
    assert group.peak_files == (ours / "h" / "memory.peak",)
    (ours / "h" / "memory.events").write_text("oom 3\noom_kill 0\noom_group_kill 0\n")
    assert not group.out_of_memory()
    (ours / "h" / "memory.events").write_text("oom 3\noom_kill 1\noom_group_kill 0\n")
    assert group.out_of_memory()


def test_the_mix_of_both_uses_v1_where_memory_is(tmp_path: Path) -> None:
    lines = ""
    for name in ("memory", "cpu", "pids", "freezer"):
        (tmp_path / name).mkdir()
        lines += f"cgroup {tmp_path}/{name} cgroup rw,relatime,{name} 0 0\n"
    (tmp_path / "unified").mkdir()
    (tmp_path / "unified" / "cgroup.controllers").write_text("hugetlb\n")
    lines += f"cgroup2 {tmp_path}/unified cgroup2 rw 0 0\n"
    found = cgroups.find("rcluster-test", mounts=lines)
    assert cgroups.describe(found) == "memory, cpu, pids by cgroup v1"
    assert not (tmp_path / "unified" / "rcluster-test").exists()


def test_without_a_memory_controller_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    assert cgroups.find("x", mounts=f"cgroup {tmp_path}/cpu cgroup rw,cpu 0 0\n") == ()
    assert cgroups.find("x", mounts=f"cgroup {tmp_path}/none cgroup rw,memory 0 0\n") == ()


def test_a_group_that_is_gone_is_no_error(tmp_path: Path) -> None:
    group = Group((cgroups.Hierarchy(1, tmp_path, frozenset({"memory"})),), "gone")
    assert not group.out_of_memory()
    assert group.peak_memory() is None
    assert not group.kill()
    group.remove()
