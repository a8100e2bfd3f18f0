"""Every process that the portal under test ever started, however it was orphaned.

We are made the parent of orphans (PR_SET_CHILD_SUBREAPER), so a runner whose backend worker was
killed hangs below us and not below init: what is left of a Run can't hide.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def left(*, known: Collection[int], trees: Collection[int]) -> dict[int, str]:
    """Our descendants with their command lines, but for processes `known` and all below `trees`.

    Zombies of adopted orphans are waited for on the way.
    """
    children = _children()
    found: dict[int, str] = {}
    todo = list(children.get(os.getpid(), ()))
    while todo:
        pid, state = todo.pop()
        if pid in trees:
            continue
        todo += children.get(pid, ())
        if state in "ZX":
            # Not ours by subprocess: those are in `known` or are waited for at once.
            if pid not in known:
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
        elif pid not in known:
            found[pid] = _command(pid)
    return {
        pid: command
        for pid, command in found.items()
        # Docker's own: what it forgets of a shim when it is killed in the middle of a start.
        # A shim that still has a container has a child.
        if not ("containerd-shim" in command and not children.get(pid))
    }


def _children() -> dict[int, list[tuple[int, str]]]:
    """Parent -> [(child, its state)]"""
    found: dict[int, list[tuple[int, str]]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(") ")[2].split()[:2]
                found.setdefault(int(parent), []).append((int(entry.name), state))
    return found


def direct_children() -> set[int]:
    return {pid for pid, _ in _children().get(os.getpid(), ())}


def _command(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return "(just ended)"
    return text[:200]
