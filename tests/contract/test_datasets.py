"""Shared data: readable where a script looks for it, and not to be written to."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from jobs.backends.base import Mount

from .attempt import Lab

TRY = """
cat /data/rivers/a.csv
for each in 'touch /data/rivers/new' 'rm /data/rivers/a.csv' 'mkdir /data/rivers/sub' \
    'touch /data/new' 'chmod 777 /data/rivers/a.csv' 'mv /data/rivers /data/lakes'; do
  $each 2>/dev/null && echo "could $each"
done
( : > /data/rivers/a.csv ) 2>/dev/null && echo 'could empty it'
cat /data/rivers/out /data/rivers/up/secret 2>/dev/null && echo 'could follow a link'
ls -A /data /data/rivers
"""


@pytest.fixture
def rivers(lab: Lab, place: Path) -> Path:
    """A Dataset's folder with links out, owned by whom the script runs as."""
    folder = place / "storage" / "rivers"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("1,2\n")
    (place / "secret").write_text("of somebody else")
    (folder / "out").symlink_to(place / "secret")
    (folder / "up").symlink_to(place)
    lab.give(folder)
    return folder


def test_a_dataset_can_be_read_and_not_written_to(lab: Lab, rivers: Path) -> None:
    mount = Mount(rivers, "/data/rivers", read_only=True)
    attempt = lab.run(["/bin/sh", "-c", TRY], mounts=[mount])
    assert attempt.text().split() == [
        *("1,2", "/data:", "rivers", "/data/rivers:", "a.csv", "out", "up")
    ]
    assert sorted(each.name for each in rivers.iterdir()) == ["a.csv", "out", "up"]
    assert (rivers / "a.csv").read_text() == "1,2\n"
    assert stat.S_IMODE((rivers / "a.csv").stat().st_mode) != 0o777
