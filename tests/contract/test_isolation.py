"""What a script can't do, see or reach."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.backends.base import Life

from .attempt import Lab


def test_an_ordinary_user_without_privileges(lab: Lab) -> None:
    attempt = lab.run(["/bin/sh", "-c", "cat /proc/self/status; id -u; id -g"])
    fields = dict(line.split(":\t", 1) for line in attempt.text().splitlines() if ":\t" in line)
    assert fields["Uid"].split() == [str(lab.uid)] * 4
    assert fields["Gid"].split() == [str(lab.gid)] * 4
    for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(fields[capabilities], 16) == 0
    assert fields["NoNewPrivs"].strip() == "1"


def test_the_machine_is_out_of_sight(lab: Lab) -> None:
    secret = lab.root / "secret"
    lab.root.mkdir(exist_ok=True)
    secret.write_text("of somebody else")
    secret.chmod(0o644)
    hidden = [
        str(secret),
        "/var/run/docker.sock",
        "/run/docker.sock",
        str(Path.cwd()),
        "/etc/shadow-",
    ]
    names = " ".join(f"'{path}'" for path in hidden)
    attempt = lab.run(["/bin/sh", "-c", f"for f in {names}; do [ -e $f ] && echo sees $f; done; :"])
    assert attempt.log() == b""


def test_processes_of_the_machine_are_out_of_sight(lab: Lab) -> None:
    attempt = lab.run(["/bin/sh", "-c", "ls -d /proc/[0-9]* | wc -l"])
    assert int(attempt.text()) < 10


def test_the_image_or_machine_is_not_written_to(lab: Lab) -> None:
    attempt = lab.run(
        ["/bin/sh", "-c", "touch /usr/x /etc/x /bin/x /x 2>/dev/null; ls /usr/x /etc/x /bin/x /x"]
    )
    assert attempt.status().exit_code == 2
    assert attempt.text().count("No such file") == 4


class Listener:
    """Accepts connections and says hello to each."""

    def __init__(self, address: str) -> None:
        self.socket = socket.create_server((address, 0))
        self.address, self.port = self.socket.getsockname()


@pytest.fixture
def on_loopback() -> Iterator[Listener]:
    listener = Listener("127.0.0.1")
    with listener.socket:
        yield listener


def connect(hosts: list[str], port: int) -> str:
    """R code that says which of the hosts can be reached."""
    quoted = ", ".join(f'"{host}"' for host in hosts)
    return f"""
      for (host in c({quoted})) {{
        ok <- tryCatch({{
          close(suppressWarnings(socketConnection(host, {port}, timeout = 2, blocking = TRUE))); TRUE
        }}, error = function(e) FALSE)
        if (ok) cat("reached", host, "\\n")
      }}
      cat("tried\\n")
    """


def test_the_machines_loopback_is_out_of_reach(lab: Lab, on_loopback: Listener) -> None:
    # 10.0.2.2 is the machine's loopback for slirp4netns, unless told otherwise.
    code = connect(["127.0.0.1", "::1", "10.0.2.2"], on_loopback.port)
    attempt = lab.rscript(code)
    assert attempt.log() == b"tried\n"


def test_the_network_is_there_where_it_is_declared(lab: Lab) -> None:
    assert lab.backend.capabilities.network == "full"
    listener = Listener(own_address())
    with listener.socket:
        attempt = lab.rscript(connect([listener.address], listener.port))
    assert attempt.text() == f"reached {listener.address} \ntried\n"


def own_address() -> str:
    """An address of this machine that is not its loopback. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("192.0.2.1", 9))
        address: str = asking.getsockname()[0]
    return address


@pytest.mark.docker
def test_runs_do_not_reach_each_others_ports(docker_lab: Lab) -> None:
    """R's own cluster sockets unserialize what comes in: a neighbour must not get there."""
    serve = (
        "perl -MIO::Socket -e '$s=IO::Socket::INET->new(LocalPort=>11234,Listen=>1);"
        "print qx(hostname -i);$|=1;$s->accept and print qq(got\\n)'"
    )
    server = docker_lab.attempt(["/bin/sh", "-c", serve])
    server.launch()
    server.prints(b".")
    address = server.text().split()[0]
    dial = f"perl -MIO::Socket -e 'exit !IO::Socket::INET->new(PeerAddr=>q({address}),PeerPort=>11234,Timeout=>3)'"
    own = docker_lab.run(["/bin/sh", "-c", dial])
    assert own.status().exit_code != 0
    assert "got" not in server.text()
    docker_lab.backend.kill(server.handle)


def test_temporary_files_are_bounded_and_the_system_can_not_be_written(lab: Lab) -> None:
    command = "touch /usr/x /etc/x 2>/dev/null && echo wrote; head -c 400m /dev/zero > /tmp/big; :"
    attempt = lab.run(["/bin/sh", "-c", command], memory=128 * 1024**2)
    assert b"wrote" not in attempt.log()
    status = attempt.status()
    assert status.out_of_memory or b"No space left" in attempt.log()


HOSTILE = {
    "link": "ln -s /etc/passwd /rcluster/exit",
    "folder": "mkdir /rcluster/exit",
    "fifo": "mkfifo /rcluster/exit",
    "deep": """perl -e 'print "["x1024' > /rcluster/exit""",
    "closed": "echo > /rcluster/exit; chmod 000 /rcluster/exit /rcluster/log /rcluster",
}


@pytest.mark.docker
@pytest.mark.parametrize("what", sorted(HOSTILE))
def test_a_hostile_record_harms_nobody_else(docker_lab: Lab, what: str) -> None:
    bystander = docker_lab.attempt(["/bin/sh", "-c", "while [ ! -e go ]; do sleep 0.05; done"])
    bystander.launch()
    hostile = docker_lab.attempt(["/bin/sh", "-c", f"rm /rcluster/exit; {HOSTILE[what]}; exit 255"])
    hostile.launch()
    hostile.ended()
    seen = docker_lab.fresh().containers()
    assert seen[bystander.handle].life is Life.RUNNING
    assert seen[hostile.handle].life is Life.ENDED
    (bystander.code / "go").touch()
    assert bystander.ended().exit_code == 0
