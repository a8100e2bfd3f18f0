"""rcluster-enter: what root prepares, and that nothing of root is left."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .kit import IS_ROOT, PERSON, Attempt, Binaries, ended, having, until

Enter = Callable[..., subprocess.CompletedProcess[str]]
USER = ["--user", f"{PERSON}:{PERSON}"]
CONNECT = """
import socket, sys
for address in sys.argv[2:]:
    try:
        with socket.create_connection((address, int(sys.argv[1])), timeout=1):
            print(address, "reached")
    except OSError:
        print(address, "not reached")
"""


@pytest.fixture
def enter(binaries: Binaries) -> Enter:
    """Run rcluster-enter with these arguments."""
    if not IS_ROOT:
        pytest.skip("rcluster-enter is for root only")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(binaries.enter), *arguments],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            env=binaries.environment,
            cwd="/",
            extra_groups=[4, 20],
        )

    return run


@pytest.fixture
def slirp() -> str:
    path = shutil.which("slirp4netns")
    if path is None or not Path("/dev/net/tun").exists():
        pytest.skip("slirp4netns or /dev/net/tun is missing")
    return path


@pytest.fixture
def cgroup(place: Path) -> Iterator[Path]:
    """A memory cgroup of our own, version 1 or 2."""
    for root in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup"):
        if (Path(root) / "cgroup.procs").exists():
            folder = Path(root) / place.name
            try:
                folder.mkdir()
            except OSError:
                continue
            yield folder
            members = folder / "cgroup.procs"
            until(lambda members=members: members.read_text() == "", "an empty cgroup")  # type: ignore[misc]
            folder.rmdir()
            return
    pytest.skip("no cgroup can be made here")


@pytest.fixture
def listener() -> Iterator[int]:
    """The port of a listener on all addresses of this machine."""
    with socket.create_server(("0.0.0.0", 0)) as server:  # noqa: S104
        yield server.getsockname()[1]


def own_address() -> str:
    """An address of this machine that is not the loopback's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address but the loopback's")
        return str(probe.getsockname()[0])


def test_root_is_gone(enter: Enter) -> None:
    script = "id -u; id -g; id -G; umask; cat /proc/self/status"
    done = enter(*USER, "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    uid, gid, groups, umask, *status = done.stdout.splitlines()
    assert (uid, gid, groups, umask) == (str(PERSON), str(PERSON), str(PERSON), "0022")
    fields = dict(line.split(":\t", 1) for line in status)
    assert fields["Uid"].split() == fields["Gid"].split() == [str(PERSON)] * 4
    assert fields["CapEff"] == fields["CapPrm"] == fields["CapAmb"] == "0" * 16
    assert fields["NoNewPrivs"] == "1"


def test_setuid_programs_do_not_bring_it_back(enter: Enter, place: Path) -> None:
    program = place / "id"
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o4755)
    assert enter(*USER, "--", str(program), "-u").stdout == f"{PERSON}\n"


def test_joins_cgroups(enter: Enter, cgroup: Path) -> None:
    done = enter("--cgroup", str(cgroup), *USER, "--", "cat", "/proc/self/cgroup")
    assert done.returncode == 0, done.stderr
    assert f"/{cgroup.name}\n" in done.stdout


def test_oom_score(enter: Enter) -> None:
    done = enter("--oom-score-adj", "500", *USER, "--", "cat", "/proc/self/oom_score_adj")
    assert done.stdout == "500\n"


@pytest.mark.parametrize(
    "arguments",
    [
        "-- true",
        "--user 4321:4321",
        "--user 0:0 -- true",
        "--user 4321:0 -- true",
        "--user 4321 -- true",
        "--user root:root -- true",
        "--user 99999999999999999999:1 -- true",
        "--user 4321:4321 --network fast -- true",
        "--user 4321:4321 --oom-score-adj 2000 -- true",
        "--user 4321:4321 --cgroup /nowhere -- true",
        "--user 4321:4321 --network slirp4netns --slirp4netns /bin/false -- true",
        "--user 4321:4321 --network slirp4netns --slirp4netns /nowhere -- true",
        "--user 4321:4321 -- /nowhere",
    ],
)
def test_failures_run_nothing(enter: Enter, arguments: str) -> None:
    done = enter(*arguments.split())
    assert done.returncode == 125
    assert done.stderr.startswith("rcluster-enter: ")


def test_an_ordinary_user_is_refused(binaries: Binaries) -> None:
    line = [str(binaries.enter), *USER, "--", "true"]
    user = PERSON if IS_ROOT else None
    done = subprocess.run(
        line, capture_output=True, timeout=20, check=False, env=binaries.environment, user=user
    )
    assert (done.returncode, done.stderr) == (125, b"rcluster-enter: this needs root\n")


def test_no_network(enter: Enter, listener: int) -> None:
    done = enter("--network", "none", *USER, "--", "cat", "/proc/net/dev")
    interfaces = [line.split(":")[0].strip() for line in done.stdout.splitlines()[2:]]
    assert interfaces == ["lo"]
    # Its own loopback is up: nobody listens there, which is an answer (refused), not silence.
    script = "import socket; print(socket.socket().connect_ex(('127.0.0.1', 9)))"
    done = enter("--network", "none", *USER, "--", "/usr/bin/python3", "-c", script)
    assert done.stdout == "111\n"
    assert connect(enter, "none", listener, own_address()) == [f"{own_address()} not reached"]


def test_the_hosts_network(enter: Enter, listener: int) -> None:
    assert connect(enter, "host", listener, "127.0.0.1") == ["127.0.0.1 reached"]


def test_slirp4netns_reaches_the_world_but_not_the_hosts_loopback(
    enter: Enter, listener: int, slirp: str
) -> None:
    assert slirp
    world, gateway = own_address(), "10.0.2.2"
    assert connect(enter, "slirp4netns", listener, "127.0.0.1", gateway, world) == [
        "127.0.0.1 not reached",
        f"{gateway} not reached",
        f"{world} reached",
    ]


def connect(enter: Enter, network: str, port: int, *addresses: str) -> list[str]:
    """Who can be reached at this port from inside."""
    program = ["/usr/bin/python3", "-c", CONNECT, str(port), *addresses]
    done = enter("--network", network, *USER, "--", *program)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("end", ["by itself", "SIGTERM", "SIGKILL"])
def test_slirp4netns_lives_as_long_as_the_runner(
    attempt: Attempt, cgroup: Path, slirp: str, end: str
) -> None:
    """It ends although a process of the script's goes on: that one did not inherit the pipe."""
    if not IS_ROOT:
        pytest.skip("rcluster-enter is for root only")
    assert slirp
    options = ["--network", "slirp4netns", "--cgroup", str(cgroup), *USER]
    before = [str(attempt.binaries.enter), *options, "--"]
    script = "echo $$; exec sleep 1000" if end != "by itself" else "echo $$; exec sleep 0.2"
    process = attempt.start("sh", "-c", script, before=before)
    attempt.wait_for_log(b"\n")
    command = int(attempt.log)
    (network,) = having(f"/proc/{process.pid}/ns/net")
    assert os.getsid(network) == network  # no signal to a group of ours reaches it
    assert str(network) not in (cgroup / "cgroup.procs").read_text().split()
    if end != "by itself":
        process.send_signal(getattr(signal, end))
    assert ended(process) == {"by itself": 0, "SIGTERM": 143, "SIGKILL": -9}[end]
    until(lambda: not having(f"/proc/{process.pid}/ns/net"), "slirp4netns' end")
    if end == "SIGKILL":
        os.kill(command, signal.SIGKILL)  # a bare command is no sandbox: it was still there
