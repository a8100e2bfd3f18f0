"""The log survives what happens to connections: the web process dies, the page catches up."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_main_job import let_go, new_task
from tests.portal import Portal

pytestmark = pytest.mark.browser


def test_a_killed_web_process_costs_no_line(page: Page, portal: Portal) -> None:
    new_task(page, portal, "Cuts")
    command = page.get_by_role("textbox", name="Command")
    command.fill(
        "say() { for i in $(seq $1 $2); do echo line $i ü; done; }; "
        "say 1 20; until [ -e /input/go ]; do sleep 0.02; done; say 21 40"
    )
    command.press("Enter")
    lines = page.locator("#output .ln .tx")
    expect(lines.filter(has_text="line 20 ü")).to_be_visible()
    killed = portal.kill("web")
    expect(page.locator("#output [data-connection]")).to_have_text("Reconnecting…")
    # The rest is printed while nobody listens.
    let_go(page, portal)
    portal.wait_restarted("web", killed)
    expect(page.locator("#output [data-headline]")).to_contain_text("Succeeded", timeout=60_000)
    expect(page.locator("#output [data-connection]")).to_be_hidden()
    expect(lines).to_have_text([f"line {number} ü" for number in range(1, 41)])
