"""Who listens on the portal's port, so that "address in use" comes with a name."""

from __future__ import annotations

import socket
from pathlib import Path

from deploy.portal.place import Place
from deploy.portal.problem import Problem

LISTEN = "0A"


def check_free(place: Place) -> None:
    """Raises Problem when the portal could not listen on its address."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            place.bind, place.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except socket.gaierror:
        raise Problem(f"RCLUSTER_BIND is {place.bind}: that is no address.") from None
    except PermissionError:
        raise Problem(
            f"Port {place.port} is for root only: set RCLUSTER_PORT to 1024 or more."
        ) from None
    except OSError as error:
        if not holders(place.port):
            raise Problem(
                f"The portal cannot listen on {place.bind}:{place.port} ({error.strerror}): "
                "set RCLUSTER_BIND or RCLUSTER_PORT."
            ) from None
        raise Problem(
            f"Port {place.port} is taken by {' and '.join(holders(place.port))}. "
            "End that, or set RCLUSTER_PORT to another number."
        ) from None


def holders(port: int) -> list[str]:
    """Who listens on a port, as words: "the portal of /srv/rc (process 12)"."""
    inodes = _listening(port)
    found = [
        _describe(entry)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and inodes & _sockets(entry)
    ]
    if inodes and not found:
        return ["a process of another user"]
    return found


def _listening(port: int) -> set[str]:
    """Inodes of the sockets that listen on this port (proc(5), /proc/net/tcp)."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            columns = line.split()
            if columns[3] == LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(columns[9])
    return inodes


def _sockets(process: Path) -> set[str]:
    """Inodes of a process' sockets; none where we may not look."""
    found = set()
    try:
        for descriptor in (process / "fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:
        return found
    return found


def _describe(process: Path) -> str:
    try:
        name = (process / "comm").read_text().strip()
        variables = (process / "environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return f"process {process.name}"
    for variable in variables:
        if variable.startswith("RCLUSTER_PORTAL="):
            home = variable.partition("=")[2]
            return f"the portal of {home} (process {process.name})"
    return f"{name} (process {process.name})"
