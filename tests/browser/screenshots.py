"""Pictures of the pages, for the documentation and for looking at them.

    python -m tests.browser.screenshots              docs/images/*.png: the pages that the documents show
    python -m tests.browser.screenshots --all FOLDER every page, wide (1440) and narrow (360), light and dark

Starts a portal of its own, furnishes it (furnished.py) and stops it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from tests.portal import Portal, start_portal
from tests.waiting import until

ROOT = Path(__file__).resolve().parent.parent.parent
CHROMIUM = "/usr/bin/chromium"
WIDE: ViewportSize = {"width": 1440, "height": 900}
NARROW: ViewportSize = {"width": 360, "height": 740}
SHOWN = {
    "home": "home",
    "task": "console",
    "task_settings": "task-settings",
    "run": "run",
    "dataset": "dataset",
    "cluster": "cluster",
    "manage": "manage",
    "manage_person": "person",
    "manage_audit": "audit",
    "manage_environment": "environment",
}
"""address -> the picture's name in docs/images"""
STRANGERS = ("login", "published")
"""Pages for people who are not signed in."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--all", type=Path, metavar="FOLDER")
    folder: Path | None = parser.parse_args().all
    from tests.browser.furnished import furnish

    portal = start_portal()
    try:
        paths = furnish(portal).paths
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            if folder is not None:
                _take_all(browser, portal, paths, folder)
            else:
                _take_shown(browser, portal, paths)
            browser.close()
    finally:
        portal.stop()


def _take_shown(browser: Browser, portal: Portal, paths: dict[str, str]) -> None:
    folder = ROOT / "docs" / "images"
    folder.mkdir(exist_ok=True)
    for colours in ("light", "dark"):
        page = _page(browser, WIDE, colours)
        sign_in(page, portal.url, portal.username, portal.password)
        for name, picture in SHOWN.items():
            page.goto(portal.url + paths[name])
            settle(page)
            suffix = "-dark" if colours == "dark" else ""
            page.screenshot(path=folder / f"{picture}{suffix}.png")
        page.context.close()


def _take_all(browser: Browser, portal: Portal, paths: dict[str, str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for width, viewport in (("wide", WIDE), ("narrow", NARROW)):
        for colours in ("light", "dark"):
            known, stranger = (_page(browser, viewport, colours) for _ in range(2))
            sign_in(known, portal.url, portal.username, portal.password)
            for name, path in {**paths, "not_found": "/nothing-here/"}.items():
                page = stranger if name in STRANGERS else known
                page.goto(portal.url + path)
                settle(page)
                page.screenshot(path=folder / f"{name}-{width}-{colours}.png", full_page=True)
            known.context.close()
            stranger.context.close()


def _page(browser: Browser, viewport: ViewportSize, colours: str) -> Page:
    context = browser.new_context(
        viewport=viewport,
        color_scheme="dark" if colours == "dark" else "light",
        reduced_motion="reduce",
        has_touch=viewport == NARROW,
    )
    return context.new_page()


def sign_in(page: Page, url: str, username: str, password: str) -> None:
    page.goto(f"{url}/login/")
    page.fill("#id_username", username)
    page.fill("#id_password", password)
    page.click("button.primary")
    page.wait_for_url(f"{url}/")


def settle(page: Page) -> None:
    """Until pictures and lines are there."""
    page.wait_for_load_state("load")
    if page.locator("#output .ln").count() or page.locator("#console-data").count():
        page.wait_for_selector("#output .ln >> nth=3", state="attached")
    # Not page.wait_for_function(): what it asks again and again is refused by the pages' own policy.
    shown = "[...document.images].filter(i => i.checkVisibility()).every(i => i.complete)"
    until(lambda: page.evaluate(shown), "the pictures of the page", seconds=30)


if __name__ == "__main__":
    main()
