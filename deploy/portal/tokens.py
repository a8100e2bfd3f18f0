"""`./rcluster token USER --name N`: a token for a script, where no page is at hand."""

from __future__ import annotations

import sys

from deploy.portal.place import Place
from deploy.portal.problem import Problem


def make(place: Place, username: str, *, name: str, days: str, scopes: str) -> int:
    """Print the token and nothing else, so that a script can take it from there."""
    # With =: a value that begins with a dash is a value all the same.
    given = [f"--name={name}", f"--days={days}", f"--scopes={scopes}"]
    made = place.python_run(["manage.py", "make_token", *given, "--", username])
    if made.returncode != 0:
        said = made.stderr.strip().splitlines()[-1:] or ["manage.py said nothing"]
        raise Problem(said[0].removeprefix("CommandError: "))
    sys.stdout.write(made.stdout)
    return 0
