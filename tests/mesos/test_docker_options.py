"""The words of `docker run`: what the lab's Docker executor makes of a task, as Mesos does."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.mesos.lab.programs.docker_options import OptionsError, run_words

Json = dict[str, Any]


def scalar(name: str, value: float) -> Json:
    allocation = {"role": "research"}
    return {
        "name": name,
        "type": "SCALAR",
        "scalar": {"value": value},
        "allocation_info": allocation,
    }


def task(
    docker: Json | None = None,
    container: Json | None = None,
    command: Json | None = None,
    **more: Any,
) -> Json:
    image = {"image": "image", "network": "BRIDGE"}
    return {
        "command": {"shell": False} | (command or {}),
        "container": {"type": "DOCKER", "docker": image | (docker or {})} | (container or {}),
        "resources": [scalar("cpus", 0.5), scalar("mem", 64)],
    } | more


def words(described: Json, *, enable_cfs: bool = False, **variables: str) -> list[str]:
    return run_words(
        described,
        name="mesos-1",
        sandbox="/work/sandbox",
        mapped="/mnt/mesos/sandbox",
        variables=variables,
        enable_cfs=enable_cfs,
    )


def values(option: str, found: list[str]) -> list[str]:
    return [found[at + 1] for at, word in enumerate(found) if word == option]


def test_everything_in_mesos_order() -> None:
    parameters = [{"key": "memory", "value": "1"}, {"key": "read-only", "value": "true"}]
    found = words(
        task({"parameters": parameters}, command={"value": "prog", "arguments": ["a", "b c"]})
    )
    assert found == [
        *("--cpu-shares", "512", "--memory", str(64 << 20)),
        *("-e", "MESOS_SANDBOX=/mnt/mesos/sandbox", "-e", "MESOS_CONTAINER_NAME=mesos-1"),
        *("-e", "MESOS_ALLOCATION_ROLE=research"),
        *("-v", "/work/sandbox:/mnt/mesos/sandbox", "--net", "bridge", "--name", "mesos-1"),
        # After Mesos' own: Docker takes the later of two.
        *("--memory=1", "--read-only=true", "image", "prog", "a", "b c"),
    ]


def test_a_shell_takes_the_place_of_the_entrypoint() -> None:
    found = words(task(command={"shell": True, "value": "echo $HOME"}))
    assert values("--entrypoint", found) == ["/bin/sh"]
    assert found[-3:] == ["image", "-c", "echo $HOME"]


def test_arguments_alone_go_to_the_image_s_own_entrypoint() -> None:
    assert words(task(command={"arguments": ["x"]}))[-2:] == ["image", "x"]


def test_the_agent_s_variables_win() -> None:
    own = [{"name": "A", "value": "task"}, {"name": "B", "value": "2"}, {"name": "C"}]
    found = words(task(command={"environment": {"variables": own}}), A="agent")
    assert values("-e", found)[:3] == ["A=agent", "B=2", "C="]


def test_small_amounts_are_raised() -> None:
    found = words(task(resources=[scalar("cpus", 0.001), scalar("mem", 1)]), enable_cfs=True)
    assert values("--cpu-shares", found) == ["2"]
    assert values("--cpu-quota", found) == ["1000"]
    assert values("--memory", found) == [str(32 << 20)]


def test_an_executor_s_resources_count_too() -> None:
    found = words(task(executor={"resources": [scalar("mem", 36)]}))
    assert values("--memory", found) == [str(100 << 20)]


@pytest.mark.parametrize(("enable", "quota"), [(True, ["50000"]), (False, [])])
def test_a_quota_where_the_agent_says_so(enable: bool, quota: list[str]) -> None:
    assert values("--cpu-quota", words(task(), enable_cfs=enable)) == quota


def test_limits_beside_resources() -> None:
    found = words(task(limits={"cpus": {"value": 2}, "mem": {"value": 128}}))
    assert values("--cpu-quota", found) == ["200000"]
    assert values("--memory-reservation", found) == [str(64 << 20)]
    assert values("--memory", found) == [str(128 << 20)]
    endless = words(task(limits={"mem": {"value": "Infinity"}}))
    assert values("--memory", endless) == []


def test_volumes() -> None:
    volumes = [
        {"host_path": "/srv/data", "container_path": "/data", "mode": "RO"},
        {"host_path": "in-sandbox", "container_path": "/x", "mode": "RW"},
        {"host_path": "/srv/y", "container_path": "y", "mode": "RW"},
        {
            "container_path": "/z",
            "mode": "RW",
            "source": {"type": "DOCKER_VOLUME", "docker_volume": {"name": "v", "driver": "d"}},
        },
    ]
    found = words(task(container={"volumes": volumes}))
    assert values("-v", found) == [
        "/srv/data:/data:ro",
        "/work/sandbox/in-sandbox:/x:rw",
        "/srv/y:/mnt/mesos/sandbox/y:rw",
        "v:/z:rw",
        "/work/sandbox:/mnt/mesos/sandbox",
    ]
    assert "--volume-driver=d" in found


def test_networks_and_ports() -> None:
    ports = {
        "name": "ports",
        "type": "RANGES",
        "ranges": {"range": [{"begin": 31000, "end": 31009}]},
    }
    mappings = [{"host_port": 31005, "container_port": 80, "protocol": "TCP"}]
    described = task(
        {"network": "USER", "port_mappings": mappings},
        {"network_infos": [{"name": "rcluster"}], "hostname": "h"},
        resources=[scalar("cpus", 1), ports],
    )
    found = words(described)
    assert values("--net", found) == ["rcluster"]
    assert values("-p", found) == ["31005:80/tcp"]
    assert values("--hostname", found) == ["h"]
    assert values("--net", words(task({"network": "NONE"}))) == ["none"]
    unsaid = task()
    del unsaid["container"]["docker"]["network"]
    assert values("--net", words(unsaid)) == ["host"]


RELATIVE = [{"host_path": "a", "container_path": "b", "mode": "RW"}]
PORT = [{"host_port": 1, "container_port": 80}]


@pytest.mark.parametrize(
    ("described", "said"),
    [
        (task({"network": "USER"}), "No network info found"),
        (
            task({"network": "USER"}, {"network_infos": [{"name": "a"}, {"name": "b"}]}),
            "Only a single network",
        ),
        (task({"network": "USER"}, {"network_infos": [{}]}), "No network name"),
        (task(container={"volumes": RELATIVE}), "are relative"),
        (task(container={"volumes": [{"container_path": "/a"}]}), "Host path or volume source"),
        (task({"network": "HOST"}, {"hostname": "h"}), "Unable to set hostname"),
        (task({"network": "HOST", "port_mappings": PORT}), "only supported for bridge"),
        (task({"port_mappings": PORT}), r"Port \[1\] not included"),
        (task(command={"shell": True}), "no command value"),
    ],
)
def test_what_mesos_refuses(described: Json, said: str) -> None:
    with pytest.raises(OptionsError, match=said):
        words(described)


def test_no_docker_at_all() -> None:
    with pytest.raises(OptionsError, match="No docker info"):
        words({"command": {}, "container": {"type": "DOCKER"}})
