"""Commands as a person types them: at once on a full machine, found again, in two consoles."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.test_main_job import new_task, task_of
from tests.client import Client
from tests.portal import Portal
from tests.waiting import until

pytestmark = pytest.mark.browser


def line(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Command")


def run(page: Page, command: str) -> None:
    line(page).fill(command)
    line(page).press("Enter")


def printed(page: Page, text: str) -> Locator:
    return page.locator("#output .ln .tx").filter(has_text=re.compile(f"^{re.escape(text)}$"))


@pytest.fixture
def client(portal: Portal) -> Iterator[Client]:
    client = Client(portal.url, portal.token("commands"))
    yield client
    client.close()


@pytest.fixture
def full_machine(client: Client) -> Iterator[str]:
    """Every CPU is held by a long Run, and another waits."""
    task = client.create_task("Long Runs")
    cpus = int(client.cluster()["total"]["cpus"])
    runs = [
        client.command(task, "sleep 1000", cpus=1, memory=64 * 1024**2) for _ in range(cpus + 1)
    ]
    until(lambda: client.run(runs[cpus - 1])["state"] == "running", "the machine to be full")
    yield task
    for each in runs:
        client.cancel(each)
    until(lambda: all(client.run(each)["finished_at"] for each in runs), "their ends")


def test_ls_answers_at_once_on_a_full_machine_and_the_queue_is_one_switch_away(
    page: Page, portal: Portal, full_machine: str, complaints: list[str]
) -> None:
    new_task(page, portal, "Quick")
    expect(page.get_by_role("radio", name="Quick")).to_be_checked()
    run(page, "nproc; echo at once")
    expect(printed(page, "at once")).to_be_visible()
    expect(page.locator("#output [data-headline]")).to_contain_text("Succeeded")

    page.get_by_role("radio", name="Queue").check()
    run(page, "echo in line")
    headline = page.locator("#output [data-headline]")
    expect(headline).to_contain_text("Waiting")
    expect(headline).to_contain_text(re.compile(r"Needs 1 CPU and 1 GB"))
    page.get_by_role("button", name="Cancel").click()
    expect(headline).to_contain_text("Cancelled by")
    assert complaints == []


def test_what_was_run_is_found_again_after_a_reload_and_elsewhere(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    new_task(page, portal, "History")
    for command in ("echo one > /input/one.csv", "wc -c /input/one.csv", "echo three"):
        run(page, command)
        expect(page.locator("#output [data-headline]")).to_contain_text("Succeeded")
        expect(page.locator("#output [data-headline]")).to_contain_text(command.split()[0])
    page.reload()
    line(page).press("ArrowUp")
    expect(line(page)).to_have_value("echo three")
    line(page).press("ArrowUp")
    expect(line(page)).to_have_value("wc -c /input/one.csv")

    line(page).fill("")
    line(page).press("Control+r")
    options = page.locator("#recall-list [role=option]")
    expect(options).to_have_count(3)
    line(page).press_sequentially("csv EC")
    expect(options).to_have_text(["echo one > /input/one.csv"])
    line(page).press("Enter")
    expect(line(page)).to_have_value("echo one > /input/one.csv")
    expect(page.locator("#recall")).to_be_hidden()
    page.get_by_role("button", name="Earlier commands").click()
    line(page).fill("nothing like it")
    expect(page.get_by_text("No command of this Task has")).to_be_visible()
    line(page).press("Escape")
    expect(line(page)).to_have_value("nothing like it")
    assert complaints == []


def test_two_consoles_on_one_task_each_show_their_own(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    new_task(page, portal, "Two consoles")
    run(page, "echo begins here; sleep 600")
    expect(printed(page, "begins here")).to_be_visible()
    other = page.context.new_page()
    other.goto(f"{portal.url}/tasks/{task_of(page)}/")
    run(other, "echo from the other tab")
    expect(printed(other, "from the other tab")).to_be_visible()
    expect(other.locator("#output [data-headline]")).to_contain_text("Succeeded")

    # The first learns of it, and goes on to show its own.
    expect(page.locator("#history [data-run]")).to_have_count(2)
    expect(page.locator("#history .state-succeeded")).to_have_count(1)
    expect(page.locator('#history [aria-current="true"]')).to_contain_text("begins here")
    expect(page.locator("#output [data-headline]")).to_contain_text("Running")
    expect(printed(page, "begins here")).to_be_visible()
    line(page).press("ArrowUp")
    expect(line(page)).to_have_value("echo from the other tab")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#output [data-headline]")).to_contain_text("Cancelled by")
    expect(other.locator("#output [data-headline]")).to_contain_text("from the other tab")
    assert complaints == []


def test_one_that_takes_too_long_is_run_again_in_the_queue_with_one_click(
    page: Page, portal: Portal, client: Client, complaints: list[str]
) -> None:
    new_task(page, portal, "Too long")
    started = client.submit(
        task_of(page),
        kind="command",
        command="echo working; [ -e /input/go ] || sleep 60; echo through",
        lane="quick",
        time_limit=1,
    )
    page.goto(f"{portal.url}/tasks/{task_of(page)}/?run={started}")
    headline = page.locator("#output [data-headline]")
    expect(headline).to_contain_text("what a quick command may take")
    client.put_file(task_of(page), "input/go", b"")
    page.get_by_role("button", name="Run again in the queue").click()
    expect(printed(page, "through")).to_be_visible()
    expect(headline).to_contain_text("Succeeded")
    expect(page.get_by_role("button", name="Run again in the queue")).to_have_count(0)
    assert complaints == []


def test_results_that_come_late_are_not_shown_beside_the_next_command(
    page: Page, portal: Portal
) -> None:
    new_task(page, portal, "Late results")
    late: list[Route] = []
    page.route("**/runs/*/?part=results", lambda route: late.append(route), times=1)
    run(page, "echo one > /output/first.txt")
    expect(page.locator("#output [data-headline]")).to_contain_text("Succeeded")
    until(lambda: page.title() and late, "the question for the results")
    run(page, "echo second; sleep 600")
    expect(printed(page, "second")).to_be_visible()
    with page.expect_event("requestfinished", lambda request: "part=results" in request.url):
        late[0].continue_()
    page.evaluate("() => new Promise((done) => setTimeout(done))")
    expect(page.locator("#results")).to_be_empty()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#output [data-headline]")).to_contain_text("Cancelled by")
