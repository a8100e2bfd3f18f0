"""Every page, wide and narrow, light and dark: axe-core finds nothing, and nothing is wider than the window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.furnished import Furnished, furnish, page_names
from tests.browser.screenshots import NARROW, STRANGERS, WIDE, settle, sign_in
from tests.portal import Portal

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
AXE = Path(__file__).parent.parent.parent / "frontend/node_modules/axe-core/axe.min.js"
STANDARD = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOURS: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture(scope="module")
def furnished(portal: Portal) -> Iterator[Furnished]:
    yield furnish(portal)
    # The other tests' pages have announcements of their own.
    ended = "from jobs.models import Announcement; Announcement.objects.all().delete()"
    portal.manage("shell", "-c", ended)


@pytest.fixture
def lookers(browser: Browser, portal: Portal) -> Iterator[tuple[Page, Page]]:
    """A page of somebody who is signed in, and one of somebody who is not."""
    pages = []
    for known in (True, False):
        context = browser.new_context(reduced_motion="reduce")
        context.set_default_timeout(30_000)
        pages.append(context.new_page())
        if known:
            sign_in(pages[0], portal.url, portal.username, portal.password)
    yield pages[0], pages[1]
    for page in pages:
        page.context.close()


def test_every_page_is_walked(furnished: Furnished) -> None:
    assert page_names() == furnished.paths.keys()


def test_axe_finds_nothing(
    lookers: tuple[Page, Page], portal: Portal, furnished: Furnished
) -> None:
    known, stranger = lookers
    found: set[str] = set()
    for name, path in furnished.paths.items():
        page = stranger if name in STRANGERS else known
        page.set_viewport_size(WIDE)
        page.goto(portal.url + path)
        settle(page)
        # Not as a script element: the pages' Content-Security-Policy allows none.
        page.evaluate(AXE.read_text())
        for width, size in (("wide", WIDE), ("narrow", NARROW)):
            page.set_viewport_size(size)
            for colours in COLOURS:
                page.emulate_media(color_scheme=colours)
                found |= {f"{name} {width} {colours}: {told}" for told in _violations(page)}
            wider = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            if wider > 0:
                found.add(f"{name} {width}: {wider} px wider than the window")
    assert not found, "\n" + "\n".join(sorted(found))


def test_axe_finds_nothing_in_the_palette(
    lookers: tuple[Page, Page], portal: Portal, furnished: Furnished
) -> None:
    """The palette over the console."""
    page = lookers[0]
    found: set[str] = set()
    page.goto(portal.url + furnished.paths["task"])
    page.evaluate(AXE.read_text())
    page.keyboard.press("Control+k")
    page.wait_for_selector(".palette [role=option][aria-selected=true]")
    for width, size in (("wide", WIDE), ("narrow", NARROW)):
        page.set_viewport_size(size)
        for colours in COLOURS:
            page.emulate_media(color_scheme=colours)
            found |= {f"palette {width} {colours}: {told}" for told in _violations(page)}
    assert not found, "\n" + "\n".join(sorted(found))


def _violations(page: Page) -> list[str]:
    """What axe-core complains of, with the element."""
    options = {"runOnly": STANDARD, "resultTypes": ["violations"]}
    found: dict[str, Any] = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{violation['id']} ({violation['impact']}): {node['html'][:200]} — {_first_line(node)}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def _first_line(node: dict[str, Any]) -> str:
    lines = str(node.get("failureSummary", "")).splitlines()
    return lines[1].strip() if len(lines) > 1 else ""
