"""Ctrl-K: to a Task by its name, to a page, or to what a shortcut does."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.people import make_people, signed_in
from tests.client import Client
from tests.portal import Portal

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def client(portal: Portal) -> Iterator[Client]:
    client = Client(portal.url, portal.token("palette"))
    yield client
    client.close()


def option(page: Page, text: str) -> None:
    expect(page.locator(".palette [role=option][aria-selected=true]")).to_contain_text(text)


def test_a_name_and_enter_lead_to_a_task(
    page: Page, portal: Portal, client: Client, complaints: list[str]
) -> None:
    task = client.create_task("Zambezi gauges")
    client.create_task("Levels of the Zambezi")
    page.goto(f"{portal.url}/datasets/")
    page.keyboard.press("Control+k")
    # At once: the answer is waited for.
    page.keyboard.type("zamb")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(task))
    # From within the editor, too; the arrows choose.
    page.locator("#editor .cm-content").click()
    page.keyboard.press("Control+k")
    page.keyboard.type("gauges zambezi")
    option(page, "Zambezi gauges")
    page.keyboard.press("Control+a")
    page.keyboard.type("zamb")
    expect(page.locator(".palette [role=option]")).to_have_count(2)
    page.keyboard.press("ArrowDown")
    option(page, "Levels of the Zambezi")
    page.keyboard.press("ArrowDown")
    option(page, "Zambezi gauges")
    page.keyboard.press("Escape")
    expect(page.locator(".palette")).to_be_hidden()
    expect(page.locator("#editor .cm-content")).to_be_focused()
    assert complaints == []


def test_enter_before_the_answer_waits_for_it(page: Page, portal: Portal, client: Client) -> None:
    task = client.create_task("Home of the otter")
    held: list[Route] = []
    page.route("**/api/v1/tasks?*name=home", lambda route: held.append(route))
    page.keyboard.press("Control+k")
    with page.expect_request("**/api/v1/tasks?*name=home"):
        page.keyboard.type("home")
    # The page "Home" is listed already, but a Task may be meant.
    option(page, "Home")
    page.keyboard.press("Enter")
    expect(page.locator(".palette")).to_be_visible()
    held[0].continue_()
    page.wait_for_url(re.compile(task))


def test_pages_and_commands(page: Page, portal: Portal, client: Client) -> None:
    task = client.create_task("Commands by name")
    page.goto(f"{portal.url}/tasks/{task}/")
    page.locator("[data-open-palette]").click()
    page.keyboard.type("command line")
    option(page, "Go to the command line")
    page.keyboard.press("Enter")
    expect(page.locator("#command")).to_be_focused()
    page.keyboard.press("Control+k")
    page.keyboard.type("settings of")
    page.locator(".palette [role=option]").filter(has_text="Settings of this Task").click()
    page.wait_for_url(re.compile(f"{task}/settings/"))
    page.keyboard.press("Control+k")
    page.keyboard.type("xyzzy")
    expect(page.locator(".palette [role=status]")).to_have_text(
        "No Task, page or command has “xyzzy” in its name."
    )


def test_only_what_the_person_may_see(portal: Portal, client: Client, page: Page) -> None:
    client.create_task("Secret otters")
    make_people(portal, "paula")
    with signed_in(page.context.browser, portal, "paula") as hers:  # type: ignore[arg-type]
        hers.keyboard.press("Control+k")
        hers.keyboard.type("otters")
        expect(hers.locator(".palette [role=status]")).to_contain_text("“otters”")
        expect(hers.locator(".palette [role=option]")).to_have_count(0)
