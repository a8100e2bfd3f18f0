"""The same work without R-Cluster: the Docker SDK, and bubblewrap with slirp4netns, options alike."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import time
from pathlib import Path

import docker  # noqa: TID251 - the baseline is the bare SDK

from files import storage
from jobs.backends import cgroups
from jobs.backends.base import ContainerSpec, Mount
from jobs.backends.docker_json import create_body
from jobs.backends.local import PIDS_LIMIT
from jobs.backends.processors import Processors
from jobs.backends.sandbox import bwrap_arguments, write_etc
from jobs.backends.variables import container_variables
from tests.waiting import until


def make_spec(
    root: Path, *, command: list[str], image: str, cpus: float, memory: int
) -> ContainerSpec:
    """What the portal would ask for: three folders of a Task, one of the attempt, the same limits."""
    uid, gid = storage.owner()
    attempt = root / "runs" / "bare" / "1"
    for folder in (*(root / area for area in storage.AREAS), attempt / "script"):
        folder.mkdir(parents=True, exist_ok=True)
    for path in (root, *root.rglob("*")):
        os.chown(path, uid, gid)
    spec = ContainerSpec(
        handle=f"bare-{secrets.token_hex(6)}",
        run="bare",
        attempt=1,
        image=image,
        command=command,
        attempt_dir=attempt,
        mounts=[Mount(root / area, f"/{area}") for area in storage.AREAS],
        cpus=cpus,
        memory=memory,
        variables={"TZ": "UTC"},
        uid=uid,
        gid=gid,
    )
    return Processors().shown(spec)


class BareDocker:
    """create, attach, start, first byte, with the low-level client (the faster one)."""

    def __init__(self, base_url: str, runner: Path) -> None:
        self._client = docker.APIClient(base_url=base_url, version="auto")
        self._runner = runner

    def first_byte(self, spec: ContainerSpec) -> float:
        """Seconds from create to the first byte of output."""
        body = create_body(spec, installation="bare", runner=self._runner, proxies={})
        body |= {
            "Entrypoint": [],
            "Cmd": list(spec.command),
            "WorkingDir": spec.workdir,
            "AttachStdout": True,
        }
        name = f"bare-{secrets.token_hex(6)}"
        began = time.perf_counter()
        self._client.create_container_from_config(body, name)  # type: ignore[no-untyped-call]
        stream = self._client.attach(name, stream=True, stdout=True)
        self._client.start(name)
        first = next(iter(stream))
        took = time.perf_counter() - began
        assert first == b"1", first
        self._client.wait(name)
        self._client.remove_container(name)
        return took

    def run(self, spec: ContainerSpec) -> None:
        """create, start, wait, remove."""
        body = create_body(spec, installation="bare", runner=self._runner, proxies={})
        body |= {"Entrypoint": [], "Cmd": list(spec.command), "WorkingDir": spec.workdir}
        name = f"bare-{secrets.token_hex(6)}"
        self._client.create_container_from_config(body, name)  # type: ignore[no-untyped-call]
        self._client.start(name)
        assert self._client.wait(name)["StatusCode"] == 0
        self._client.remove_container(name)

    def close(self) -> None:
        self._client.close()


class BareBubblewrap:
    """bwrap as the ordinary user in its own cgroup and network, which slirp4netns connects."""

    def __init__(self, folder: Path) -> None:
        self._etc = folder / "etc"
        uid, gid = storage.owner()
        write_etc(self._etc, uid=uid, gid=gid)
        self._hierarchies = cgroups.find("rcluster-bench")
        self._slirp = shutil.which("slirp4netns") or "slirp4netns"

    def first_byte(self, spec: ContainerSpec) -> float:
        """Seconds from starting bwrap to the first byte of output."""
        took, output = self._run(spec)
        assert output == b"1", output
        return took

    def run(self, spec: ContainerSpec) -> None:
        """From the start to the end."""
        self._run(spec)

    def _run(self, spec: ContainerSpec) -> tuple[float, bytes]:
        variables = container_variables(spec, {})
        arguments = bwrap_arguments(spec, etc=self._etc, variables=variables, own_network=True)
        group = cgroups.Group(self._hierarchies, f"bare-{secrets.token_hex(6)}")
        began = time.perf_counter()
        group.create(cgroups.Limits(memory=spec.memory, cpus=spec.cpus, pids=PIDS_LIMIT))
        info_read, info_write = os.pipe()
        block_read, block_write = os.pipe()
        ready_read, ready_write = os.pipe()
        exit_read, exit_write = os.pipe()
        held = ["--info-fd", str(info_write), "--block-fd", str(block_read)]
        with subprocess.Popen(
            ["bwrap", *arguments, *held, "--", *spec.command],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            pass_fds=(info_write, block_read),
            user=spec.uid,
            group=spec.gid,
            extra_groups=[],
        ) as sandbox:
            os.close(info_write)
            child = _child_pid(info_read)
            _await_loopback(child)
            for folder in group.folders:
                for pid in (sandbox.pid, child):
                    (folder / "cgroup.procs").write_text(str(pid))
            with subprocess.Popen(
                [
                    # Its sandbox would detach the machine's shared mounts with its own (runner/rcluster-enter.c).
                    *("unshare", "--mount", "--propagation", "slave", "--"),
                    *(self._slirp, "--configure", "--mtu=65520", "--disable-host-loopback"),
                    *("--enable-sandbox", "--enable-seccomp", "--netns-type=path"),
                    *(f"--ready-fd={ready_write}", f"--exit-fd={exit_read}"),
                    *(f"/proc/{child}/ns/net", "tap0"),
                ],
                pass_fds=(ready_write, exit_read),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ):
                os.close(ready_write)
                assert os.read(ready_read, 1) == b"1", "slirp4netns is not ready"
                os.write(block_write, b"1")
                assert sandbox.stdout is not None
                output = sandbox.stdout.read(1)
                took = time.perf_counter() - began
                assert sandbox.wait() == 0
                os.close(exit_write)
        for descriptor in (info_read, block_read, block_write, ready_read, exit_read):
            os.close(descriptor)
        group.remove()
        return took, output


def _child_pid(info: int) -> int:
    text = ""
    while not (found := re.search(r'"child-pid": (\d+)', text)):
        more = os.read(info, 4096).decode()
        assert more, "bwrap ended before it had a child"
        text += more
    return int(found[1])


def _await_loopback(child: int) -> None:
    """slirp4netns brings the loopback up too, and bubblewrap ends if that was done before it gives
    the loopback its address (RTM_NEWADDR: File exists)."""
    routes = Path(f"/proc/{child}/net/fib_trie")
    until(lambda: "127.0.0.1" in routes.read_text(), "bubblewrap's loopback", every=0.0005)
