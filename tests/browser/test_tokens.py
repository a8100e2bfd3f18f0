"""A token is made for one purpose, copied, used by a script, and revoked."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.portal import Portal

pytestmark = pytest.mark.browser


def test_a_token_from_its_making_to_its_end(
    page: Page, portal: Portal, complaints: list[str]
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=portal.url)
    page.goto(f"{portal.url}/account/")
    page.get_by_label("Name", exact=True).fill("nightly report")
    boxes = {name: page.get_by_role("checkbox", name=name) for name in ("read", "run", "manage")}
    expect(boxes["read"]).to_be_checked()
    expect(boxes["manage"]).not_to_be_checked()
    boxes["run"].uncheck()
    page.get_by_role("checkbox", name="files").uncheck()
    page.get_by_label("Valid for").select_option("a week")
    page.get_by_role("button", name="Create the token").click()
    shown = page.locator("#new-token")
    expect(shown).to_contain_text("rct_")
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Copied", exact=True)).to_be_visible()
    text = shown.inner_text()
    assert page.evaluate("navigator.clipboard.readText()") == text

    headers = {"Authorization": f"Bearer {text}"}
    with httpx.Client(base_url=f"{portal.url}/api/v1", headers=headers) as script:
        assert script.get("/tasks").status_code == 200
        refused = script.post("/tasks", json={"name": "x"})
        assert (refused.status_code, "“run”" in refused.json()["detail"]) == (403, True)
        page.goto(f"{portal.url}/account/")
        row = page.get_by_role("row").filter(has_text="nightly report")
        expect(row).to_contain_text("read")
        expect(row).not_to_contain_text("never")
        expect(page.get_by_text(text)).to_have_count(0)
        row.get_by_role("button", name="Revoke nightly report").click()
        expect(page.get_by_text("is revoked")).to_be_visible()
        assert script.get("/tasks").status_code == 401
    assert complaints == []


def test_a_token_without_a_purpose_is_refused_in_place(page: Page, portal: Portal) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(f"{portal.url}/account/")
    page.get_by_label("Name", exact=True).fill("for nothing")
    for name in ("read", "run", "files"):
        page.get_by_role("checkbox", name=name).uncheck()
    page.get_by_role("button", name="Create the token").click()
    expect(page.get_by_text("Choose what the token may be used for.")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("for nothing")
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
