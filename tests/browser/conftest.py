"""Chromium against a real portal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, expect, sync_playwright

from tests.browser.people import is_complaint
from tests.browser.screenshots import CHROMIUM, sign_in
from tests.portal import Portal

# As tests.waiting: what is expected is claimed, not how soon it comes on a machine that does
# other things, too. What must be quick says so itself.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.fail(f"{CHROMIUM} is missing: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser complained of: exceptions, refused scripts, failed requests."""
    return []


@pytest.fixture
def page(browser: Browser, portal: Portal, complaints: list[str]) -> Iterator[Page]:
    """A page of a person who is signed in."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(30_000)
    page = context.new_page()

    def heard(message: ConsoleMessage) -> None:
        if is_complaint(message):
            complaints.append(message.text)

    def broke(error: Error) -> None:
        complaints.append(str(error))

    page.on("console", heard)
    page.on("pageerror", broke)
    sign_in(page, portal.url, portal.username, portal.password)
    yield page
    context.close()
