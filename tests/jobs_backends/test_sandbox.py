"""What scripts on `local` see instead of the machine's own files."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from jobs.backends.sandbox import write_etc


def test_two_launches_at_once_write_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second does all of it between the first one's writing and renaming."""
    replace, met = Path.replace, threading.Event()

    def meanwhile(self: Path, target: Path) -> Path:
        if not met.is_set():
            met.set()
            other = threading.Thread(
                target=write_etc, args=(tmp_path,), kwargs={"uid": 1, "gid": 2}
            )
            other.start()
            other.join()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", meanwhile)
    write_etc(tmp_path, uid=1, gid=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "group-2",
        "hosts",
        "passwd-1",
        "resolv.conf",
    ]
