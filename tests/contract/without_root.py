"""Runs of `local` as an ordinary user, told as JSON (test_local.py)."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from jobs.backends.local import LocalBackend

from .attempt import MIB, Attempt, Lab


def main() -> None:
    home, runner_dir = Path(sys.argv[1]), Path(sys.argv[2])

    def make() -> LocalBackend:
        return LocalBackend(state_dir=home / "state", runner_dir=runner_dir, installation="x")

    backend = make()
    assert backend.health().ok, backend.health().sentence
    lab = Lab(backend, home / "runs", "", os.geteuid(), os.getegid(), make)

    def outcome(attempt: Attempt) -> tuple[str, int | None]:
        return attempt.text(), attempt.ended().exit_code

    hog = "x <- list(); repeat x[[length(x) + 1]] <- rnorm(1e6)"
    polite = "trap 'echo bye; exit 7' TERM; mkfifo w; exec 3<>w; echo ready; read -r line <&3"
    waiting = lab.attempt(["/bin/sh", "-c", polite])
    waiting.launch()
    waiting.prints(b"ready")
    backend.stop(waiting.handle, grace=5)
    waiting.ended()
    told = {
        "memory": backend.capabilities.memory,
        "network": backend.capabilities.network,
        "notes": backend.capabilities.notes,
        "hello": outcome(lab.rscript("cat(6 * 7)")),
        "interfaces": outcome(
            lab.run(
                [
                    "/bin/sh",
                    "-c",
                    "ls /sys/class/net 2>/dev/null; sed -n 's/: .*//;s/ //g;3,$p' /proc/net/dev",
                ]
            )
        ),
        "hog": outcome(lab.rscript(hog, memory=256 * MIB)),
        "polite": outcome(waiting),
    }
    lab.clean()
    told["left"] = list(backend.containers())
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
