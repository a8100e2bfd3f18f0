"""What a script can't do, see or reach."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

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
