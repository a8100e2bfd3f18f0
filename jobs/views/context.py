"""What every template knows. Runs for every page, the admin's too, and for every fragment: what needs
the database is a function that only a template that shows it calls."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from jobs.models import Announcement, Site
from jobs.services import announcements
from jobs.space import low_on_space

THEMES = ("light", "dark")
SEEN_COOKIE = "rcluster_seen"
"""keys of notices that this browser dismissed, with dots between them"""


@dataclass(frozen=True)
class Notice:
    """One line across the top of every page."""

    key: str
    """tells it from the others, for what the page keeps of it: "storage", "announcement-7"."""
    text: str
    """sentences for people"""
    is_warning: bool = False
    can_dismiss: bool = False
    """this browser may have it out of the way: frontend/src/lib/notices.ts"""


def site_of(request: HttpRequest) -> Site:
    """The site's row, read once for a request: the page and its notices both need it."""
    found: Site | None = getattr(request, "_site_row", None)
    if found is None:
        found = Site.load()
        vars(request)["_site_row"] = found
    return found


def notices(request: HttpRequest) -> list[Notice]:
    """What concerns everybody now, the most urgent first."""
    found: list[Notice] = []
    if request.user.is_authenticated:
        found += _of_storage(site_of(request))
        found += _announced(request)
    return found


def _announced(request: HttpRequest) -> list[Notice]:
    """What administrators announce, but for what this browser dismissed."""
    seen = request.COOKIES.get(SEEN_COOKIE, "").split(".")
    found = [
        Notice(_key_of(each), each.text, is_warning=each.is_warning, can_dismiss=True)
        for each in announcements.shown_now()[: announcements.SHOWN]
    ]
    return [each for each in found if each.key not in seen]


def _key_of(announcement: Announcement) -> str:
    """Another one once its text is another: what was dismissed is shown again then."""
    text = hashlib.sha256(announcement.text.encode()).hexdigest()[:8]
    return f"announcement-{announcement.pk}-{text}"


def _of_storage(row: Site) -> list[Notice]:
    sentence = low_on_space(row)
    return [Notice("storage", sentence, is_warning=True)] if sentence else []


def site(request: HttpRequest) -> dict[str, Any]:
    theme = request.COOKIES.get("rcluster_theme", "")
    match = getattr(request, "resolver_match", None)
    return {
        # Known before the first paint, so that nothing flashes; "" follows the system.
        "theme": theme if theme in THEMES else "",
        "page": match.url_name if match else "",
        "csrf_cookie": settings.CSRF_COOKIE_NAME,
        "notices": partial(notices, request),
    }
