"""From a ContainerSpec to what Mesos is told, and to what Docker then makes of it."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deploy.mesos.lab.programs.docker_options import run_words
from jobs.backends.base import ContainerSpec, LaunchFailed, Mount
from jobs.backends.docker_json import create_body, runner_arguments
from jobs.backends.mesos_tasks import (
    GRACE_MARGIN,
    MEGABYTE,
    needed_cpus,
    needed_memory,
    scalar,
    task_info,
)
from jobs.backends.variables import container_variables

RUNNER = Path("/opt/rcluster/rcluster-run")
SPEC = ContainerSpec(
    handle="rcluster-abc-1",
    run="abc",
    attempt=1,
    image="registry.example/r@sha256:" + "a" * 64,
    command=["Rscript", "/rcluster/script/main.R", "it's", 'two\nlines "quoted" $HOME ; rm'],
    attempt_dir=Path("/srv/rcluster/runs/abc/1"),
    mounts=[
        Mount(Path("/srv/rcluster/working_dir/t/code"), "/code"),
        Mount(Path("/srv/rcluster/data/d"), "/data/d", read_only=True),
    ],
    cpus=1.5,
    memory=512 * MEGABYTE,
    variables={"TEXT": "a\nb=c", "EMPTY": ""},
    time_limit=60,
    grace=10,
    uid=4321,
    gid=1234,
)


def info(spec: ContainerSpec = SPEC, **more: Any) -> dict[str, Any]:
    given = {"role": "r", "installation": "here", "proxies": {"http_proxy": "http://p:3128"}}
    return task_info(spec, agent_id="A-1", runner=RUNNER, **{**given, **more})


def parameters(spec: ContainerSpec = SPEC) -> list[tuple[str, str]]:
    return [(p["key"], p["value"]) for p in info(spec)["container"]["docker"]["parameters"]]


def parameter(name: str, spec: ContainerSpec = SPEC) -> str:
    [value] = [value for key, value in parameters(spec) if key == name]
    return value


def test_who_and_where() -> None:
    task = info()
    assert task["task_id"] == {"value": SPEC.handle}
    assert task["name"] == SPEC.handle
    assert task["agent_id"] == {"value": "A-1"}
    labels = {label["key"]: label["value"] for label in task["labels"]["labels"]}
    assert labels == {
        "rcluster.installation": "here",
        "rcluster.run": "abc",
        "rcluster.attempt": "1",
    }
    assert [value for key, value in parameters() if key == "label"] == [
        f"{key}={value}" for key, value in labels.items()
    ]
    assert "executor" not in task
    assert json.loads(json.dumps(task)) == task


def test_the_image_and_the_network() -> None:
    container = info()["container"]
    assert (container["type"], container["docker"]["image"]) == ("DOCKER", SPEC.image)
    assert container["docker"]["force_pull_image"] is False
    assert container["docker"]["privileged"] is False
    assert container["docker"]["network"] == "BRIDGE"
    assert "network_infos" not in container
    named = info(network="rcluster")["container"]
    assert named["docker"]["network"] == "USER"
    assert named["network_infos"] == [{"name": "rcluster"}]


def test_no_volumes_of_mesos() -> None:
    """It would make a missing folder, as root."""
    assert "volumes" not in info()["container"]
    assert [value for key, value in parameters() if key == "mount"] == [
        f"type=bind,source={RUNNER},target=/.rcluster-run,readonly",
        "type=bind,source=/srv/rcluster/runs/abc/1,target=/rcluster",
        "type=bind,source=/srv/rcluster/working_dir/t/code,target=/code",
        "type=bind,source=/srv/rcluster/data/d,target=/data/d,readonly",
    ]


def test_no_option_of_mesos_own_that_adds_up_is_said_twice() -> None:
    named = {key for key, _ in parameters()}
    assert not named & {"name", "net", "network", "env", "e", "volume", "v", "publish", "hostname"}
    once = [key for key, _ in parameters() if key not in {"label", "mount", "tmpfs"}]
    assert len(once) == len(set(once))


def test_the_command_is_the_runners_with_no_shell() -> None:
    command = info()["command"]
    assert command["shell"] is False
    assert "value" not in command  # it would become the first argument
    assert command["arguments"] == runner_arguments(SPEC)
    assert command["arguments"][-4:] == list(SPEC.command)
    assert parameter("entrypoint") == "/.rcluster-run"


def test_the_variables() -> None:
    variables = info()["command"]["environment"]["variables"]
    told = {each["name"]: each["value"] for each in variables}
    assert told == container_variables(SPEC, {"http_proxy": "http://p:3128"})
    assert (told["TEXT"], told["EMPTY"]) == ("a\nb=c", "")
    assert len(variables) == len(told)


def test_the_runners_own_kill_comes_first() -> None:
    policy = info(replace(SPEC, grace=30))["kill_policy"]
    seconds = policy["grace_period"]["nanoseconds"] / 1e9
    assert seconds == 30 + GRACE_MARGIN
    assert isinstance(policy["grace_period"]["nanoseconds"], int)
    assert parameter("stop-signal") == "SIGTERM"


def test_resources() -> None:
    assert info()["resources"] == [scalar("cpus", 1.5, "r"), scalar("mem", 512.0, "r")]
    drawn = [scalar("cpus", 1.5, "r", [{"type": "DYNAMIC", "role": "r"}])]
    assert info(resources=drawn)["resources"] == drawn
    assert drawn[0]["reservations"] == [{"type": "DYNAMIC", "role": "r"}]
    assert drawn[0]["allocation_info"] == {"role": "r"}


@pytest.mark.parametrize(
    ("cpus", "needed"), [(1, 1.0), (0.1 + 0.2, 0.3), (0.0004, 0.001), (1.0001, 1.001), (64, 64.0)]
)
def test_cpus_in_mesos_own_steps(cpus: float, needed: float) -> None:
    assert needed_cpus(replace(SPEC, cpus=cpus)) == needed


@pytest.mark.parametrize(
    ("memory", "needed"),
    [
        (512 * MEGABYTE, 512.0),
        (512 * MEGABYTE + 1, 512.001),
        (512 * MEGABYTE - 1, 512.0),
        (1_000_000_000, 953.675),
    ],
)
def test_memory_is_never_less_than_asked_for(memory: int, needed: float) -> None:
    spec = replace(SPEC, memory=memory)
    assert needed_memory(spec) == needed
    assert needed_memory(spec) * MEGABYTE >= memory
    assert parameter("memory", spec) == parameter("memory-swap", spec) == str(memory)


@pytest.mark.parametrize("offered", [1000.5, 1023.999, 7861.0, 0.001, 123456.789])
def test_an_offer_of_exactly_so_much_fits(offered: float) -> None:
    whole = int(offered * MEGABYTE)  # as bytes, what there is of it and no more
    assert needed_memory(replace(SPEC, memory=whole)) <= offered


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/srv/a,b", '"source=/srv/a,b"'),
        ('/srv/a"b', '"source=/srv/a""b"'),
        ("/srv/a b=c", "source=/srv/a b=c"),
    ],
)
def test_a_path_that_csv_would_split(path: str, field: str) -> None:
    spec = replace(SPEC, mounts=[Mount(Path(path), "/code")])
    assert ("mount", f"type=bind,{field},target=/code") in parameters(spec)


@pytest.mark.parametrize(
    "changes",
    [
        {"mounts": [Mount(Path("/srv/new\nline"), "/code")]},
        {"mounts": [Mount(Path("/srv"), "/co\rde")]},
        {"image": "--privileged"},
        {"image": ""},
        {"command": ["a\0b"]},
        {"variables": {"A": "\0"}},
        {"variables": {"A": "\udcff"}},
    ],
)
def test_what_no_machine_could_start(changes: dict[str, Any]) -> None:
    with pytest.raises(LaunchFailed, match="can't be handed"):
        info(replace(SPEC, **changes))


class TestInDocker:
    """Docker's own client, and what its engine then holds: the same as on the `docker` backend."""

    pytestmark = pytest.mark.docker

    @pytest.fixture
    def spec(self, tmp_path: Path) -> ContainerSpec:
        folders = {name: tmp_path / name for name in ("attempt", "a,b", 'c "d" e=f')}
        for folder in folders.values():
            folder.mkdir()
        image = subprocess.run(
            ["docker", "images", "-q"], capture_output=True, text=True, check=True
        ).stdout.split()
        assert image, "the engine has no image: deploy/environments/r-base/build.sh"
        return replace(
            SPEC,
            image=image[0],
            attempt_dir=folders["attempt"],
            mounts=[
                Mount(folders["a,b"], "/code"),
                Mount(folders['c "d" e=f'], "/data/x,y", read_only=True),
            ],
        )

    @pytest.fixture
    def made(self, spec: ContainerSpec, tmp_path: Path) -> Iterator[dict[str, Any]]:
        runner = tmp_path / "rcluster-run"
        runner.touch()
        name = f"rcluster-test-{uuid.uuid4().hex[:8]}"
        task = task_info(
            spec, agent_id="", installation="here", runner=runner, proxies={}, role="*"
        )
        words = run_words(
            task,
            name=name,
            sandbox=str(tmp_path),
            mapped="/mnt/mesos/sandbox",
            variables={},
            enable_cfs=True,
        )
        try:
            subprocess.run(["docker", "create", *words], capture_output=True, check=True)
            shown = subprocess.run(["docker", "inspect", name], capture_output=True, check=True)
            yield json.loads(shown.stdout)[0]
        finally:
            subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False)

    def test_it_is_hardened_as_on_the_docker_backend(
        self, made: dict[str, Any], spec: ContainerSpec, tmp_path: Path
    ) -> None:
        runner = tmp_path / "rcluster-run"
        body = create_body(spec, installation="here", runner=runner, proxies={})
        wanted, host = dict(body), body.pop("HostConfig")
        config, got = made["Config"], made["HostConfig"]
        for key in ("Entrypoint", "Cmd", "User", "WorkingDir", "Healthcheck"):
            assert config[key] == wanted[key], key
        assert config["Labels"].items() >= wanted["Labels"].items()
        assert {*config["Env"]} >= {*wanted["Env"]}
        assert config["StopSignal"] == "SIGTERM"
        for key in ("Memory", "MemorySwap", "CpuPeriod", "CpuQuota", "PidsLimit", "CapDrop",
                    "SecurityOpt", "Init", "ReadonlyRootfs", "Tmpfs"):  # fmt: skip
            assert got[key] == host[key], key
        assert got["LogConfig"]["Type"] == "none"
        mounts = [
            {"ReadOnly": False, **{key: each[key] for key in each if key != "BindOptions"}}
            for each in got["Mounts"]
        ]
        assert mounts == host["Mounts"]
        assert not got["Privileged"]
        assert not got["CapAdd"]
