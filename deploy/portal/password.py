"""`./rcluster password [USER] [--administrator]`: the way back in for who is locked out, an only administrator say."""

from __future__ import annotations

import json
import sys

from deploy.portal import portal
from deploy.portal.place import Place
from deploy.portal.problem import Problem


def link(place: Place, username: str, *, administrator: bool = False) -> int:
    """Print an address at which the person chooses a password. "": the first administrator.

    With `administrator` the person is made one first, switched on, and new if there is none.
    """
    words = [*([username] if username else []), *(["--administrator"] if administrator else [])]
    made = place.python_run(["manage.py", "password_link", *words])
    if made.returncode != 0:
        said = made.stderr.strip().splitlines()[-1:] or ["manage.py said nothing"]
        raise Problem(said[0].removeprefix("CommandError: "))
    found = json.loads(made.stdout)
    # As it was started: this shell need not have its settings.
    running = portal.record(place)
    address = place.settings.text("RCLUSTER_ADDRESS").rstrip("/") or (
        running.url if running else place.url
    )
    sys.stdout.write(
        f"{address}{found['path']}\n"
        f"{found['username']} chooses a password there, once, within {found['days']} days. "
        "The one until now is worth nothing.\n"
    )
    return 0
