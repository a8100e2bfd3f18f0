"""What has been set up already: a step is done again only when what it was made from changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


def digest(files: Iterable[Path], *extra: str) -> str:
    """A hash of the files' names and contents and of `extra`; a file that is missing counts too."""
    whole = hashlib.sha256()
    for text in extra:
        whole.update(f"{len(text)}:{text}".encode())
    for path in sorted(files):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            content = b"missing"
        whole.update(f"{path}:{len(content)}:".encode())
        whole.update(content)
    return whole.hexdigest()


def files_below(folder: Path, *, without: frozenset[str] = frozenset()) -> list[Path]:
    """All regular files below a folder, except in folders (or files) of these names."""
    found = []
    for where, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if f not in without and f != "__pycache__"]
        found += [Path(where, name) for name in names if name not in without]
    return found


@dataclass(frozen=True)
class Stamp:
    """`path` holds the hash of what a finished step was made from."""

    path: Path
    inputs: str

    @property
    def current(self) -> bool:
        try:
            return self.path.read_text() == self.inputs
        except FileNotFoundError:
            return False

    def clear(self) -> None:
        """Called before the step begins, so that a half-finished one is done again."""
        self.path.unlink(missing_ok=True)

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        fresh.write_text(self.inputs)
        fresh.replace(self.path)
