"""An administrator's week, as they live it: somebody comes, uses too much, and leaves."""

from __future__ import annotations

import re

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.client import Client
from tests.portal import Portal

pytestmark = pytest.mark.browser

PASSWORD = "a-horse-of-their-own"


def test_somebody_comes_and_leaves(
    page: Page,
    portal: Portal,
    browser: Browser,
    complaints: list[str],
    request: pytest.FixtureRequest,
) -> None:
    page.goto(f"{portal.url}/")
    page.get_by_role("button", name="Menu of").click()
    page.get_by_role("link", name="Administration").click()
    tabs = page.get_by_role("navigation", name="Administration")

    tabs.get_by_role("link", name="People").click()
    page.get_by_role("link", name="Add a person").click()
    page.get_by_label("User name").fill("clara")
    page.get_by_role("button", name="Add and get a link").click()
    link = page.locator("#password-link").inner_text()

    theirs = browser.new_context()
    request.addfinalizer(theirs.close)
    clara = theirs.new_page()
    clara.goto(link)
    assert "/form/" in clara.url, "the link's secret stays in the address"
    clara.get_by_label("Password", exact=True).fill(PASSWORD)
    clara.get_by_label("Password again").fill(PASSWORD)
    clara.get_by_role("button", name="Set it and sign in").click()
    expect(clara.get_by_role("button", name="Menu of clara")).to_be_visible()

    token = portal.manage("issue_token", "--user", "clara", "--name", "browser").strip()
    api = Client(portal.url, token)
    request.addfinalizer(api.close)
    run = api.submit(api.create_task("Long rivers"), command="sleep 600")
    clara.goto(f"{portal.url}/runs/{run}/")
    expect(clara.locator("#head")).to_contain_text("Running")

    tabs.get_by_role("link", name="Overview").click()
    row = page.locator(f"#where-{run}")
    expect(row).to_contain_text("clara")
    row.get_by_role("button", name="Cancel Long rivers #1").click()
    page.get_by_label("Reason, which clara is told").fill("the machine is needed")
    page.get_by_role("button", name="Cancel the Run").click()
    expect(clara.locator("#head")).to_contain_text("Cancelled by")
    expect(clara.locator("#head")).to_contain_text("(the machine is needed)")

    tabs.get_by_role("link", name="People").click()
    page.get_by_label("Find by name").fill("clar")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("link", name="clara").click()
    page.get_by_label("Runs at a time").fill("2")
    page.get_by_role("button", name="Set limits for clara").click()
    expect(page.locator("#toasts")).to_contain_text("clara has limits of their own.")
    expect(page.get_by_label("Runs at a time")).to_have_value("2")
    page.get_by_role("button", name="Switch off").click()
    expect(page.locator("#main")).to_contain_text("switched off")
    clara.goto(f"{portal.url}/")
    expect(clara).to_have_url(re.compile("/login/"))
    assert api.http.get("/me").status_code == 401

    page.get_by_label("Hand all of it over to").fill(portal.username)
    page.get_by_role("button", name="Hand over 1 Task").click()
    page.get_by_label("Type clara to delete").fill("clara")
    page.get_by_role("button", name="Delete for good").click()
    expect(page.locator("#toasts")).to_contain_text("clara is deleted")

    tabs.get_by_role("link", name="Audit log").click()
    log = page.locator(".audit tbody")
    for did in (
        "added “clara”",
        "cancelled “Long rivers #1”",
        "switched the account of “clara” off",
    ):
        expect(log).to_contain_text(did)
    page.get_by_label("Did").select_option("limits.changed")
    page.get_by_role("button", name="Find").click()
    expect(log.locator("tr").first).to_contain_text("Runs at a time: 2")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert "limits.changed" in download.value.path().read_text()
    assert complaints == []


def test_an_announcement_is_on_every_page_until_it_is_dismissed_or_ended(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    page.goto(f"{portal.url}/manage/announcements/")
    page.get_by_label("What everybody should know").fill("The storage moves on Friday.")
    page.get_by_role("button", name="Announce").click()
    page.goto(f"{portal.url}/cluster/")
    notices = page.locator("#notices")
    expect(notices).to_contain_text("The storage moves on Friday.")
    notices.get_by_role("button", name="Dismiss this announcement").click()
    expect(notices).to_be_empty()
    page.goto(f"{portal.url}/")
    expect(notices).not_to_contain_text("Friday")
    page.goto(f"{portal.url}/manage/announcements/")
    page.get_by_role("link", name="Change “The storage").click()
    page.get_by_label("What everybody should know").fill("The storage moves on Monday.")
    page.get_by_role("button", name="Change it").click()
    expect(notices).to_contain_text("Monday")
    page.get_by_role("button", name="End “The storage").click()
    expect(page.locator("#toasts")).to_contain_text("has ended")
    expect(notices).not_to_contain_text("Monday")
    assert complaints == []


def test_the_site_publishes_new_tasks_if_its_administrator_says_so(
    page: Page, portal: Portal, complaints: list[str], request: pytest.FixtureRequest
) -> None:
    api = Client(portal.url, portal.token("settings"))
    # The other tests' Tasks start as they always did.
    request.addfinalizer(api.close)
    request.addfinalizer(
        lambda: api.http.patch("/manage/site", json={"publishes_by_default": False})
    )
    page.goto(f"{portal.url}/manage/")
    page.get_by_role("navigation", name="Administration").get_by_role(
        "link", name="Settings"
    ).click()
    box = page.get_by_label("Publish the output of new Tasks")
    expect(box).not_to_be_checked()
    box.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.locator("#toasts")).to_contain_text("The settings are saved")
    expect(box).to_be_checked()
    task = api.create_task("Open from the start")
    api.put_file(task, "output/hello.txt", b"hello")
    url = api.http.get(f"/tasks/{task}").json()["published_url"]
    assert httpx.get(f"{portal.url}{url}hello.txt").text == "hello", "nobody needs to sign in"
    page.get_by_text("The other settings").click()
    expect(page.get_by_role("row", name="RCLUSTER_GRACE")).to_contain_text("10")
    page.goto(f"{portal.url}/manage/audit/?action=site.changed")
    expect(page.locator(".audit tbody tr").first).to_contain_text("published from the start")
    assert complaints == []
