"""A Run that ran out of memory runs again with twice as much after one click."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_main_job import new_task
from tests.portal import Portal

pytestmark = pytest.mark.browser

HOG = "Rscript -e 'x <- rep(1, 35e6); cat(\"it fits\\n\")'"
"""270 MB and R itself: too much for 256 MB, not for 512 MB"""


def test_one_click_after_an_out_of_memory_ending(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    new_task(page, portal, "Hungry")
    page.get_by_label("Memory", exact=True).select_option("256 MB")
    command = page.get_by_role("textbox", name="Command")
    command.fill(HOG)
    command.press("Enter")
    headline = page.locator("#output [data-headline]")
    expect(headline).to_contain_text("Ran out of memory", timeout=60_000)
    headline.get_by_role("button", name="Run again with 512 MB").click()
    expect(headline).to_contain_text("#2")
    expect(headline).to_contain_text("Succeeded", timeout=60_000)
    expect(page.locator("#output .ln .tx").filter(has_text="it fits")).to_be_visible()
    page.locator("#history").get_by_role("link", name="#1").click()
    expect(headline).to_contain_text("Ran out of memory")
    headline.get_by_role("link", name="#1").click()
    page.get_by_role("button", name="Run again with 512 MB").click()
    expect(page.locator("#head")).to_contain_text("Run #3")
    expect(page.locator("#head .headline-big")).to_contain_text("Succeeded", timeout=60_000)
    assert complaints == []
