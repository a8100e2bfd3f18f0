"""Files as a person has them in hand: dropped, renamed, moved, looked at, taken along, had back."""

from __future__ import annotations

import base64
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.test_main_job import new_task, write
from tests.portal import Portal
from tests.waiting import until

pytestmark = pytest.mark.browser

DROP = """
async ([target, tree]) => {
  // What the browser hands out when somebody drops files and folders from the desktop.
  const entry = (path, node) => typeof node === "string"
    ? { isFile: true, isDirectory: false, name: path.split("/").pop(), fullPath: path,
        file: (done) => done(new File([node], path.split("/").pop())) }
    : { isFile: false, isDirectory: true, name: path.split("/").pop(), fullPath: path,
        createReader: () => {
          const left = Object.entries(node).map(([name, below]) => entry(`${path}/${name}`, below));
          return { readEntries: (done) => done(left.splice(0, 2)) };
        } };
  const items = Object.entries(tree).map(([name, node]) =>
    ({ kind: "file", webkitGetAsEntry: () => entry(`/${name}`, node), getAsFile: () => null }));
  for (const type of ["dragover", "drop"]) {
    const event = new DragEvent(type, { bubbles: true, cancelable: true });
    const value = { types: ["Files"], items, getData: () => "", dropEffect: "" };
    Object.defineProperty(event, "dataTransfer", { value });
    document.querySelector(target).dispatchEvent(event);
  }
}
"""

PDF = b"""%PDF-1.4
1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 300 200]/Resources<</Font<</F1 5 0 R>>>>/Contents 4 0 R>>endobj
4 0 obj<</Length 44>>stream
BT /F1 24 Tf 50 100 Td (Hello rivers) Tj ET 
endstream endobj
5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj
trailer<</Root 1 0 R>>
"""
SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="80" height="40"><rect width="80" height="40"/>'
    b'<script>parent.hacked = true; fetch("/hacked")</script></svg>'
)


def drop(page: Page, target: str, tree: dict[str, Any]) -> None:
    page.evaluate(DROP, [target, tree])


def row(page: Page, full: str) -> Locator:
    return page.locator(f'[data-path="{full}"]')


def put(page: Page, path: str, content: bytes) -> None:
    """Behind the page's back, as another tab would."""
    page.evaluate(
        """async ([path, content]) => {
          const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
          const name = document.querySelector('meta[name="csrf-cookie"]').content;
          const token = document.cookie.split("; ").find((each) => each.startsWith(name + "=")).slice(name.length + 1);
          const api = JSON.parse(document.querySelector("#console-data").textContent).api;
          const init = { method: "PUT", body: bytes, headers: { "X-CSRFToken": token } };
          const answer = await fetch(`${api}/files/${path}`, init);
          if (!answer.ok) throw new Error(await answer.text());
        }""",
        [path, base64.b64encode(content).decode()],
    )


def content(page: Page, path: str) -> str:
    text: str = page.evaluate(
        """async (path) => {
          const api = JSON.parse(document.querySelector("#console-data").textContent).api;
          const answer = await fetch(`${api}/files/${path}`);
          return answer.ok ? answer.text() : `(${answer.status})`;
        }""",
        path,
    )
    return text


def test_folders_are_dropped_with_all_that_is_in_them(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    new_task(page, portal, "Dropped")
    drop(
        page,
        '[data-area="input"]',
        {
            "rivers": {
                "a.csv": "a,b",
                "deep": {"er": {"b.csv": "1"}},
                "empty": {},
                "c": "c",
                "d": "d",
            }
        },
    )
    expect(page.locator(".toast").filter(has_text="Uploaded 4 files")).to_be_visible()
    expect(page.locator(".transfers")).to_be_hidden()
    row(page, "input/rivers").locator(".open").first.click()
    expect(row(page, "input/rivers/empty")).to_be_visible()
    assert content(page, "input/rivers/deep/er/b.csv") == "1"

    # Onto a folder's row, and what is there is asked about once for all.
    drop(page, '[data-path="input/rivers/empty"] .row', {"x": "new"})
    expect(row(page, "input/rivers/empty/x")).to_be_visible()
    drop(page, '[data-path="input/rivers"] > .row', {"a.csv": "other", "c": "other", "e": "e"})
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("a.csv is there already")
    dialog.get_by_label("The same for the other 1").check()
    dialog.get_by_role("button", name="Keep both").click()
    expect(row(page, "input/rivers/a (2).csv")).to_be_visible()
    expect(row(page, "input/rivers/c (2)")).to_be_visible()
    assert content(page, "input/rivers/a.csv") == "a,b"
    drop(page, '[data-path="input/rivers"] > .row', {"a.csv": "replaced", "c": "skipped"})
    dialog.get_by_role("button", name="Replace").click()
    expect(dialog).to_contain_text("c is there already")
    page.keyboard.press("Escape")
    expect(page.locator(".toast").filter(has_text="Uploaded 1 file, skipped 1")).to_be_visible()
    assert content(page, "input/rivers/a.csv") == "replaced"
    assert content(page, "input/rivers/c") == "c"
    assert complaints == []


def test_uploads_show_progress_are_cancelled_and_tried_again(page: Page, portal: Portal) -> None:
    new_task(page, portal, "Uploads")
    # By name: requests that leave together arrive in any order.
    held: dict[str, Route] = {}
    page.route(
        "**/files/input/**", lambda route: held.update({Path(route.request.url).stem: route})
    )
    drop(page, '[data-area="input"]', {f"{name}.csv": name * 1000 for name in "abcde"})
    panel = page.locator(".transfers")
    expect(panel).to_contain_text("0 of 5 files")
    expect(panel.locator(".transfer")).to_have_count(5)
    expect(panel.get_by_role("progressbar", name="All uploads")).to_be_visible()
    # A few at a time, not all at once. (Asking the page lets its requests come in.)
    until(lambda: page.title() and len(held) >= 3, "the first uploads")
    assert set(held) == set("abc")
    panel.get_by_role("button", name="Cancel input/e.csv").click()
    expect(panel.locator(".transfer")).to_have_count(4)
    panel.get_by_role("button", name="Cancel input/a.csv").click()
    expect(panel.locator(".transfer")).to_have_count(3)
    until(lambda: page.title() and "d" in held, "the next upload")
    held["b"].fulfill(
        status=507,
        content_type="application/problem+json",
        body=json.dumps({"detail": "The storage is full: remove files."}),
    )
    failed = panel.locator(".transfer.failed")
    expect(failed).to_contain_text("The storage is full")
    for name in "cd":
        held[name].continue_()
    page.unroute("**/files/input/**")
    expect(panel).to_contain_text("1 file could not be uploaded")
    panel.get_by_role("button", name="Try input/b.csv again").click()
    expect(panel).to_be_hidden()
    labels = page.locator('[data-area="input"] .label')
    expect(labels).to_have_text(["b.csv", "c.csv", "d.csv"])


def test_rename_move_and_delete_by_keyboard_with_undo(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    new_task(page, portal, "Keyboard")
    for name in ("a.txt", "b.txt", "plots/p.txt"):
        put(page, f"output/{name}", name.encode())
    page.reload()
    row(page, "output/plots").focus()
    page.keyboard.press("ArrowRight")
    expect(row(page, "output/plots/p.txt")).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(row(page, "output/plots/p.txt")).to_be_focused()
    page.keyboard.press("F2")
    # The stem is selected, not the extension.
    page.keyboard.type("renamed")
    page.keyboard.press("Enter")
    expect(row(page, "output/plots/renamed.txt")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    expect(row(page, "output/plots")).to_be_focused()
    page.keyboard.press("b")
    expect(row(page, "output/b.txt")).to_be_focused()
    page.keyboard.press("Shift+ArrowUp")
    bar = page.get_by_role("toolbar", name="What is selected")
    expect(bar).to_contain_text("2 selected")

    bar.get_by_role("button", name="Move to another folder").click()
    page.locator("#ask-value").fill("elsewhere")
    page.keyboard.press("Enter")
    expect(page.locator("#ask-error")).to_contain_text("Begin with code, input or output")
    page.locator("#ask-value").fill("input/kept")
    page.keyboard.press("Enter")
    expect(row(page, "input/kept/a.txt")).to_be_visible()
    expect(row(page, "output/a.txt")).to_have_count(0)
    page.locator(".toast").filter(has_text="Moved 2").get_by_role("button", name="Undo").click()
    expect(row(page, "output/a.txt")).to_be_visible()

    row(page, "output/plots").focus()
    page.keyboard.press("Control+a")
    page.keyboard.press("Delete")
    expect(page.locator('[data-area="output"] [role="treeitem"]')).to_have_count(0)
    page.locator(".toast").filter(has_text="Deleted").get_by_role("button", name="Undo").click()
    expect(row(page, "output/plots/renamed.txt")).to_be_visible()
    # A command must not find what was deleted just before.
    row(page, "output/a.txt").focus()
    page.keyboard.press("Delete")
    command = page.get_by_role("textbox", name="Command")
    command.fill("ls /output")
    command.press("Enter")
    expect(page.locator("#output [data-headline]")).to_contain_text("Succeeded")
    lines = page.locator("#output .ln .tx")
    expect(lines).to_have_text(["b.txt", "plots"])
    assert complaints == []


def test_files_are_dragged_within_the_tree(page: Page, portal: Portal) -> None:
    new_task(page, portal, "Dragged")
    put(page, "output/table.csv", b"a,b\n")
    put(page, "output/folder/x", b"x")
    page.reload()
    row(page, "output/table.csv").locator(".row").drag_to(
        row(page, "output/folder").locator(".row").first
    )
    expect(row(page, "output/folder/table.csv")).to_be_visible()
    row(page, "output/folder/table.csv").locator(".row").drag_to(
        page.locator('[data-area="input"] h2')
    )
    expect(row(page, "input/table.csv")).to_be_visible()
    assert content(page, "output/folder/table.csv") == "(404)"


def test_what_is_open_goes_along_when_it_is_renamed(page: Page, portal: Portal) -> None:
    new_task(page, portal, "Renamed")
    write(page, "cat('first')\n")
    page.keyboard.press("Control+s")
    expect(page.locator("#editor-status")).to_have_text("Saved")
    write(page, "cat('second')\n")
    row(page, "code/script.R").focus()
    page.keyboard.press("F2")
    page.locator("#ask-value").fill("model.R")
    page.keyboard.press("Enter")
    expect(page.locator("#file-name")).to_have_text("model.R")
    expect(page.locator("#dirty")).to_be_visible()
    page.keyboard.press("Control+s")
    expect(page.locator("#dirty")).to_be_hidden()
    assert "second" in content(page, "code/model.R")
    assert content(page, "code/script.R") == "(404)"


def test_of_two_who_save_at_once_neither_loses_anything(page: Page, portal: Portal) -> None:
    new_task(page, portal, "Race")
    write(page, "cat('mine')\n")
    page.keyboard.press("Control+s")
    expect(page.locator("#editor-status")).to_have_text("Saved")
    write(page, "cat('mine, changed')\n")
    theirs = "cat('theirs')\n"

    def slip_in(route: Route) -> None:
        # The other one saves after the page looked and before its bytes arrive.
        answer = page.context.request.put(
            route.request.url,
            data=theirs,
            headers={
                "X-CSRFToken": route.request.headers["x-csrftoken"],
                "Content-Type": "application/octet-stream",
                "Origin": portal.url,
            },
        )
        assert answer.ok, answer.text()
        route.continue_()

    page.route("**/files/code/script.R", slip_in, times=1)
    page.keyboard.press("Control+s")
    expect(page.locator("#conflict")).to_be_visible()
    assert content(page, "code/script.R") == theirs
    page.get_by_role("button", name="Keep mine").click()
    expect(page.locator("#conflict")).to_be_hidden()
    assert "mine, changed" in content(page, "code/script.R")


def test_previews(page: Page, portal: Portal, complaints: list[str]) -> None:
    new_task(page, portal, "Previews")
    put(page, "output/report.pdf", PDF)
    put(page, "output/plot.svg", SVG)
    put(page, "output/latin.txt", b"Fl\xfcsse\n")
    put(page, "output/model.rds", b"\0\1\2")
    put(page, "output/settings.yaml", b"river: Elbe # long\n")
    put(page, "output/long.csv", b"n\n" + b"".join(b"%d\n" % n for n in range(300)))
    put(page, "output/large.txt", b"line\n" * 425_000)
    page.reload()
    preview = page.locator("#editor .preview")

    def look(name: str) -> None:
        row(page, f"output/{name}").locator(".open").click()

    look("report.pdf")
    expect(preview.locator('canvas[data-drawn="yes"]')).to_be_visible()
    dark = """(canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
        .data.some((value, index) => index % 4 === 0 && value < 60)"""
    assert preview.locator("canvas").evaluate(dark), "nothing is drawn on the page"
    look("plot.svg")
    expect(preview.locator("img")).to_have_js_property("naturalWidth", 80)
    assert page.evaluate("window.hacked") is None
    look("latin.txt")
    expect(preview).to_contain_text("not UTF-8")
    expect(page.locator("#save")).to_be_hidden()
    look("model.rds")
    expect(preview).to_contain_text("nothing to show")
    look("long.csv")
    expect(preview).to_contain_text("The first 199 rows")
    look("large.txt")
    expect(preview).to_contain_text("too large to edit here")
    expect(preview.locator(".cm-line").first).to_have_text("line")
    look("settings.yaml")
    expect(page.locator("#editor .cm-line span").first).to_be_visible()
    assert [each for each in complaints if "Indexing all PDF" not in each] == []


def test_a_folder_is_taken_along_as_a_zip(page: Page, portal: Portal, tmp_path: Path) -> None:
    new_task(page, portal, "Zip")
    for name in ("a.txt", "b.txt", "plots/ü.txt"):
        put(page, f"output/{name.replace('ü', '%C3%BC')}", name.encode())
    page.reload()
    page.get_by_role("button", name="More for output").click()
    with page.expect_download() as download:
        page.get_by_role("menuitem", name="Download all as a zip").click()
    assert download.value.suggested_filename == "Zip output.zip"
    download.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as found:
        assert found.read("Zip output/plots/ü.txt").decode() == "plots/ü.txt"
    row(page, "output/a.txt").locator(".open").click()
    row(page, "output/plots").locator(".open").first.click(modifiers=["Control"])
    with page.expect_download() as download:
        page.get_by_role("button", name="Download as a zip").click()
    download.value.save_as(tmp_path / "some.zip")
    with zipfile.ZipFile(tmp_path / "some.zip") as found:
        assert not re.search("b.txt", " ".join(found.namelist()))
        assert len(found.namelist()) == 3
