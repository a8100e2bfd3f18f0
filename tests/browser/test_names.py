"""Names of any length and direction keep to their places."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.client import Client
from tests.portal import Portal

pytestmark = pytest.mark.browser

ARABIC = "تحليل بيانات جودة المياه في الأنهار الكبرى خلال السنوات العشر الماضية"


@pytest.fixture
def client(portal: Portal) -> Iterator[Client]:
    client = Client(portal.url, portal.token("names"))
    yield client
    client.close()


def test_a_long_name_of_a_script_leaves_the_top_bar_whole(
    page: Page, portal: Portal, client: Client
) -> None:
    for length in (56, 92, 182):
        task = client.create_task(f"Names of {length}")
        name = "analysis_of_many_rivers_" * 9
        name = name[: length - 2] + ".R"
        client.put_file(task, f"code/{name}", b"1\n")
        for width in (1440, 1024, 360):
            page.set_viewport_size({"width": width, "height": 800})
            page.goto(f"{portal.url}/tasks/{task}/")
            run = page.locator("#run")
            expect(run.locator(".filename")).to_have_attribute("title", name)
            box = box_of(run)
            assert box["x"] + box["width"] <= width, (length, width)
            assert box["height"] < 60, (length, width)
            assert box_of(page.locator("#task-name"))["width"] > 60, (length, width)


def test_right_to_left_names_are_cut_at_their_end(
    page: Page, portal: Portal, client: Client
) -> None:
    client.create_task(ARABIC)
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto(portal.url)
    cell = page.locator("td.name a").filter(has_text=ARABIC[:10])
    # The first letter is at the right; it is seen when the right end of the text is.
    right = cell.evaluate(
        """(link) => {
          const range = document.createRange();
          range.setStart(link.firstChild, 0);
          range.setEnd(link.firstChild, 1);
          return range.getBoundingClientRect().right - link.getBoundingClientRect().right;
        }"""
    )
    assert abs(right) < 2


def test_a_name_is_in_one_order_everywhere(page: Page, portal: Portal, client: Client) -> None:
    task = client.create_task("One order")
    name = "2024 نتائج.csv"
    client.wait_for_end(
        client.command(task, f"echo a > '/output/{name}'; touch '/output/x\u202ey'")
    )
    page.goto(f"{portal.url}/tasks/{task}/")
    shown = [
        page.locator('[data-area="output"] .label').filter(has_text=name),
        page.locator("#results .result bdi").filter(has_text=name),
    ]
    for each in shown:
        expect(each).to_be_visible()
        assert each.evaluate("(label) => getComputedStyle(label).direction") == "rtl"
    expect(page.get_by_role("treeitem", name="x\\u202ey")).to_be_visible()
    expect(page.locator("#results")).to_contain_text("x\\u202ey")


def test_the_link_beside_a_long_name_of_a_dataset_stays_one_word(
    page: Page, portal: Portal, client: Client
) -> None:
    client.http.post("/datasets", json={"name": "d" * 63}).raise_for_status()
    task = client.create_task("Long Dataset")
    page.set_viewport_size({"width": 360, "height": 800})
    page.goto(f"{portal.url}/tasks/{task}/settings/")
    line = page.locator(".dataset-choices li").filter(has_text="d" * 63)
    assert box_of(line.get_by_role("link"))["height"] < 30
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def box_of(element: Locator) -> dict[str, float]:
    expect(element).to_be_visible()
    box = element.bounding_box()
    assert box
    return dict(box)  # type: ignore[arg-type]
