"""The runner on shared storage, where every machine of a cluster finds it at the same path."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path


def publish_runner(runner: Path, shared: Path) -> Path:
    """Copy `runner` below `shared` under a name made of its content, and say where it is.

    Safe to repeat and to race; a runner that a container uses is never written over. Raises OSError.
    """
    content = runner.read_bytes()
    target = shared / f"rcluster-run-{hashlib.sha256(content).hexdigest()[:16]}"
    if not target.exists():
        shared.mkdir(mode=0o755, parents=True, exist_ok=True)
        draft = shared / f".{target.name}.{secrets.token_hex(4)}"
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(0o755)
        draft.rename(target)
    return target
