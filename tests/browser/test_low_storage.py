"""A storage that is really full: nothing new starts, everybody is told, and it goes on by itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.screenshots import sign_in
from tests.client import Client
from tests.portal import Portal, start_portal
from tests.waiting import until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.local,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
]

MIB = 1024**2
SIZE = 2300 * MIB
"""more than the 2 GB that a portal asks for at its start; memory is used for what is written only"""
ROOM = 32 * MIB
"""bytes that may be written before the storage counts as low"""


@pytest.fixture
def small() -> Iterator[Portal]:
    """A portal whose storage is a tmpfs of its own."""
    folder = Path(tempfile.mkdtemp(prefix="rc-low-", dir=os.environ.get("RCLUSTER_TEST_TMP")))
    folder.chmod(0o755)
    storage = folder / "storage"
    storage.mkdir()
    options = f"size={SIZE},mode=0777"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", storage], check=True)
    try:
        portal = start_portal(
            folder,
            RCLUSTER_STORAGE=str(storage),
            RCLUSTER_STORAGE_LOW=str(SIZE - ROOM),
        )
        try:
            yield portal
        finally:
            portal.stop()
    finally:
        subprocess.run(["umount", "--lazy", storage], check=True)
        shutil.rmtree(folder)


def test_a_full_storage_stops_starts_and_room_resumes_them(small: Portal, browser: Browser) -> None:
    api = Client(small.url, small.token())
    context = browser.new_context()
    page = context.new_page()
    sign_in(page, small.url, small.username, small.password)
    notices = page.locator("#notices")
    expect(notices).not_to_contain_text("nearly full")

    task = api.create_task("Big data")
    patient = "while [ ! -e /input/go ]; do sleep 0.1; done; echo went on > /output/done"
    running = api.command(task, patient, cpus=0.5, memory=64 * MIB, time_limit=600)
    until(lambda: api.run(running)["state"] == "running", "the Run that is there before")
    api.put_file(task, "input/large.bin", bytes(ROOM + 16 * MIB))
    until(lambda: small_site(api)["storage_free"] < SIZE - ROOM, "supervision to notice")

    waiting = [
        api.command(task, "echo queued", cpus=0.5, memory=64 * MIB, time_limit=60),
        api.command(task, "echo quick"),
    ]

    def said(run: str) -> bool:
        found = api.run(run)
        assert found["state"] == "queued"
        return bool(found["reason"] == "storage_low")

    for run in waiting:
        until(lambda run=run: said(run), "the reason that it waits")  # type: ignore[misc]
    page.goto(f"{small.url}/runs/{waiting[0]}/")
    expect(page.locator("#head")).to_contain_text("the storage is nearly full")
    expect(notices).to_contain_text("no new Run starts until")

    # Who runs goes on, writes and ends.
    api.put_file(task, "input/go", b"")
    assert api.wait_for_end(running)["state"] == "succeeded"
    assert api.file(task, "output/done") == b"went on\n"
    assert [api.run(run)["state"] for run in waiting] == ["queued", "queued"]

    api.http.delete(f"/tasks/{task}/files/input/large.bin").raise_for_status()
    for run, printed in zip(waiting, (b"queued\n", b"quick\n"), strict=True):
        assert api.wait_for_end(run)["state"] == "succeeded"
        assert api.log(run) == printed
    expect(page.locator("#head")).to_contain_text("Succeeded")
    page.reload()
    expect(notices).not_to_contain_text("nearly full")
    context.close()
    api.close()


def small_site(api: Client) -> dict[str, int]:
    found: dict[str, int] = api.http.get("/manage/site").raise_for_status().json()
    return found
