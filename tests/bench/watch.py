"""200 people look at one Run that prints 200 lines a second.

`watch lag`: from the moment that a line was printed, by the program's own clock, to its receipt by
each of the sockets; the 95th percentile over all lines and sockets. Missed if any socket got
anything but the file, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

import tests.home  # noqa: F401 - settings before Django
from tests.bench._figures import Figure
from tests.bench._printing import bench

MOST = 300.0


def main(argv: list[str]) -> list[dict[str, Any]]:
    """The figure `watch lag` (p95, ms)."""
    parser = argparse.ArgumentParser(prog="watch", description=__doc__)
    parser.add_argument("--sockets", type=int, default=200)
    parser.add_argument("--per-second", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=15)
    given = parser.parse_args(argv)
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rcluster_site.settings")
    django.setup()
    lines = given.per_second * given.seconds
    with bench() as through:
        through.client.wait_for_end(through.submit(10, 0))
        run = through.submit(lines, given.per_second, when="go")
        with through.readers(run, sockets=given.sockets, lags=True) as readers:
            (through.area / "output" / "go").touch()
            answer = json.loads(readers.communicate()[0])
        assert through.client.wait_for_end(run)["state"] == "succeeded"
        whole = through.same_as_file(run, answer["digests"])
    assert len(answer["lags"]) == lines * given.sockets
    lag = sorted(answer["lags"])[int(len(answer["lags"]) * 0.95)] * 1000
    goal = f"under {MOST:.0f} ms, nothing lost"
    met = lag < MOST and whole
    return [Figure("watch lag", round(lag, 1), "ms", None, None, goal, met).as_json()]
