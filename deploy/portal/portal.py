"""A portal as a whole: set it up, start it, wait until it answers, stop it."""

from __future__ import annotations

import fcntl
import http.client
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from deploy.portal import builds, homes, packages, ports, site, supervisor
from deploy.portal.place import Place
from deploy.portal.problem import Problem
from deploy.portal.progress import Progress
from deploy.portal.stamps import digest

READY = 90.0
"""seconds from the start of the processes to /readyz; a busy machine takes its time"""


@dataclass(frozen=True)
class Record:
    """What the running portal was started from; kept in RCLUSTER_HOME/supervisor/portal.json."""

    clone: str
    url: str
    probe: str
    """host:port that this machine reaches it by"""
    host_name: str
    """by which it wants to be called"""
    digest: str
    """of its settings and code"""


@dataclass(frozen=True)
class Up:
    """What `up` found or made."""

    site: site.Site
    password: str
    """of the first user, if it was made by this very call"""
    was_running: bool


def up(place: Place, *, backend: str = "auto", progress: Progress | None = None) -> Up:
    """Set up what is due, start what does not run, return when /readyz answers 200."""
    place.check()
    if supervisor.is_running(place):
        _check_same_clone(place)
    homes.ensure(place)
    progress = progress or Progress()
    progress.log = place.logs / "setup.log"
    with _alone(place):
        was_running = supervisor.is_running(place)
        packages.ensure(
            builds.packages_needed(place), progress=progress, purpose="Building R-Cluster"
        )
        builds.ensure(place, progress)
        if was_running and _is_outdated(place, backend):
            with progress.step("Stopping the portal, whose settings or code changed"):
                supervisor.stop(place)
            was_running = False
        if not was_running:
            supervisor.end_leftovers(place)
            ports.check_free(place)
        found, password = site.ensure(place, backend=backend, progress=progress)
        if was_running:
            supervisor.restart_waiting(place)
            wait_until_ready(place)
        else:
            with progress.step("Starting the portal"):
                supervisor.start(place)
                fresh = Record(
                    str(place.clone), place.url, _probe(place), place.host_name, _digest(place)
                )
                _record_path(place).write_text(json.dumps(asdict(fresh)) + "\n")
                wait_until_ready(place)
    return Up(site=found, password=password, was_running=was_running)


def down(place: Place) -> bool:
    """Stop all processes; Runs go on. False when none ran."""
    if not place.control.is_dir():
        return False
    with _alone(place):
        ran = supervisor.is_running(place) or supervisor.supervisor_pid(place) != 0
        supervisor.stop(place)
        _record_path(place).unlink(missing_ok=True)
    return ran


def record(place: Place) -> Record | None:
    """None when no portal was started from this home, or it was stopped."""
    try:
        found = json.loads(_record_path(place).read_text())
        return Record(**{each.name: str(found[each.name]) for each in fields(Record)})
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def is_ready(probe: str, host_name: str) -> bool:
    """Does /readyz answer 200?"""
    return _readiness(probe, host_name) == ""


def wait_until_ready(place: Place, *, patience: float = READY) -> None:
    """Raises Problem with the last lines of the log of the process that is to blame."""
    deadline = time.monotonic() + patience
    while (answer := _readiness(_probe(place), place.host_name)) != "":
        if time.monotonic() > deadline:
            raise Problem(
                f"The portal is not ready after {patience:.0f} s.\n{_blame(place, answer)}"
            )
        if any(state.state == "FATAL" for state in supervisor.states(place)):
            raise Problem(f"The portal could not be started.\n{_blame(place, answer)}")
        time.sleep(0.05)


def _readiness(probe: str, host_name: str) -> str:
    """ "" when it is ready, else what it says."""
    connection = http.client.HTTPConnection(probe, timeout=10)
    try:
        connection.request("GET", "/readyz", headers={"Host": host_name})
        response = connection.getresponse()
        body = response.read(2000).decode(errors="replace")
        return "" if response.status == 200 else f"/readyz answers {response.status}: {body}"
    except (OSError, http.client.HTTPException) as error:
        return f"/readyz does not answer: {error}"
    finally:
        connection.close()


def _blame(place: Place, answer: str) -> str:
    """The log's end of a process that does not run, else of the web process."""
    down_ones = [s.name for s in supervisor.states(place) if s.state != "RUNNING"]
    name = down_ones[0] if down_ones else "web"
    return f"{answer}\nThe last lines of {name}'s log:\n{tail(supervisor.log_path(place, name))}"


def tail(path: Path, lines: int = 20) -> str:
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return f"    (there is no {path})"
    return "\n".join("    " + line for line in text.splitlines()[-lines:])


def _probe(place: Place) -> str:
    host = place.bind
    if host in {"0.0.0.0", "", "*"}:  # noqa: S104 - compared with, not listened on
        host = "127.0.0.1"
    elif host == "::":
        host = "::1"
    return f"[{host}]:{place.port}" if ":" in host else f"{host}:{place.port}"


def _is_outdated(place: Place, backend: str) -> bool:
    """Was it started with other settings or code, or for another backend than asked for now?"""
    running, known = record(place), site.stored(place)
    if running is None or known is None or running.digest != _digest(place):
        return True
    return site.wanted(place, backend) not in {"auto", known.backend}


def _digest(place: Place) -> str:
    ours = {k: v for k, v in place.environment().items() if k.startswith("RCLUSTER_")}
    return digest([], json.dumps(ours, sort_keys=True), supervisor.configuration(place),
                  builds.code_digest(place))  # fmt: skip


def _check_same_clone(place: Place) -> None:
    running = record(place)
    if running is not None and running.clone != str(place.clone):
        raise Problem(
            f"{place.home} is in use by a portal that was started from {running.clone} "
            f"({running.url}/). Stop it there (./rcluster down), or set RCLUSTER_HOME and "
            "RCLUSTER_PORT to have a second portal."
        )


def _record_path(place: Place) -> Path:
    return place.control / "portal.json"


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    """One `up` or `down` of a home at a time; a second one waits for the first."""
    with (place.control / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
