"""A log of 100-byte lines, printed at C speed in a container, on its way to a WebSocket client.

`log rate`: from the moment that the program begins to the last byte at the client, through runner,
file, tailer and socket; interleaved with the same container whose program's stdout is redirected to
a bind-mounted file, from the moment that it begins to its last write. `log tail`: from the
container's end (the runner's last act) to the last byte at the client.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import tests.home  # noqa: F401 - settings before Django
from tests.bench._figures import Figure
from tests.bench._printing import CPUS, MEMORY, Bench, bench, install, times
from tests.bench._sockets import LINE

LEAST_RATIO, MOST_TAIL = 0.7, 300.0


def main(argv: list[str]) -> list[dict[str, Any]]:
    """The figures `log rate` (MB/s) and `log tail` (ms, the slowest of the rounds)."""
    parser = argparse.ArgumentParser(prog="log", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(argv)
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rcluster_site.settings")
    django.setup()
    from tests.bench.first_byte import new_folder

    lines = given.megabytes * 1_000_000 // LINE
    folder = new_folder()
    try:
        with bench() as through:
            ours, tails, bare = _rounds(through, folder, lines, given.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rate, baseline = (given.megabytes / statistics.median(each) for each in (ours, bare))
    ratio, tail = rate / baseline, max(tails) * 1000
    return [
        Figure(
            "log rate",
            round(rate, 1),
            "MB/s",
            round(baseline, 1),
            round(ratio, 3),
            f"at least {LEAST_RATIO}",
            ratio >= LEAST_RATIO,
        ).as_json(),
        Figure(
            "log tail",
            round(tail, 1),
            "ms",
            None,
            None,
            f"at most {MOST_TAIL:.0f} ms",
            tail <= MOST_TAIL,
        ).as_json(),
    ]


def _rounds(
    through: Bench, folder: Path, lines: int, rounds: int
) -> tuple[list[float], list[float], list[float]]:
    """Seconds of ours, of our tails and of the bare side; the first round only warms both."""
    bare = _Bare(folder, through.client.wait_for_end(through.submit(1000, 0))["image_digest"])
    ours: list[float] = []
    tails: list[float] = []
    theirs: list[float] = []
    try:
        for turn in range(rounds + 1):
            amount = lines if turn else lines // 10
            for side in ("ours", "bare") if turn % 2 else ("bare", "ours"):
                if side == "bare":
                    theirs.append(bare.seconds(amount))
                else:
                    took, tail = _through_the_portal(through, amount)
                    ours.append(took)
                    tails.append(tail)
    finally:
        bare.close()
    return ours[1:], tails[1:], theirs[1:]


def _through_the_portal(through: Bench, lines: int) -> tuple[float, float]:
    run = through.submit(lines, 0)
    with through.readers(run, sockets=1, size=lines * LINE) as readers:
        answer = json.loads(readers.communicate()[0])
    assert through.client.wait_for_end(run)["state"] == "succeeded"
    assert through.same_as_file(run, answer["digests"]), "bytes were lost"
    (through.attempt(run) / "log").unlink()
    began, _ = times(through.area / "output")
    return answer["last"] - began, answer["last"] - through.ended(run)


class _Bare:
    """The same program in the same container without the runner, its stdout a file of /output."""

    def __init__(self, folder: Path, image: str) -> None:
        from django.conf import settings

        from tests.bench._bare import BareDocker, make_spec

        self._docker = BareDocker(
            settings.RCLUSTER_DOCKER_HOST, settings.RCLUSTER_RUNNER_DIR / "rcluster-run"
        )
        self._folder = folder
        self._spec = make_spec(folder, command=["true"], image=image, cpus=CPUS, memory=MEMORY)
        install(folder / "code")

    def seconds(self, lines: int) -> float:
        output = self._folder / "output"
        command = f"exec /code/printer {lines} 0 /output/times > /output/log"
        self._docker.run(replace(self._spec, command=["/bin/sh", "-c", command, "sh"]))
        assert (output / "log").stat().st_size == lines * LINE
        (output / "log").unlink()
        began, ended = times(output)
        return ended - began

    def close(self) -> None:
        self._docker.close()
