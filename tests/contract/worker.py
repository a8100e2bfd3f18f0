"""A backend worker that starts one container and is then killed (test_restart.py)."""

from __future__ import annotations

import pickle
import sys
import threading


def main() -> None:
    site, spec = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the test that started us
    backend = site.backend()
    backend.watch(lambda handle: None)
    backend.launch(spec)
    sys.stdout.write("launched\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    main()
