"""The main job on a Mesos cluster, and its page in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_main_job import SCRIPT, let_go, new_task, write
from tests.mesos.portal import mesos_portal
from tests.portal import Portal

pytestmark = [
    pytest.mark.browser,
    pytest.mark.mesos,
    pytest.mark.docker,
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def portal(r_image: str) -> Iterator[Portal]:
    """In place of the one of the other browser tests."""
    attributes = {"agent1": {"disk": "ssd"}, "agent2": {"zone": "b"}}
    with mesos_portal(attributes=attributes) as (_, portal):
        yield portal


def test_write_a_script_run_it_on_some_machine_and_see_its_plot(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    new_task(page, portal, "Squares on Mesos")
    write(page, SCRIPT)
    page.keyboard.press("Control+Enter")

    lines = page.locator("#output .ln .tx")
    headline = page.locator("#output [data-headline]")
    # Lines arrive while it runs: the first ones are there before the last ones are printed.
    expect(lines).to_have_text(
        ["begin", *(f"step {n} of 5 ü" for n in range(1, 4))], timeout=60_000
    )
    expect(headline).to_contain_text("Running")
    expect(headline).to_contain_text(re.compile(r"on agent[123]"))
    let_go(page, portal)

    expect(headline).to_contain_text("Succeeded")
    expect(lines).to_have_text(["begin", *(f"step {n} of 5 ü" for n in range(1, 6)), "done"])
    expect(page.locator("#results img")).to_be_visible()
    expect(page.locator("#results img")).to_have_js_property("naturalWidth", 640)

    page.locator("#output [data-headline] a").click()
    page.wait_for_url(re.compile(r"/runs/[0-9a-z]{16}/"))
    expect(page.locator("#results .gallery img")).to_be_visible()
    expect(page.locator("#main")).to_contain_text(re.compile(r"agent[123]"))
    assert complaints == []


def test_the_cluster_page_shows_every_machine_and_a_drained_one_gets_no_runs(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    page.goto(f"{portal.url}/cluster/")
    machines = page.locator(".machines > li")
    expect(machines).to_have_count(3)
    first = machines.filter(has_text="agent1")
    expect(first).to_contain_text("disk:ssd")
    expect(page.locator("#cluster-now")).to_contain_text("Mesos 1.11.0 leads at 127.0.0.1:")
    for name in ("agent2", "agent3"):
        machines.filter(has_text=name).get_by_role("button", name="Drain").click()
        expect(machines.filter(has_text=name)).to_contain_text("Drained")
    new_task(page, portal, "Where there is room")
    command = page.get_by_role("textbox", name="Command")
    command.fill("sleep 2; echo here")
    command.press("Enter")
    expect(page.locator("#output [data-headline]")).to_contain_text("on agent1", timeout=60_000)
    expect(page.locator("#output [data-headline]")).to_contain_text("Succeeded")
    page.goto(f"{portal.url}/cluster/")
    for name in ("agent2", "agent3"):
        machines.filter(has_text=name).get_by_role("button", name="Take back").click()
        expect(machines.filter(has_text=name)).not_to_contain_text("Drained")
    assert complaints == []
