"""The main job, as a person does it: sign in, write a script, run it, watch, see the plot."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.portal import Portal
from tests.waiting import until

pytestmark = pytest.mark.browser

SCRIPT = """\
cat("begin\\n")
for (step in 1:5) {
  cat(sprintf("step %d of 5 \\u00fc\\n", step))
  if (step == 3) while (!file.exists("/input/go")) Sys.sleep(0.05)
}
png("/output/squares.png", 640, 480)
plot((1:10)^2)
invisible(dev.off())
cat("\\033[32mdone\\033[0m\\n")
"""
"""Begins, and goes on after its third step when there is a file input/go."""


def new_task(page: Page, portal: Portal, name: str) -> None:
    page.goto(f"{portal.url}/tasks/new/")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create the Task").click()
    page.wait_for_url(re.compile(r"/tasks/[0-9a-z]{16}/"))


def task_of(page: Page) -> str:
    """The id of the Task whose console is open."""
    found = re.search(r"/tasks/([0-9a-z]{16})/", page.url)
    assert found
    return found[1]


def let_go(page: Page, portal: Portal) -> None:
    """What waits for input/go in the Task whose console is open goes on."""
    (portal.home / "storage" / "working_dir" / task_of(page) / "input" / "go").touch()


def write(page: Page, text: str) -> None:
    """Put the text into the editor as a paste does, so that nothing is closed or indented for us."""
    editor = page.locator("#editor .cm-content")
    editor.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)


def test_write_a_script_run_it_and_see_its_plot(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    new_task(page, portal, "Squares")
    write(page, SCRIPT)
    expect(page.locator("#dirty")).to_be_visible()
    page.keyboard.press("Control+Enter")

    lines = page.locator("#output .ln .tx")
    headline = page.locator("#output [data-headline]")
    # Lines arrive while it runs: the first ones are there before the last ones are printed.
    expect(lines).to_have_text(["begin", *(f"step {n} of 5 ü" for n in range(1, 4))])
    expect(headline).to_contain_text("Running")
    expect(page.locator("#dirty")).to_be_hidden()
    let_go(page, portal)

    expect(headline).to_contain_text("Succeeded")
    expect(page.locator("#output .ansi-green-fg")).to_have_text("done")
    expect(lines).to_have_text(["begin", *(f"step {n} of 5 ü" for n in range(1, 6)), "done"])

    plot = page.locator("#results img")
    expect(plot).to_be_visible()
    expect(page.locator("#results img")).to_have_js_property("naturalWidth", 640)
    plot.click()
    expect(page.locator("#editor .preview img")).to_be_visible()
    expect(page.locator("#files")).to_contain_text("squares.png")
    expect(page.locator("#history .state-succeeded")).to_have_count(1)

    page.locator("#output [data-headline] a").click()
    page.wait_for_url(re.compile(r"/runs/[0-9a-z]{16}/"))
    expect(page.locator("#results .gallery img")).to_be_visible()
    expect(page.locator("#script .cm-content")).to_contain_text("squares.png")
    assert complaints == []


def test_an_error_of_r_is_marked_and_explained(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    new_task(page, portal, "Broken")
    write(page, "x <- 1\nstop('no rivers here')\n")
    page.locator("#run").click()
    expect(page.locator("#output [data-headline]")).to_contain_text("Failed")
    expect(page.locator("#output [data-headline]")).to_contain_text("no rivers here")
    expect(page.locator("#output .ln.error").first).to_be_visible()
    assert complaints == []


def test_commands_share_the_tasks_folders_and_can_be_cancelled(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    new_task(page, portal, "Commands")
    command = page.get_by_role("textbox", name="Command")
    command.fill("echo hello > /input/greeting.txt; cat /input/greeting.txt")
    command.press("Enter")
    expect(page.locator("#output .ln .tx").filter(has_text="hello")).to_be_visible()
    expect(page.locator("#output [data-headline]")).to_contain_text("Succeeded")
    command.press("ArrowUp")
    expect(command).to_have_value(re.compile("greeting"))

    command.fill("echo waiting; sleep 600")
    command.press("Enter")
    expect(page.locator("#output .ln .tx").filter(has_text="waiting")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#output [data-headline]")).to_contain_text("Cancelled by")
    expect(page.locator("#cancel")).to_be_hidden()
    assert complaints == []


def test_files_are_uploaded_shown_deleted_and_had_back(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    new_task(page, portal, "Files")
    name = "flüsse & <b>.csv"
    with page.expect_file_chooser() as chooser:
        page.locator('[data-area="input"] [data-upload]').click()
    chooser.value.set_files(
        {"name": name, "mimeType": "text/csv", "buffer": b'river,km\nElbe,1094\n"Spree, the",382\n'}
    )
    row = page.locator('[data-area="input"] .row')
    expect(row).to_contain_text(name)
    row.locator(".open").click()
    expect(page.locator("#editor .preview td").filter(has_text="Spree, the")).to_be_visible()
    row.hover()
    row.get_by_role("button", name=f"Delete {name}").click()
    expect(row).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(row).to_have_count(1)
    page.reload()
    expect(page.locator('[data-area="input"] .row')).to_contain_text(name)
    assert complaints == []


def test_a_change_elsewhere_is_not_overwritten_unasked(page: Page, portal: Portal) -> None:
    new_task(page, portal, "Two editors")
    write(page, "cat('mine')\n")
    page.keyboard.press("Control+s")
    expect(page.locator("#editor-status")).to_have_text("Saved")
    command = page.get_by_role("textbox", name="Command")
    command.fill("sleep 0.1; echo 'cat(\"theirs\")' > /code/script.R")
    write(page, "cat('mine again')\n")
    command.press("Enter")
    expect(page.locator("#output [data-headline]")).to_contain_text("Succeeded")
    page.locator("#editor .cm-content").click()
    page.keyboard.press("Control+s")
    expect(page.locator("#conflict")).to_be_visible()
    page.get_by_role("button", name="Load the newer one").click()
    expect(page.locator("#editor .cm-content")).to_contain_text("theirs")


def test_a_log_of_200_000_lines_leaves_the_page_responsive(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    new_task(page, portal, "Many lines")
    command = page.get_by_role("textbox", name="Command")
    command.fill("seq -f 'line %.0f of many' 200000")
    command.press("Enter")
    last = page.locator("#output .ln .tx").filter(has_text=re.compile(r"^line 200000 of many$"))
    expect(last).to_be_visible(timeout=60_000)
    assert page.locator("#output .ln").count() < 3000
    # Measured in the page: the pauses between two looks of ours are not its own.
    waited = page.evaluate(
        """async () => {
          const frame = () => new Promise((done) => requestAnimationFrame(done));
          const begun = performance.now();
          document.querySelector("[data-log]").scrollTop = 0;
          do await frame(); while (!document.querySelector("#L1")?.checkVisibility());
          await frame();
          return performance.now() - begun;
        }"""
    )
    assert waited < 3000
    assert complaints == []
    page.reload()
    # Large now: entered near its end, and the beginning is one key away.
    expect(last).to_be_visible()
    expect(page.locator("#L1")).to_have_count(0)
    page.locator("#output [data-log]").press("Home")
    expect(page.locator("#L1")).to_be_in_viewport()


def test_the_session_may_end_without_losing_what_was_typed(page: Page, portal: Portal) -> None:
    new_task(page, portal, "Session")
    write(page, "cat('precious')\n")
    page.context.clear_cookies()
    page.keyboard.press("Control+s")
    expect(page.get_by_role("link", name="Sign in again")).to_be_visible()
    expect(page.locator("#editor .cm-content")).to_contain_text("precious")


def test_saving_and_running_in_one_breath_is_no_conflict_with_oneself(
    page: Page, portal: Portal
) -> None:
    new_task(page, portal, "One breath")
    held: list[Route] = []
    page.route("**/files/code/script.R", lambda route: held.append(route), times=1)
    write(page, "cat('first\\n')\n")
    page.keyboard.press("Control+s")
    until(lambda: page.title() and held, "the first save")
    write(page, "cat('second\\n')\n")
    page.keyboard.press("Control+Enter")
    # Neither the window's looking for something newer nor the Run passes the save that is on its way.
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    held[0].continue_()
    expect(page.locator("#output .ln .tx")).to_have_text(["second"])
    expect(page.locator("#output [data-headline]")).to_contain_text("Succeeded")
    expect(page.locator("#conflict")).to_be_hidden()
