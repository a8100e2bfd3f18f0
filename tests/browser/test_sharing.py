"""Sharing a Task, as two people do it: add, look, run, leave, take back, give away."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.people import make_people, signed_in
from tests.client import Client
from tests.portal import Portal

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def task(portal: Portal) -> str:
    """Of the administrator, with a script. The id of the Task."""
    make_people(portal, "berta")
    client = Client(portal.url, portal.token("sharing"))
    task = client.create_task("Shared rivers")
    client.put_file(task, "code/main.R", b'cat("from the script\\n")\n')
    client.close()
    return task


def test_a_task_is_shared_used_and_taken_back(
    page: Page, browser: Browser, portal: Portal, task: str, complaints: list[str]
) -> None:
    with signed_in(browser, portal, "berta") as theirs:
        theirs.goto(f"{portal.url}/?show=shared")
        expect(theirs.locator("#main")).not_to_contain_text("Shared rivers")

        page.goto(f"{portal.url}/tasks/{task}/")
        page.get_by_role("link", name="Settings of the Task").click()
        name = page.get_by_label("Share with")
        name.press_sequentially("ber")
        expect(page.locator("#member-people option[value=berta]")).to_have_count(1)
        name.fill("bertha")
        page.get_by_role("button", name="Share", exact=True).click()
        expect(page.locator("#people-error")).to_contain_text("nobody called “bertha”")
        expect(name).to_have_value("bertha")
        name.fill("berta")
        page.get_by_role("button", name="Share", exact=True).click()
        people = page.get_by_role("row").filter(has_text="berta")
        expect(people).to_contain_text("look: viewer")

        # Her console: all can be looked at, nothing done.
        theirs.goto(f"{portal.url}/?show=shared")
        row = theirs.get_by_role("row").filter(has_text="Shared rivers")
        expect(row).to_contain_text(portal.username)
        row.get_by_role("link", name="Shared rivers").click()
        expect(theirs.locator("#belongs")).to_have_text(
            f"of {portal.username}, read-only: you are a viewer"
        )
        expect(theirs.locator("#editor")).to_contain_text("from the script")
        for hidden in ("#run", "#commandline", "#save", "[data-upload]"):
            expect(theirs.locator(hidden).locator("visible=true")).to_have_count(0)
        writable = theirs.locator("#editor [contenteditable=true]").locator("visible=true")
        expect(writable).to_have_count(0)
        expect(theirs.get_by_label("Memory")).to_be_disabled()
        theirs.keyboard.press("Control+Enter")
        expect(theirs.locator("#toasts")).to_contain_text("you may look, not run")
        theirs.get_by_role("link", name="Settings of the Task").click()
        expect(theirs.get_by_role("button", name="Delete the Task")).to_have_count(0)

        # An editor runs it.
        people.get_by_role("button", name="Make editor").click()
        expect(people).to_contain_text("change and run: editor")
        theirs.goto(f"{portal.url}/tasks/{task}/?file=code/main.R")
        theirs.get_by_role("button", name=re.compile("^Run")).click()
        expect(theirs.locator("#output .ln .tx").filter(has_text="from the script")).to_be_visible()

        # Taken back: it leaves her open list by itself, and its page is no more.
        theirs.goto(f"{portal.url}/?show=shared")
        expect(theirs.locator("#task-list")).to_contain_text("Shared rivers")
        people.get_by_role("button", name="Remove").click()
        expect(page.locator("#people")).not_to_contain_text("berta")
        expect(theirs.locator("#task-list")).to_contain_text("Nobody shares a Task with you.")
        assert theirs.goto(f"{portal.url}/tasks/{task}/").status == 404  # type: ignore[union-attr]
    assert [each for each in complaints if "422" not in each] == []


def test_a_task_is_given_away_and_its_old_owner_leaves(
    page: Page, browser: Browser, portal: Portal, task: str
) -> None:
    page.goto(f"{portal.url}/tasks/{task}/settings/")
    page.get_by_label("New owner").fill("berta")
    page.get_by_role("button", name="Give it to them").click()
    expect(page.locator("#toasts")).to_contain_text("berta owns this Task now.")
    with signed_in(browser, portal, "berta") as theirs:
        theirs.goto(f"{portal.url}/tasks/{task}/settings/")
        row = theirs.get_by_role("row").filter(has_text=portal.username)
        expect(row).to_contain_text("editor")
        theirs.get_by_label("New owner").fill(portal.username)
        theirs.get_by_role("button", name="Give it to them").click()
        expect(theirs.get_by_role("button", name="Delete the Task")).to_have_count(0)
        theirs.get_by_role("button", name="Leave this Task").click()
        expect(theirs.locator("#toasts")).to_contain_text("You left “Shared rivers”.")
        theirs.wait_for_url(f"{portal.url}/")
        expect(theirs.locator("#main")).not_to_contain_text("Shared rivers")


def test_an_open_console_hears_of_another_role(
    page: Page, browser: Browser, portal: Portal, task: str
) -> None:
    make_people(portal, "carla")
    client = Client(portal.url, portal.token("roles"))
    member = f"/tasks/{task}/members/carla"
    client.http.put(member, json={"role": "viewer"}).raise_for_status()
    with signed_in(browser, portal, "carla") as theirs:
        theirs.goto(f"{portal.url}/tasks/{task}/")
        expect(theirs.locator("#editor")).to_contain_text("from the script")
        banner = theirs.locator("#standing")
        client.http.put(member, json={"role": "editor"}).raise_for_status()
        expect(banner).to_contain_text("You may change and run this Task now.")
        banner.get_by_role("button", name="Load it again").click()
        expect(theirs.locator("#run")).to_be_visible()
        client.http.put(member, json={"role": "viewer"}).raise_for_status()
        expect(banner).to_contain_text("You are a viewer of this Task now")
        client.http.delete(member).raise_for_status()
        expect(banner).to_contain_text("not shared with you any more")
    client.close()
