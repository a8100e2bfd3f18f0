"""A Task's life, as a person leads it: describe, archive, duplicate, delete, restore, a full storage."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.people import make_people, signed_in
from tests.client import Client
from tests.portal import Portal

pytestmark = pytest.mark.browser


def settings(page: Page) -> None:
    page.get_by_role("link", name="Settings of the Task").click()


def test_from_describing_to_the_bin_and_back(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    client = Client(portal.url, portal.token("life"))
    task = client.create_task("Old rivers")
    client.put_file(task, "code/main.R", b'cat("as before\\n")\n')
    client.close()

    page.goto(f"{portal.url}/tasks/{task}/")
    settings(page)
    page.get_by_label("Description").fill("Flow of the Rhine")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#toasts")).to_contain_text("Saved.")

    # Found by its description, and only that.
    page.goto(portal.url)
    page.get_by_role("searchbox").fill("of the rhine")
    expect(page.locator("#task-list tbody tr")).to_have_count(1)
    expect(page.locator("#task-list")).to_contain_text("Old rivers")

    # Archive: out of the lists, nothing runs.
    page.get_by_role("link", name="Old rivers").click()
    settings(page)
    page.get_by_role("button", name="Archive", exact=True).click()
    page.wait_for_url(f"{portal.url}/")
    expect(page.locator("#task-list")).not_to_contain_text("Old rivers")
    page.get_by_role("link", name="Archive", exact=True).click()
    page.get_by_role("link", name="Old rivers").click()
    expect(page.locator("#run")).to_be_hidden()
    page.get_by_role("link", name="Take it out in the settings").click()
    page.get_by_role("button", name="Take it out of the archive").click()
    expect(page.locator("#run")).to_be_visible()

    # Deleting while something runs offers to cancel it.
    page.locator("#command").fill("sleep 300")
    page.locator("#command").press("Enter")
    expect(page.locator("#output [data-headline]")).to_contain_text("Running")
    settings(page)
    page.get_by_role("button", name="Cancel the Run and delete the Task").click()
    expect(page.locator("#toasts")).to_contain_text("is in the bin")
    expect(page.locator("#main")).not_to_contain_text("Old rivers")
    page.get_by_role("link", name="Bin", exact=True).click()
    row = page.get_by_role("row").filter(has_text="Old rivers")
    row.get_by_role("button", name="Restore").click()
    expect(page.locator("#editor")).to_contain_text("as before")

    # A duplicate has the code; then it goes for good, by its name.
    settings(page)
    page.get_by_label("Name of the new Task").fill("Second rivers")
    page.get_by_role("button", name="Duplicate").click()
    expect(page.locator("#task-name")).to_have_value("Second rivers")
    expect(page.locator("#editor")).to_contain_text("as before")
    settings(page)
    page.get_by_role("button", name="Delete the Task").click()
    page.get_by_role("link", name="Bin", exact=True).click()
    row = page.get_by_role("row").filter(has_text="Second rivers")
    row.get_by_role("link", name=re.compile("Delete for good")).click()
    page.get_by_role("textbox").fill("second")
    page.get_by_role("button", name="Delete for good").click()
    expect(page.locator("#name-error")).to_contain_text("Nothing was deleted.")
    page.get_by_role("textbox").fill("Second rivers")
    page.get_by_role("button", name="Delete for good").click()
    expect(page.locator("#task-list")).not_to_contain_text("Second rivers")
    assert [each for each in complaints if "422" not in each] == []


def test_a_storage_that_fills_up_is_seen_and_said(browser: Browser, portal: Portal) -> None:
    make_people(portal, "franka", max_storage=4096 * 1024)
    with signed_in(browser, portal, "franka") as page:
        page.goto(f"{portal.url}/tasks/new/")
        page.get_by_label("Name").fill("Large")
        page.get_by_role("button", name="Create the Task").click()
        page.wait_for_url(re.compile(r"/tasks/[0-9a-z]{16}/"))

        def upload(name: str, size: int) -> None:
            with page.expect_file_chooser() as chooser:
                page.get_by_role("button", name="Upload files to input").click()
            chooser.value.set_files({"name": name, "mimeType": "text/plain", "buffer": b"x" * size})

        upload("first.txt", 3900 * 1024)
        expect(page.locator("#files")).to_contain_text("first.txt")
        upload("second.txt", 500 * 1024)
        expect(page.get_by_text("Your storage has 196 kB left").first).to_be_visible()
        page.goto(portal.url)
        meter = page.get_by_role("meter", name="Your storage in use")
        expect(meter).to_have_attribute("aria-valuetext", "4 of 4 MB are used")
        expect(page.locator(".storage.near")).to_contain_text("It is nearly full.")
