"""Datasets as a person meets them: made, filled, named by a Task, read by its Run, deleted, restored."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.test_main_job import new_task
from tests.portal import Portal

pytestmark = pytest.mark.browser


def test_data_is_uploaded_once_and_read_by_a_run(
    page: Page, portal: Portal, complaints: list[str], tmp_path: Path
) -> None:
    page.goto(f"{portal.url}/datasets/")
    page.get_by_role("button", name=re.compile("New Dataset|Make the first one")).first.click()
    dialog = page.get_by_role("dialog", name="New Dataset")
    dialog.get_by_label("Name").fill("River Flows")
    dialog.get_by_role("button", name="Create").click()
    # Refused: what was typed is still there, and the focus is where it must be corrected.
    name = page.get_by_role("dialog", name="New Dataset").get_by_label("Name")
    expect(name).to_have_value("River Flows")
    expect(name).to_be_focused()
    expect(page.get_by_role("alert")).to_contain_text("Use small letters")
    name.fill("river-flows")
    name.press("Enter")
    expect(page.get_by_role("heading", name="river-flows")).to_be_visible()

    # Files: chosen, and one dropped.
    flows = tmp_path / "flows.csv"
    flows.write_text("station,flow\nBasel,1050\n")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload files").click()
    chooser.value.set_files(flows)
    expect(page.get_by_role("row", name=re.compile("flows.csv"))).to_be_visible()
    page.evaluate(
        """() => {
          const data = new DataTransfer();
          data.items.add(new File(["Basel,7.6,47.6\\n"], "stations.csv"));
          const target = document.querySelector("#dataset-files");
          target.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }"""
    )
    expect(page.get_by_role("row", name=re.compile("stations.csv"))).to_be_visible()
    # The worker measures it.
    about = page.get_by_role("complementary", name="About this Dataset")
    expect(about).to_contain_text("in 2 files", timeout=60_000)
    expect(about).to_contain_text("measured just now")
    address = page.url.split("#")[0]

    # A Task names it; its Run reads it and can't write to it.
    new_task(page, portal, "Floods")
    console = page.url.split("?")[0]
    page.get_by_role("link", name="Choose Datasets").click()
    page.get_by_role("checkbox", name=re.compile("river-flows")).check()
    page.get_by_role("button", name="Save the choice").click()
    expect(page.get_by_role("checkbox", name=re.compile("river-flows"))).to_be_checked()
    page.goto(console)
    tree = page.get_by_role("list", name="Datasets of the Task")
    tree.get_by_role("button", name="river-flows").click()
    expect(tree.get_by_role("link", name="flows.csv")).to_be_visible()
    command = page.get_by_role("textbox", name="Command")
    command.fill("cat /data/river-flows/flows.csv; touch /data/river-flows/new || echo refused")
    command.press("Enter")
    lines = page.locator("#output .ln .tx")
    expect(lines.filter(has_text="Basel,1050")).to_be_visible(timeout=60_000)
    expect(lines.filter(has_text=re.compile("^refused$"))).to_be_visible()

    # Used by, the bin, and back.
    page.goto(address)
    expect(about.get_by_role("link", name="Floods")).to_be_visible()
    page.get_by_role("button", name="Delete the Dataset").click()
    expect(page.get_by_text("This Dataset is in the bin")).to_be_visible()
    page.goto(f"{portal.url}/datasets/")
    page.get_by_role("button", name="Restore river-flows").click()
    expect(page.get_by_role("row", name=re.compile("flows.csv"))).to_be_visible()
    # Refusals are answers of ours, too; the browser notes the one above.
    assert [told for told in complaints if "422" not in told] == []
