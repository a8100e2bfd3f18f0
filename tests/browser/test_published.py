"""Published output in a real browser: it is shown, and a hostile page in it reaches nothing."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_files import put
from tests.browser.test_main_job import new_task
from tests.portal import Portal
from tests.waiting import until

pytestmark = pytest.mark.browser

HOSTILE = b"""<!doctype html><meta charset="utf-8"><title>Report</title>
<link rel="stylesheet" href="style.css">
<h1>Report</h1><img id="plot" src="plot.svg"><iframe name="frame" src="inner.html"></iframe>
<form id="form" action="/logout/" method="post"><button>Go</button></form>
<script src="helper.js"></script>
<script>
const found = {};
const attempt = async (name, act) => {
  try { found[name] = String(await act()); } catch (error) { found[name] = `refused: ${error.name}`; }
};
(async () => {
  found.helper = String(window.helper);
  await attempt("own data", async () => (await fetch("data.json")).text());
  await attempt("me", async () => (await fetch("/api/v1/me", { credentials: "include" })).text());
  await attempt("tasks page", async () => (await fetch("/tasks/", { credentials: "include", mode: "no-cors" })).type);
  await attempt("image", () => new Promise((done, fail) => {
    const image = new Image();
    image.onload = () => done("loaded"); image.onerror = fail;
    image.src = "/static/assets/x.png?" + Date.now();
  }));
  await attempt("cookies", () => document.cookie);
  await attempt("storage", () => localStorage.length);
  await attempt("worker", async () => (await navigator.serviceWorker.register("helper.js")).scope);
  await attempt("socket", () => new Promise((done, fail) => {
    const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws/changes/");
    socket.onopen = () => done("open"); socket.onerror = fail;
  }));
  await attempt("opener", () => window.opener === null ? "none" : window.opener.document.title);
  await attempt("top", () => { window.top.document.title; return window.top === window ? "itself" : "reached"; });
  await attempt("beacon", () => navigator.sendBeacon("/api/v1/tasks", "x"));
  document.getElementById("form").requestSubmit();
  await new Promise((done) => setTimeout(done, 300));
  found.still = location.pathname;
  found.origin = window.origin;
  document.title = JSON.stringify(found);
})();
</script>
"""
INNER = b"""<!doctype html><title>Inner</title><p id="inner">inner</p>
<script>
try { window.top.location = "/tasks/"; } catch (error) { document.getElementById("inner").textContent = "held"; }
</script>"""


def publish(page: Page) -> str:
    """By the button of the settings; returns the address that is shown there."""
    page.locator("#task-settings").click()
    page.get_by_role("button", name="Publish /output").click()
    link = page.locator("#published-url a")
    expect(link).to_be_visible()
    return link.inner_text()


def test_a_hostile_page_touches_nothing_of_the_portal(
    page: Page, portal: Portal, browser: Browser
) -> None:
    new_task(page, portal, "Hostile")
    console = page.url
    put(page, "output/index.html", HOSTILE)
    put(page, "output/inner.html", INNER)
    put(page, "output/style.css", b"h1 { color: rgb(1, 2, 3); }")
    put(page, "output/helper.js", b"window.helper = 'ran';")
    put(page, "output/data.json", b'{"river": "Elbe"}')
    put(page, "output/plot.svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    page.goto(console)
    address = publish(page)

    # The victim is signed in and opens it from the portal itself.
    cookies = page.context.cookies()
    page = page.context.new_page()
    answered: list[str] = []
    page.on("response", lambda response: answered.append(response.url))
    page.goto(address)
    expect(page).to_have_title(re.compile(r"^\{"))
    found = page.evaluate("JSON.parse(document.title)")
    # It works as a report does ...
    assert found["helper"] == "ran"
    assert found["own data"] == '{"river": "Elbe"}'
    expect(page.locator("h1")).to_have_css("color", "rgb(1, 2, 3)")
    expect(page.locator("#plot")).to_have_js_property("naturalWidth", 9)
    # ... and reaches nothing.
    for name in ("me", "tasks page", "cookies", "storage", "worker"):
        assert found[name].startswith("refused"), (name, found[name])
    for name in ("image", "socket"):
        assert found[name] not in ("loaded", "open"), (name, found[name])
    assert found["opener"] == "none"
    assert found["origin"] == "null"
    assert found["still"] == address.removeprefix(portal.url)
    assert page.url == address
    # Nothing else of the portal answered: requests for more never left the browser.
    # (Asking the page lets word of its requests come in.)
    until(lambda: page.title() and len(answered) >= 6, "the report's own files")
    outside = [url for url in answered if not url.startswith(address)]
    assert [url for url in outside if "favicon" not in url] == []
    assert page.context.cookies() == cookies
    page.goto(console)
    expect(page.locator("#task-name")).to_have_value("Hostile")
    page.goto(f"{portal.url}/api/v1/me")
    assert portal.username in page.content(), "signed out"

    # Somebody else needs no sign-in, and gets no cookie.
    context = browser.new_context()
    anybody = context.new_page()
    anybody.goto(address)
    expect(anybody).to_have_title(re.compile(r"^\{"))
    assert context.cookies() == []
    page.goto(console)
    page.locator("#task-settings").click()
    page.get_by_role("button", name="End the publishing").click()
    expect(page.get_by_role("button", name="Publish /output")).to_be_visible()
    gone = anybody.goto(address)
    assert gone is not None
    assert gone.status == 404
    context.close()


def test_a_published_folder_lists_its_files(
    page: Page, portal: Portal, browser: Browser, complaints: list[str]
) -> None:
    new_task(page, portal, "Rivers of Europe")
    console = page.url
    put(page, "output/table.csv", b"river,km\nElbe,1094\n")
    put(page, "output/plots/deep/a.txt", b"deep")
    page.goto(console)
    address = publish(page)
    context = browser.new_context()
    anybody = context.new_page()
    anybody.goto(address)
    expect(anybody.get_by_role("heading", name="Rivers of Europe")).to_be_visible()
    anybody.get_by_role("link", name="plots/").click()
    anybody.get_by_role("link", name="deep/").click()
    expect(anybody.get_by_role("link", name="a.txt")).to_be_visible()
    anybody.get_by_role("link", name="plots", exact=True).click()
    anybody.get_by_role("link", name="All files").click()
    expect(anybody).to_have_url(address)
    anybody.get_by_role("link", name="table.csv").click()
    expect(anybody.locator("body")).to_contain_text("Elbe,1094")
    page.goto(console)
    expect(page.get_by_role("link", name="Published output")).to_have_attribute(
        "href", address.removeprefix(portal.url)
    )
    context.close()
    assert complaints == []
