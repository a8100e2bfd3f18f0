"""What people type is theirs: commands typed ahead, several lines, forms after a session's end."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.test_commands import line, printed
from tests.browser.test_main_job import new_task, task_of, write
from tests.client import Client
from tests.portal import Portal
from tests.waiting import until

pytestmark = pytest.mark.browser


def commands(portal: Portal, task: str) -> list[str]:
    """What was run in the Task, oldest first."""
    client = Client(portal.url, portal.token("typing"))
    found = client.http.get(f"/tasks/{task}/runs").raise_for_status().json()["results"]
    client.close()
    return [each["command"] for each in reversed(found)]


def test_commands_typed_ahead_run_one_by_one_in_order(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    new_task(page, portal, "Typing ahead")
    held: list[Route] = []
    page.route("**/api/v1/tasks/*/runs", lambda route: held.append(route), times=1)
    line(page).focus()
    page.keyboard.type("echo C1\necho D1\necho E1\nnot sent yet")
    until(lambda: page.title() and held, "the first command to be sent")
    expect(line(page)).to_have_value("not sent yet")
    held[0].continue_()
    expect(printed(page, "E1")).to_be_visible()
    expect(line(page)).to_have_value("not sent yet")
    assert commands(portal, task_of(page)) == ["echo C1", "echo D1", "echo E1"]
    assert complaints == []


def test_a_refused_command_is_said_and_never_put_into_another(page: Page, portal: Portal) -> None:
    new_task(page, portal, "Refused")
    held: list[Route] = []
    page.route("**/api/v1/tasks/*/runs", lambda route: held.append(route), times=1)
    line(page).focus()
    page.keyboard.type("echo lost\necho an")
    until(lambda: page.title() and held, "the first command to be sent")
    refusal = {"title": "Refused", "status": 400, "detail": "No room today."}
    held[0].fulfill(status=400, content_type="application/json", body=json.dumps(refusal))
    toast = page.locator("#toasts .toast")
    expect(toast).to_contain_text("No room today.")
    expect(toast.locator("pre")).to_have_text("echo lost")
    page.keyboard.type("d found\n")
    expect(printed(page, "and found")).to_be_visible()
    assert commands(portal, task_of(page)) == ["echo and found"]


def test_several_lines_are_pasted_run_and_had_back_as_they_are(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    new_task(page, portal, "Several lines")
    text = "cat > /input/list <<END\nfirst\nsecond\nEND\nwc -l < /input/list"
    before = page.locator("#commandline").bounding_box()
    line(page).focus()
    page.keyboard.insert_text(text)
    expect(line(page)).to_have_value(text)
    grown = page.locator("#commandline").bounding_box()
    assert before and grown
    assert grown["height"] > before["height"] + 70
    # It grows upwards, and nothing of the page is scrolled away for it.
    assert grown["y"] + grown["height"] == before["y"] + before["height"]
    assert page.evaluate("[scrollX, scrollY, document.querySelector('main').scrollTop]") == [
        0,
        0,
        0,
    ]
    page.keyboard.press("Enter")
    expect(printed(page, "2")).to_be_visible()
    expect(page.locator("#history .title")).to_have_text(["#1 cat > /input/list <<END …"])
    assert commands(portal, task_of(page)) == [text]

    page.reload()
    line(page).press("ArrowUp")
    expect(line(page)).to_have_value(text)
    # The cursor is at its end: up goes through its lines before it leaves them.
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    page.keyboard.type("x")
    expect(line(page)).to_have_value(text.replace("\nEND", "\nxEND"))
    page.keyboard.press("Shift+Enter")
    expect(line(page)).to_have_value(text.replace("\nEND", "\nx\nEND"))
    assert complaints == []


def test_ctrl_enter_runs_from_the_file_tree_too(page: Page, portal: Portal) -> None:
    new_task(page, portal, "From the tree")
    write(page, "cat('ran\\n')\n")
    page.keyboard.press("Control+s")
    page.get_by_role("treeitem", name="script.R").click()
    page.keyboard.press("Control+Enter")
    expect(printed(page, "ran")).to_be_visible()


def test_a_form_outlives_the_end_of_the_session(page: Page, portal: Portal) -> None:
    new_task(page, portal, "Outlives")
    line(page).fill("echo once")
    line(page).press("Enter")
    expect(page.locator("#output [data-headline]")).to_contain_text("Succeeded")
    page.locator("#output [data-headline] a").click()
    page.get_by_role("link", name="Run again with changes").click()
    command = page.locator("#command")
    command.fill("echo precious")
    send = page.locator("form").filter(has=command).get_by_role("button").last

    other = page.context.new_page()
    other.goto(portal.url)
    other.get_by_role("button", name="Menu of").click()
    other.get_by_role("button", name="Sign out").click()
    other.wait_for_url(re.compile("/login/"))
    other.close()
    banner = page.locator("#session-ended")
    expect(banner).to_be_visible()
    send.click()
    expect(page.locator("#toasts .toast")).to_contain_text("Not sent: your session has ended.")
    expect(command).to_have_value("echo precious")

    with page.context.expect_page() as opened:
        banner.get_by_role("link", name="Sign in again").click()
    login = opened.value
    login.fill("#id_username", portal.username)
    login.fill("#id_password", portal.password)
    login.click("button.primary")
    # It leads to the page of the form, in a tab of its own.
    expect(login.locator("#command")).to_be_visible()
    login.close()
    send.click()
    page.wait_for_url(re.compile(r"/runs/[0-9a-z]{16}/$"))
    expect(printed(page, "precious")).to_be_visible()


def test_a_long_history_is_paged_to_its_beginning(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    new_task(page, portal, "Long history")
    portal.manage(
        "shell",
        "-c",
        "from jobs.models import Environment, Run, Task\n"
        "from django.utils import timezone\n"
        f"task = Task.objects.get(public_id={task_of(page)!r})\n"
        "now = timezone.now()\n"
        "for number in range(1, 71):\n"
        "    Run.objects.create(task=task, number=number, kind='command', command=f'echo {number}',"
        " state='succeeded', attempt=1, exit_code=0, submitted_by=task.owner,"
        " environment=Environment.objects.first(), cpus=1, memory=2**28, time_limit=60, backend='local',"
        " created_at=now, started_at=now, finished_at=now)\n"
        "task.last_run_number = 70\n"
        "task.save()\n",
    )
    page.reload()
    items = page.locator("#history [data-run]")
    expect(items).to_have_count(30)
    more = page.get_by_role("button", name="Earlier Runs")
    more.click()
    expect(items).to_have_count(60)
    # The focus is on what came, not lost with the button.
    expect(items.nth(30)).to_be_focused()
    more.click()
    expect(items).to_have_count(70)
    expect(more).to_have_count(0)
    # A new Run comes on top, and nothing that was fetched goes.
    line(page).fill("echo newest")
    line(page).press("Enter")
    expect(items).to_have_count(71)
    numbers = [int(each.get_attribute("data-number") or 0) for each in items.all()]
    assert numbers == list(range(71, 0, -1))
    items.last.click()
    expect(items.last).to_have_attribute("aria-current", "true")
    assert complaints == []
