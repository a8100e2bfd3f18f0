"""The shared storage of the portal under test: a small ext4 of its own that can be filled up,
taken away and frozen without harm to anybody else.

    <folder>/image            the disk (a file behind a loop device)
    <folder>/disk             where it is really mounted
    <folder>/storage          RCLUSTER_STORAGE, a bind mount of <folder>/disk/storage
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

SIZE = 3 * 1024**3
"""bytes, hardly any of which are ever written; a portal refuses to start with less than 2 GB free"""


class Disk:
    def __init__(self, folder: Path) -> None:
        self.image, self.disk = folder / "image", folder / "disk"
        self.storage = folder / "storage"
        self._ballast = self.disk / "ballast"
        self._mounted = self._frozen = False

    def make(self, owner: tuple[int, int]) -> None:
        with self.image.open("wb") as file:
            file.truncate(SIZE)
        # No blocks kept back for root: the backend worker must meet the full disk too.
        _run("mkfs.ext4", "-q", "-m", "0", "-N", "20000", str(self.image))
        self.disk.mkdir()
        self.storage.mkdir()
        _run("mount", "-o", "loop", str(self.image), str(self.disk))
        real = self.disk / "storage"
        real.mkdir(mode=0o755)
        os.chown(real, *owner)
        self.come_back()

    def vanish(self) -> None:
        """Lazily unmounted: who has files open keeps them, everybody else finds an empty folder."""
        _run("umount", "--lazy", str(self.storage))
        self._mounted = False

    def come_back(self) -> None:
        if not self._mounted:
            _run("mount", "--bind", str(self.disk / "storage"), str(self.storage))
            self._mounted = True

    def fill(self) -> None:
        """Not one block is left."""
        with self._ballast.open("wb") as file:
            for step in (256 * 1024**2, 4 * 1024**2, 4096):
                with suppress_full():
                    while True:
                        # Reserved, not written: it takes no time.
                        os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, step)

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def freeze(self) -> None:
        """Whoever writes hangs, unkillably, as on a hard NFS mount whose server is away."""
        self._frozen = True
        _run("fsfreeze", "--freeze", str(self.disk))

    def thaw(self) -> None:
        if self._frozen:
            _run("fsfreeze", "--unfreeze", str(self.disk))
            self._frozen = False

    def take_hidden(self) -> list[str]:
        """What was written below the mount point while nothing was mounted there; removes it."""
        mounted = self._mounted
        if mounted:
            self.vanish()
        try:
            found = sorted(self.storage.iterdir())
            for each in found:
                shutil.rmtree(each)
            return [each.name for each in found]
        finally:
            if mounted:
                self.come_back()

    def close(self) -> None:
        self.thaw()
        self.free()
        for path in (self.storage, self.disk):
            with suppress(subprocess.CalledProcessError):
                _run("umount", "--lazy", str(path))


class suppress_full:  # noqa: N801 - reads as contextlib.suppress does
    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        return isinstance(error, OSError) and error.errno == errno.ENOSPC


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=60)
