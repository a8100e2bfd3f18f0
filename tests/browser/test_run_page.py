"""The page of a Run, as a person uses it: what happened, what it wrote, once more with changes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.client import Client
from tests.portal import Portal

pytestmark = pytest.mark.browser

SCRIPT = b"""\
asked <- commandArgs(TRUE)
cat("year", asked, "\\n")
write.csv(head(mtcars, 3), "/output/cars.csv")
png("/output/plot.png", 320, 240)
plot(1:3)
invisible(dev.off())
"""

REFRESH_RESULTS = """() => new Promise((done) => {
  const results = document.querySelector("#results");
  results.addEventListener("htmx:afterSettle", () => done());
  results.dispatchEvent(new Event("refresh"));
})"""


@pytest.fixture
def api(portal: Portal) -> Iterator[Client]:
    client = Client(portal.url, portal.token("run page"))
    yield client
    client.close()


def test_what_a_run_did_and_once_more_with_changes(
    page: Page, portal: Portal, api: Client, complaints: list[str]
) -> None:
    task = api.create_task("Cars")
    api.put_file(task, "code/cars.R", SCRIPT)
    run = api.submit(task, script_path="cars.R", arguments=["2025"], variables={"MODE": "quick"})
    page.goto(f"{portal.url}/runs/{run}/")

    head = page.locator("#head")
    expect(head).to_contain_text("Succeeded")
    timeline = head.locator(".timeline .step")
    expect(timeline.first).to_contain_text("Queued")
    expect(timeline.last).to_contain_text("Succeeded")
    expect(timeline.filter(has_text="Started")).to_contain_text(re.compile(r"\d s"))
    expect(page.locator("#output .ln .tx").first).to_have_text("year 2025 ")
    expect(page.get_by_role("meter", name="Memory used")).to_be_visible()
    expect(page.locator("#script .cm-content")).to_contain_text("write.csv")

    results = page.locator("#results")
    expect(results.locator(".gallery img")).to_be_visible()
    results.get_by_text("Beginning of output/cars.csv").click()
    expect(results.get_by_role("region", name="Beginning of output/cars.csv")).to_contain_text(
        "Mazda RX4"
    )
    # What was opened stays open when the part refreshes, as it does after each reconnect.
    page.evaluate(REFRESH_RESULTS)
    expect(results.get_by_role("region", name="Beginning of output/cars.csv")).to_contain_text(
        "Mazda RX4"
    )

    api.put_file(task, "code/cars.R", b'cat("now", commandArgs(TRUE), Sys.getenv("MODE"), "\\n")\n')
    page.get_by_role("link", name="Run again with changes").click()
    expect(page.get_by_label("Arguments")).to_have_value("2025")
    expect(page.get_by_label("Variables")).to_have_value("MODE=quick")
    page.get_by_label("Arguments").fill("'never closed")
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("missing quote")
    page.get_by_label("Arguments").fill("2026 'two words'")
    page.get_by_label("As the file is now").check()
    page.get_by_label("Memory").select_option(label="512 MB")
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_url(re.compile(r"/runs/(?!" + run + r")[0-9a-z]{16}/$"))

    expect(page.locator("#head")).to_contain_text("Succeeded")
    expect(page.locator("#output .ln .tx").first).to_have_text("now 2026 two words quick ")
    asked = page.get_by_label("What was asked and used")
    expect(asked).to_contain_text("512 MB")
    asked.get_by_role("link", name="#1").click()
    page.wait_for_url(re.compile(f"/runs/{run}/"))
    expect(
        page.get_by_label("What was asked and used").get_by_role("link", name="#2")
    ).to_be_visible()
    assert [each for each in complaints if "422" not in each] == []
