"""From R's message in the output to the line in the editor."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.client import Client
from tests.portal import Portal

pytestmark = pytest.mark.browser

MAIN = b"""\
# f(flow, "a")
flow <- 1:3
f <- function(x, y) {
  x + nothing_here
}
cat("Sourcing\\n")
try(source("lib/broken.R"))
f( flow, 'a' )
"""
BROKEN = b"x <- 1\n\ny <- (2 +\nz z\n"


@pytest.fixture(scope="module")
def task(portal: Portal) -> Iterator[tuple[str, str]]:
    """A Task and a Run of it that failed twice over."""
    client = Client(portal.url, portal.token("lines"))
    task = client.create_task("Error lines")
    client.put_file(task, "code/main.R", MAIN)
    client.put_file(task, "code/lib/broken.R", BROKEN)
    run = client.submit(task, kind="script", script_path="main.R")
    client.wait_for_end(run)
    yield task, run
    client.close()


def test_what_r_names_is_a_link_to_its_line(
    page: Page, portal: Portal, task: tuple[str, str], complaints: list[str]
) -> None:
    page.goto(f"{portal.url}/tasks/{task[0]}/?file=code/lib/broken.R")
    expect(page.locator("#file-name")).to_have_text("lib/broken.R")
    active = page.locator("#editor .cm-activeLine")
    # R tells the call, not the line: it is looked for, not in the comment.
    page.locator("#output a.source").filter(has_text='f(flow, "a")').click()
    expect(page.locator("#file-name")).to_have_text("main.R")
    expect(active).to_have_text("f( flow, 'a' )")
    # Where R tells the line, that one.
    page.locator("#output a.source").filter(has_text="lib/broken.R:4").click()
    expect(page.locator("#file-name")).to_have_text("lib/broken.R")
    expect(active).to_have_text("z z")
    assert complaints == []


def test_from_the_page_of_the_run(page: Page, portal: Portal, task: tuple[str, str]) -> None:
    page.goto(f"{portal.url}/runs/{task[1]}/")
    page.locator("#output a.source").filter(has_text="lib/broken.R:4").click()
    expect(page.locator("#editor .cm-activeLine")).to_have_text("z z")
    expect(page.locator("#file-name")).to_have_text("lib/broken.R")


def test_a_call_that_is_not_in_the_script_is_said(
    page: Page, portal: Portal, task: tuple[str, str]
) -> None:
    page.goto(f"{portal.url}/tasks/{task[0]}/?file=code/main.R&call=gone(1)")
    expect(page.locator("#toasts")).to_contain_text("main.R has no line with “gone(1)”")


@pytest.mark.parametrize(
    ("script", "linked", "line"),
    [
        # The line that R stopped in is like an earlier one; the one before it tells them apart.
        ("f <- function(a) {\n}\n\ng <- function(a) {\n  a + 1\n}}\n", "}}", "}}"),
        ("y <- function(a) {\n  a +* 3\n}\n", "a +*", "  a +* 3"),
        ("x <- 1\n\nx y z\n", "x y", "x y z"),
    ],
)
def test_what_r_does_not_understand_is_a_link_to_its_line(
    page: Page, portal: Portal, script: str, linked: str, line: str
) -> None:
    client = Client(portal.url, portal.token("syntax"))
    task = client.create_task("Syntax")
    client.put_file(task, "code/main.R", script.encode())
    client.wait_for_end(client.submit(task, kind="script", script_path="main.R"))
    client.close()
    page.goto(f"{portal.url}/tasks/{task}/")
    link = page.locator("#output a.source")
    expect(link).to_have_text([linked])
    link.click()
    expect(page.locator("#editor .cm-activeLine")).to_have_text(line)


def test_saved_is_said_of_the_file_that_was_saved(page: Page, portal: Portal) -> None:
    client = Client(portal.url, portal.token("saved"))
    task = client.create_task("Saved")
    client.put_file(task, "code/a.R", b"1\n")
    client.put_file(task, "input/b.csv", b"x\n1\n")
    client.close()
    page.goto(f"{portal.url}/tasks/{task}/")
    page.locator("#editor .cm-content").click()
    page.keyboard.type("2")
    page.keyboard.press("Control+s")
    expect(page.locator("#editor-status")).to_have_text("Saved")
    page.get_by_role("treeitem", name="b.csv").click()
    expect(page.locator("#file-name")).to_have_text("input/b.csv")
    expect(page.locator("#editor-status")).to_have_text("")
