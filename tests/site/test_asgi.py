"""What the web process serves, as ASGI: static files, pages and addresses that nobody knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from asgiref.sync import async_to_sync
from pytest_django.fixtures import Settings

from rcluster_site.handler import Handler
from rcluster_site.static import StaticFiles

Get = Callable[..., httpx.Response]


@pytest.fixture
def get(settings: Settings, tmp_path: Path) -> Get:
    """Ask for an address, of a portal with some static files."""
    settings.STATIC_ROOT = tmp_path
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "run-Wk37xp90.js").write_text("export const one = 1;")
    (tmp_path / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    application = StaticFiles(Handler())

    async def ask(address: str, **headers: str) -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(address, headers=headers)

    return async_to_sync(ask)


def test_names_with_a_hash_are_kept_for_ever_and_others_are_asked_for_again(get: Get) -> None:
    script, drawing = get("/static/assets/run-Wk37xp90.js"), get("/static/drawing.svg")
    assert script.text == "export const one = 1;"
    assert "immutable" in script.headers["Cache-Control"]
    assert drawing.headers["Cache-Control"] == "max-age=60, public"
    again = get("/static/drawing.svg", **{"If-None-Match": drawing.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("address", ["/static/drawing.svg", "/static/assets/run-Wk37xp90.js"])
def test_static_files_are_what_they_say_and_may_do_nothing_by_themselves(
    get: Get, address: str
) -> None:
    headers = get(address).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "sandbox" in headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "address", ["/static/../settings/core.py", "/static/%2e%2e/manage.py", "/static/none.js"]
)
@pytest.mark.django_db(transaction=True)
def test_whatever_is_no_static_file_is_a_page_that_nobody_knows(get: Get, address: str) -> None:
    assert get(address).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_pages_pass_all_middleware(get: Get) -> None:
    page = get("/tasks/")
    assert page.status_code == 302
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert get("/api/v1/me").json()["status"] == 401
    foreign = get("/tasks/", Host="evil.example")
    assert foreign.status_code == 400
