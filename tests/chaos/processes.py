"""Every process that the portal under test ever started, however it was orphaned.

We are made the parent of orphans (PR_SET_CHILD_SUBREAPER), so a runner whose backend worker was
killed hangs below us and not below init: what is left of a Run can't hide.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_SHIM, _UNEXECUTED = "containerd-shim", "runc init"


def adopt_orphans() -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def left(*, known: Collection[int], trees: Collection[int]) -> dict[int, str]:
    """Our descendants with their command lines, but for processes `known`, all below `trees`, and
    what Docker forgot. Zombies of adopted orphans are waited for on the way."""
    found = {}
    forgotten = set()
    for pid, state, children in _descendants(trees):
        if state in "ZX":
            # Not ours by subprocess: those are in `known` or are waited for at once.
            if pid not in known:
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
        elif pid not in known:
            found[pid] = command_of(pid)
            if _is_forgotten(found[pid], children):
                forgotten |= {pid, *children}
    return {pid: command for pid, command in found.items() if pid not in forgotten}


def forgotten_shims(mark: str) -> list[int]:
    """Those of Docker's leavings whose command line has `mark` in it."""
    return [
        pid
        for pid, _, children in _descendants(())
        if mark in (command := command_of(pid)) and _is_forgotten(command, children)
    ]


def _is_forgotten(command: str, children: Collection[int]) -> bool:
    """An engine that is killed in the middle of a start leaves a shim with no container, or with
    one whose process 1 was never executed. It does no work, never will, and no engine lists it."""
    return _SHIM in command and all(command_of(c) in ("", _UNEXECUTED) for c in children)


def _descendants(trees: Collection[int]) -> Iterator[tuple[int, str, list[int]]]:
    """Process, its state, its children."""
    parents = _children()
    todo = list(parents.get(os.getpid(), ()))
    while todo:
        pid, state = todo.pop()
        if pid not in trees:
            below = parents.get(pid, [])
            todo += below
            yield pid, state, [child for child, _ in below]


def _children() -> dict[int, list[tuple[int, str]]]:
    """Parent -> [(child, its state)]"""
    found: dict[int, list[tuple[int, str]]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                state, parent = (entry / "stat").read_text().rpartition(") ")[2].split()[:2]
                found.setdefault(int(parent), []).append((int(entry.name), state))
    return found


def children_of(pid: int) -> list[int]:
    return [child for child, _ in _children().get(pid, ())]


def command_of(pid: int) -> str:
    """Its command line; "" when it has just ended."""
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""
    return text[:200]
