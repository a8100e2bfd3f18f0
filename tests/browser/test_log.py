"""Logs that are large or odd, as a person meets them: the page stays quick and shows what there is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.client import Client
from tests.portal import Portal

pytestmark = pytest.mark.browser

LINES = 600_000
"""of 100 bytes each: 60 MB"""
MIDDLE = 345_678


AT_REST = """async (log) => {
  // The wheel glides: where it is once several frames found it at the same place.
  for (let at = -1, same = 0; same < 5; await new Promise(requestAnimationFrame)) {
    same = log.scrollTop === at ? same + 1 : 0;
    at = log.scrollTop;
  }
  return log.scrollTop;
}"""


@dataclass
class Logs:
    client: Client
    portal: Portal
    task: str

    def path(self, run: str) -> Path:
        return self.portal.home / "storage" / "runs" / run / "1" / "log"

    def finished(self, content: bytes) -> str:
        """A Run that is over, with this log."""
        run = self.client.command(self.task, "true")
        self.client.wait_for_end(run)
        self.path(run).write_bytes(content)
        return run

    def open(self, page: Page, run: str, fragment: str = "") -> None:
        page.goto(f"{self.portal.url}/runs/{run}/{fragment}")


@pytest.fixture(scope="module")
def logs(portal: Portal) -> Iterator[Logs]:
    client = Client(portal.url, portal.token("logs"))
    yield Logs(client, portal, client.create_task("Logs"))
    client.close()


@pytest.fixture(scope="module")
def large(logs: Logs) -> str:
    filler = "x" * 80
    lines = [f"line {number:010d} {filler}"[:99] for number in range(1, LINES + 1)]
    lines[MIDDLE - 1] = f"{'Error: the needle':<99}"
    return logs.finished(("\n".join(lines) + "\n").encode())


def rows(page: Page) -> Callable[[str], None]:
    return lambda text: expect(
        page.locator("#output .ln .tx").filter(has_text=text).first
    ).to_be_in_viewport()


def line(number: int) -> str:
    return f"line {number:010d}"


def test_a_large_log_opens_at_its_end_and_comes_as_one_scrolls(
    page: Page, logs: Logs, large: str, complaints: list[str]
) -> None:
    received: list[int] = []
    page.on(
        "websocket",
        lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))),
    )
    page.on(
        "response",
        lambda response: (
            received.append(int(response.headers.get("content-length", "0")))
            if "/log" in response.url
            else None
        ),
    )
    logs.open(page, large)
    shown = rows(page)
    shown(line(LINES))
    expect(page.locator(f"#L{LINES}")).to_be_attached()
    output = page.locator("#output [data-log]")
    output.hover()
    for _ in range(12):
        page.mouse.wheel(0, -5000)
        page.evaluate("() => new Promise(requestAnimationFrame)")
    newer = page.locator("#output [data-newlines]")
    expect(newer).to_have_text("Jump to the end")
    expect(page.locator("#output .ln").first).to_be_visible()
    # In order, each once, however the pieces came. What is far from the viewport has no nodes.
    found = [int(each) for each in re.findall(r"line (\d+)", output.inner_text())]
    assert found
    assert found == sorted(set(found))
    output.press("Home")
    shown(line(1))
    expect(page.locator("#L1")).to_be_in_viewport()
    output.evaluate("log => { log.scrollTop = log.scrollHeight / 2 }")
    middle = page.locator("#output .ln .tx").filter(has_text=re.compile(r"line 0000(29|30)\d{4}"))
    expect(middle.first).to_be_visible()
    newer.get_by_role("button").click()
    shown(line(LINES))
    expect(newer).to_be_hidden()
    assert page.locator("#output .ln").count() < 1500
    assert sum(received) < 6_000_000
    assert complaints == []


def test_a_line_of_a_large_log_has_an_address(page: Page, logs: Logs, large: str) -> None:
    logs.open(page, large, f"#L{MIDDLE}")
    marked = page.locator("#output .ln.target")
    expect(marked).to_contain_text("Error: the needle")
    expect(marked).to_be_in_viewport()
    expect(marked.locator(".no")).to_have_attribute("data-n", str(MIDDLE))


def test_the_whole_log_is_searched_by_keyboard(page: Page, logs: Logs, large: str) -> None:
    logs.open(page, large)
    rows(page)(line(LINES))
    page.locator("#output [data-log]").press("Control+f")
    words = page.get_by_role("searchbox", name="Search the output")
    expect(words).to_be_focused()
    page.keyboard.type("the NEEDLE")
    count = page.locator("#output [data-search-count]")
    expect(count).to_have_text("not found")
    words.fill("error")
    expect(count).to_have_text("1 of 1")
    found = page.locator("#output .ln.found")
    expect(found).to_contain_text("the needle")
    expect(found).to_be_in_viewport()
    words.fill("line 00001234")
    expect(count).to_have_text("1 of 100")
    page.keyboard.press("Enter")
    expect(count).to_have_text("2 of 100")
    expect(found).to_contain_text(line(123_401))
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Shift+Enter")
    expect(count).to_have_text("100 of 100")
    expect(found).to_contain_text(line(123_499))
    expect(found).to_be_in_viewport()
    page.keyboard.press("Escape")
    expect(words).to_be_hidden()
    expect(found).to_have_count(0)


def test_scrolling_up_stops_following_and_says_what_is_new(page: Page, logs: Logs) -> None:
    command = "seq 1 300; until [ -e more ]; do sleep 0.05; done; seq 301 310; sleep 600"
    task = logs.client.create_task("Followed")
    run = logs.client.command(task, command)
    logs.open(page, run)
    lines = page.locator("#output .ln .tx")
    expect(lines.get_by_text("300", exact=True)).to_be_in_viewport()
    output = page.locator("#output [data-log]")
    output.hover()
    page.mouse.wheel(0, -3000)
    newer = page.locator("#output [data-newlines]")
    expect(newer).to_have_text("Jump to the end")
    before = output.evaluate(AT_REST)
    logs.client.put_file(task, "code/more", b"")
    expect(newer).to_have_text("10 new lines")
    assert output.evaluate("log => log.scrollTop") == before
    output.press("End")
    expect(lines.get_by_text("310", exact=True)).to_be_in_viewport()
    expect(newer).to_be_hidden()
    expect(page.get_by_role("button", name="Follow the newest line")).to_have_attribute(
        "aria-pressed", "true"
    )
    # Something cuts the file short: the page says so and shows what there is.
    logs.path(run).write_bytes(b"afresh\n")
    expect(page.locator("#output .log-note").first).to_contain_text("cut short")
    expect(lines).to_have_text(["afresh"])
    logs.client.cancel(run)


def test_a_log_that_shrank_is_told_also_to_who_saw_the_run_wait(page: Page, logs: Logs) -> None:
    """Its page knew of no attempt when it was opened."""
    free = logs.client.cluster()["machines"][0]
    task = logs.client.create_task("Waited for")
    first = logs.client.command(task, "sleep 600", cpus=free["cpus"], memory=256 * 1024**2)
    run = logs.client.command(task, "seq 1 9; sleep 600", cpus=1.0, memory=256 * 1024**2)
    logs.open(page, run)
    expect(page.get_by_text("Waiting").first).to_be_visible()
    logs.client.cancel(first)
    lines = page.locator("#output .ln .tx")
    expect(lines.last).to_have_text("9")
    logs.path(run).write_bytes(b"afresh\n")
    expect(page.locator("#output .log-note").first).to_contain_text("cut short")
    expect(lines).to_have_text(["afresh"])
    logs.client.cancel(run)


def test_what_is_no_text_is_seen_and_downloaded_as_it_is(
    page: Page, logs: Logs, complaints: list[str]
) -> None:
    bar = b"".join(b"\rstep %d of 100" % step for step in range(101))
    long = "0123456789é".encode() * 900_000 + b"THE END"
    marker = b"[rcluster: the log reached its limit of 999 bytes; further output is dropped]"
    content = b"caf\xe9 \x00\x01\x1b[31mred\x1b[0m\n" + bar + b"\n" + long + b"\n" + marker + b"\n"
    run = logs.finished(content)
    logs.open(page, run)
    lines = page.locator("#output .ln .tx")
    expect(page.locator("#output .tx.cap")).to_be_in_viewport()
    expect(lines.filter(has_text="THE END")).to_be_visible()
    output = page.locator("#output [data-log]")
    output.press("Home")
    expect(lines.nth(0)).to_have_text("caf� ␀␁red")
    expect(lines.nth(0).locator(".ansi-red-fg")).to_have_text("red")
    expect(lines.nth(1)).to_have_text("step 100 of 100")
    expect(lines.nth(2)).to_contain_text("0123456789é0123456789é")
    assert page.locator("#output .ln").count() < 300
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the whole output").click()
    assert download.value.path().read_bytes() == content
    assert complaints == []
