"""An administrator's Environments, with a real registry: add, watch, choose, move on, retire."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.people import is_complaint
from tests.browser.screenshots import sign_in
from tests.browser.test_main_job import new_task, write
from tests.contract.registry import Registry
from tests.jobs_backends.fake_r import FakeR, SlowLine
from tests.portal import Portal

pytestmark = [pytest.mark.browser, pytest.mark.docker]

SLOW = 60_000


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    made = Registry(tmp_path_factory.mktemp("registry"))
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeR]:
    made = FakeR(tmp_path_factory.mktemp("images"))
    yield made
    made.clean()


@pytest.fixture
def page(browser: Browser, docker_portal: Portal, complaints: list[str]) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(30_000)
    page = context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if is_complaint(message) else None,
    )
    sign_in(page, docker_portal.url, docker_portal.username, docker_portal.password)
    yield page
    context.close()


def add(page: Page, portal: Portal, name: str, image: str, packages: str = "") -> None:
    page.goto(f"{portal.url}/manage/environments/")
    page.get_by_role("link", name="Add an Environment").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Image", exact=True).fill(image)
    page.get_by_label("Packages that it promises").fill(packages)


def run_here(page: Page, number: int) -> str:
    """Run the script that is in the editor, as the Task's Run `number`; returns its page's address."""
    headline = page.locator("#output [data-headline]")
    page.keyboard.press("Control+Enter")
    expect(headline).to_contain_text(f"#{number}")
    address = headline.get_by_role("link").first.get_attribute("href")
    assert address
    return address


def test_from_a_registry_to_a_run_and_on_to_the_next_version(
    page: Page,
    docker_portal: Portal,
    registry: Registry,
    images: FakeR,
    complaints: list[str],
) -> None:
    images.ballast = 16 * 10**6
    first = images.push(f"{registry.name}/team/r:4", "one").rpartition("@")[2]
    line = SlowLine(registry.port, rate=1e6)
    add(page, docker_portal, "Team R", f"{line.name}/team/r:4", "dplyr")
    page.get_by_label("Description").fill("For the river team.")
    page.get_by_role("button", name="Add and check it").click()
    now = page.locator("#environment-now")
    expect(now).to_contain_text("Being checked")
    expect(now).to_contain_text(re.compile(r"\d+ of 16 MB"), timeout=SLOW)
    line.hurry()
    expect(now.locator(".headline-big").first).to_contain_text("Ready", timeout=SLOW)
    expect(page.locator("#tested-digest")).to_contain_text(first)
    expect(page.locator("#output .ln .tx").filter(has_text="one begins")).to_be_visible()

    new_task(page, docker_portal, "Rivers")
    panel = page.locator("#runpanel")
    panel.get_by_label("Environment").select_option("Team R")
    expect(panel).to_contain_text("For the river team.")
    expect(panel).to_contain_text("With dplyr")
    panel.get_by_label("Memory", exact=True).select_option("256 MB")
    write(page, "# an Rscript of ours runs it")
    old_run = run_here(page, 1)
    headline = page.locator("#output [data-headline]")
    expect(headline).to_contain_text("Succeeded", timeout=SLOW)

    images.ballast = 0
    second = images.push(f"{registry.name}/team/r:4", "two").rpartition("@")[2]
    new_run = run_here(page, 2)
    expect(headline).to_contain_text("Succeeded", timeout=SLOW)
    expect(page.locator("#output .ln .tx").filter(has_text="two begins")).to_be_visible()

    line.close()
    registry.stop()
    run_here(page, 3)
    expect(headline).to_contain_text("Waiting", timeout=SLOW)
    expect(headline).to_contain_text("does not answer", timeout=SLOW)
    page.get_by_role("button", name="Cancel").click()
    expect(headline).to_contain_text("Cancelled", timeout=SLOW)
    registry.start()

    for address, digest in ((old_run, first), (new_run, second)):
        page.goto(docker_portal.url + address)
        expect(page.locator("main")).to_contain_text(digest)
    page.goto(f"{docker_portal.url}/manage/environments/")
    page.get_by_role("link", name="Team R", exact=True).click()
    expect(now).to_contain_text("another image under the name")
    expect(now).to_contain_text(second)
    assert complaints == []


def test_a_missing_package_is_named_mended_and_the_rest_of_its_life(
    page: Page, docker_portal: Portal, r_image: str, complaints: list[str]
) -> None:
    add(page, docker_portal, "Course", r_image, "stats\nnosuchpackage")
    page.get_by_label("Never pull").check()
    page.get_by_role("button", name="Add and check it").click()
    now = page.locator("#environment-now")
    expect(now.locator(".headline-big").first).to_contain_text("Check failed", timeout=SLOW)
    expect(now).to_contain_text("there is no package called ‘nosuchpackage’")
    expect(page.locator("#output .ln.error").first).to_contain_text("nosuchpackage")
    address = page.url
    task = f"{docker_portal.url}/tasks/new/"
    page.goto(task)
    expect(page.locator("main")).not_to_contain_text("Course")

    page.goto(f"{address}edit/")
    page.get_by_label("Packages that it promises").fill("stats, no such;")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("is no name of an R package")
    page.get_by_label("Packages that it promises").fill("stats")
    page.get_by_role("button", name="Save").click()
    expect(now.locator(".headline-big").first).to_contain_text("Ready", timeout=SLOW)
    page.goto(task)
    expect(page.get_by_label("Environment").locator("option")).to_contain_text(["Course"])

    page.goto(address)
    page.get_by_role("link", name="Retire…").click()
    expect(page.locator("main")).to_contain_text("No new Run can choose it.")
    page.get_by_role("button", name="Retire it").click()
    expect(now).to_contain_text("Retired")
    page.goto(task)
    expect(page.locator("main")).not_to_contain_text("Course")
    page.goto(f"{docker_portal.url}/manage/environments/")
    page.get_by_role("link", name="Course", exact=True).click()
    page.get_by_role("button", name="Take it back into use").click()
    expect(now.locator(".headline-big").first).to_contain_text("Ready")
    expect(page.get_by_role("button", name="Make it the usual one")).to_be_visible()
    # Chromium says so of every answer that refuses.
    assert [each for each in complaints if "422" not in each] == []
