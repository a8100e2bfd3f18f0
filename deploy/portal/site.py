"""The database, the backend's choice and the first user: Django's part of the set-up."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deploy.portal import engine, homes, packages
from deploy.portal.place import Place
from deploy.portal.problem import Problem
from deploy.portal.progress import Progress
from deploy.portal.stamps import Stamp, digest

PULLED_IMAGE = "r-base:latest"
BUILT_IMAGE = "rcluster/r-base:bookworm"
"""What deploy/environments/r-base/build.sh makes where no registry has an image of R."""
MATTERS = (
    *("RCLUSTER_IMAGE", "RCLUSTER_DOCKER_HOST", "RCLUSTER_STORAGE", "RCLUSTER_DATABASE_URL"),
    "RCLUSTER_MESOS_MASTER",
)
"""Settings whose change makes set_up_site look again."""


@dataclass(frozen=True)
class Site:
    """What `manage.py set_up_site` decided; kept in RCLUSTER_HOME/supervisor/site.json."""

    backend: str
    username: str
    """The first user, who is an administrator; "" when there were users already."""


def stored(place: Place) -> Site | None:
    try:
        found = json.loads((place.control / "site.json").read_text())
        return Site(backend=str(found["backend"]), username=str(found["username"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def ensure(place: Place, *, backend: str, progress: Progress) -> tuple[Site, str]:
    """Migrate and set the site up where that is due. `backend`: auto keeps an earlier choice.

    Returns the site, and the first user's password if it was made just now, else "".
    """
    asked = wanted(place, backend)
    _ensure_database(place, progress)
    earlier = stored(place)
    if asked == "auto" and earlier is not None:
        asked = earlier.backend
    stamp = Stamp(place.stamps / "site", _inputs(place, asked))
    if earlier is not None and stamp.current:
        return earlier, ""
    stamp.clear()
    chosen = asked
    if chosen == "auto":
        # An earlier choice counts; it may be in a database that was moved here.
        chosen = str(_set_up_site(place, "--backend", "auto", "--choose-only")["backend"])
    image: tuple[str, ...] = ()
    if chosen == "local":
        root = os.geteuid() == 0
        needed = packages.LOCAL_BACKEND_AS_ROOT if root else packages.LOCAL_BACKEND
        packages.ensure(needed, progress=progress, purpose="Running scripts on this machine")
    elif chosen == "docker":
        image = _image(place, progress)
    elif chosen == "mesos":
        image = _mesos_image(place, progress)
    with progress.step("Backend, Environment and first user"):
        answer = _set_up_site(place, "--backend", chosen, *image)
    site = Site(backend=str(answer["backend"]), username=str(answer["username"]))
    password = str(answer["password"] or "")
    if password:
        text = f"address:  {place.url}/\nuser:     {site.username}\npassword: {password}\n"
        homes.write_private(place.first_login, text, place.us)
    (place.control / "site.json").write_text(json.dumps(asdict(site)) + "\n")
    Stamp(stamp.path, _inputs(place, site.backend)).write()
    return site, password


def wanted(place: Place, backend: str) -> str:
    """The backend that the command line or a setting asks for; auto when neither does."""
    return backend if backend != "auto" else place.settings.text("RCLUSTER_BACKEND")


def _inputs(place: Place, asked: str) -> str:
    """Of set_up_site. `asked`: the backend that is asked for, or was chosen earlier."""
    settings = [f"{name}={place.settings.text(name)}" for name in MATTERS]
    return digest(_migrations(place), asked, *settings, _database_identity(place))


def _set_up_site(place: Place, *arguments: str) -> dict[str, Any]:
    """With the rights of the backend worker, because it asks the Docker engine."""
    printed = place.manage("set_up_site", *arguments, as_owner=False, process="backend")
    # A library may print a line of its own first.
    for line in reversed(printed.strip().splitlines()):
        if line.startswith("{"):
            found = json.loads(line)
            if isinstance(found, dict):
                return found
    raise Problem(f"manage.py set_up_site did not answer as expected: {printed[-500:]!r}")


def _image(place: Place, progress: Progress) -> tuple[str, ...]:
    """Arguments that name the first Environment's image: the administrator's, else Docker Hub's
    where it can be had, else one that is built here."""
    given = place.settings.text("RCLUSTER_IMAGE")
    if given:
        return ("--image", given, "--pull", "always")
    address = place.settings.text("RCLUSTER_DOCKER_HOST")
    if not engine.answers(address):
        raise Problem(
            f"The Docker engine at {address} does not answer: start it, set RCLUSTER_DOCKER_HOST, "
            "or use this machine's R instead (./rcluster up --backend local)."
        )
    if not engine.has_image(address, BUILT_IMAGE) and engine.can_pull(address, PULLED_IMAGE):
        return ("--image", PULLED_IMAGE, "--pull", "always")
    packages.ensure(packages.IMAGE, progress=progress, purpose="Building the image of R")
    with progress.step("Image of R, from Debian packages"):
        progress.command(
            [str(place.clone / "deploy/environments/r-base/build.sh")],
            cwd=place.clone,
            env={**os.environ, "DOCKER_HOST": address},
        )
    return ("--image", BUILT_IMAGE, "--pull", "never")


def _mesos_image(place: Place, progress: Progress) -> tuple[str, ...]:
    """The agents pull by themselves. Where this machine has an engine, it may be theirs, too (the
    Mesos lab): then an image that is built here will do."""
    given = place.settings.text("RCLUSTER_IMAGE")
    if given or engine.answers(place.settings.text("RCLUSTER_DOCKER_HOST")):
        return _image(place, progress)
    return ("--image", PULLED_IMAGE, "--pull", "always")


def _migrations(place: Place) -> list[Path]:
    return [*place.clone.glob("*/migrations/*.py"), place.clone / "uv.lock"]


def _database_identity(place: Place) -> str:
    """A database that was removed, or put back from a backup, is looked at again."""
    path = place.home / "db.sqlite3"
    if place.settings.text("RCLUSTER_DATABASE_URL") or not path.exists():
        return ""
    return str(path.stat().st_ino)


def _ensure_database(place: Place, progress: Progress) -> None:
    # A database elsewhere may have been replaced: ask it each time.
    elsewhere = bool(place.settings.text("RCLUSTER_DATABASE_URL"))
    if not elsewhere:
        stamp = Stamp(place.stamps / "database", _database_inputs(place))
        if _database_identity(place) and stamp.current:
            return
        stamp.clear()
    with progress.step("Database"):
        place.manage("migrate", "--noinput", "--verbosity", "0")
    if not elsewhere:
        Stamp(place.stamps / "database", _database_inputs(place)).write()


def _database_inputs(place: Place) -> str:
    return digest(_migrations(place), _database_identity(place))
