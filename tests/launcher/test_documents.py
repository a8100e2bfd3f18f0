"""What the administrators' documents tell people to type works as it stands there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.portal import Portal

pytestmark = [pytest.mark.local, pytest.mark.slow]
DOCS = Path(__file__).parent.parent.parent / "docs"


def blocks(document: str) -> list[str]:
    """The shell examples of a document."""
    return re.findall(r"^```sh\n(.*?)^```$", (DOCS / document).read_text(), re.M | re.S)


def test_an_administrators_week_over_http(portal: Portal) -> None:
    helpers = next(block for block in blocks("users/api.md") if "api()" in block)
    (week,) = blocks("admin/week.md")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{helpers}\n{week}"],
        env={"PATH": "/usr/bin:/bin", "RCLUSTER": portal.url, "TOKEN": portal.token("week")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{portal.url}/account/choose/" in done.stdout
    changed = (
        '"detail":"Runs at a time: 4 instead of no limit, storage: 46.6 GB instead of no limit"'
    )
    assert changed in done.stdout
    ended = "from jobs.models import Announcement; Announcement.objects.all().delete()"
    portal.manage("shell", "-c", ended)  # The other tests' pages have announcements of their own.
