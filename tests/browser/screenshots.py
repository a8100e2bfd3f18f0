"""Pictures of the pages of a running portal, for the README and for looking at them.

    python -m tests.browser.screenshots http://localhost:8000 USER PASSWORD [FOLDER] [--all]

Writes docs/images/*.png: home, console, Run and cluster page, wide, light and dark. `--all` takes
every page wide (1440) and narrow (360), light and dark. Makes a Task from an example if the
person has none, so use a portal that is there to be shown.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent.parent
CHROMIUM = "/usr/bin/chromium"
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 360, "height": 740}
SHOWN = ("home", "console", "run", "cluster")
PATIENCE = 120_000
"""milliseconds for an example to end"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("username")
    parser.add_argument("password")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--all", action="store_true")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        url = arguments.url.rstrip("/")
        pages = prepare(browser, url, arguments.username, arguments.password)
        widths = {"wide": WIDE, "narrow": NARROW} if arguments.all else {"wide": WIDE}
        for width, viewport in widths.items():
            for colours in ("light", "dark"):
                context = browser.new_context(
                    viewport=viewport,  # type: ignore[arg-type] # playwright's own TypedDict
                    color_scheme=colours,
                    device_scale_factor=1,
                    has_touch=width == "narrow",
                )
                page = context.new_page()
                sign_in(
                    page,
                    url,
                    arguments.username,
                    arguments.password,
                    arguments.folder if arguments.all else None,
                    f"{width}-{colours}",
                )
                for name, path in pages.items():
                    if not (arguments.all or name in SHOWN):
                        continue
                    page.goto(url + path)
                    settle(page)
                    suffix = (
                        f"-{width}-{colours}"
                        if arguments.all
                        else ("-dark" if colours == "dark" else "")
                    )
                    page.screenshot(path=arguments.folder / f"{name}{suffix}.png")
                context.close()
        browser.close()


def sign_in(
    page: Page, url: str, username: str, password: str, folder: Path | None = None, name: str = ""
) -> None:
    page.goto(f"{url}/login/")
    if folder is not None:
        page.screenshot(path=folder / f"login-{name}.png")
    page.fill("#id_username", username)
    page.fill("#id_password", password)
    page.click("button.primary")
    page.wait_for_url(f"{url}/")


def prepare(browser: Browser, url: str, username: str, password: str) -> dict[str, str]:
    """A Task that has run, and the paths of the pages to show."""
    page = browser.new_page()
    sign_in(page, url, username, password)
    task = page.locator("table.table .name a").filter(has_text="Bike")
    is_new = task.count() == 0
    if not is_new:
        task.first.click()
    else:
        page.goto(f"{url}/tasks/new/")
        page.click(".choice >> nth=0")
    page.wait_for_url(re.compile(r"/tasks/[0-9a-z]{16}"))
    page.wait_for_selector("#output .state-succeeded", timeout=PATIENCE)
    path = page.url.removeprefix(url).split("?")[0]
    run = page.get_attribute("#output [data-headline] a", "href") or "/"
    if is_new:
        # Something that goes on while the pictures are taken.
        page.goto(f"{url}/tasks/new/")
        page.click(".choice >> nth=2")
        page.wait_for_selector("#output .state-running")
    page.close()
    return {
        "home": "/",
        "console": path,
        "run": run,
        "cluster": "/cluster/",
        "account": "/account/",
        "new-task": "/tasks/new/",
        "not-found": "/nothing-here/",
    }


def settle(page: Page) -> None:
    """Until pictures and lines are there."""
    page.wait_for_load_state("load")
    if page.locator("#output").count():
        page.wait_for_selector("#output .ln >> nth=3", state="attached")
    page.wait_for_function(
        "[...document.images].filter(i => i.checkVisibility()).every(i => i.complete)"
    )


if __name__ == "__main__":
    main()
