"""What every template knows. Runs on every page, the admin's too: no queries here."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

THEMES = ("light", "dark")


def site(request: HttpRequest) -> dict[str, Any]:
    theme = request.COOKIES.get("rcluster_theme", "")
    match = getattr(request, "resolver_match", None)
    return {
        # Known before the first paint, so that nothing flashes; "" follows the system.
        "theme": theme if theme in THEMES else "",
        "page": match.url_name if match else "",
        "csrf_cookie": settings.CSRF_COOKIE_NAME,
    }
