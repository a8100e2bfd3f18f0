"""Static files, served before Django is asked: ServeStatic in front of it."""

from __future__ import annotations

from typing import Any
from wsgiref.headers import Headers

from django.conf import settings
from servestatic import ServeStaticASGI

HEADERS = {
    # For those that are opened by themselves, such as an SVG: they may do nothing.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class StaticFiles(ServeStaticASGI):  # type: ignore[misc] # it has no types
    """What collectstatic gathered; every other address is `application`'s."""

    def __init__(self, application: Any) -> None:
        super().__init__(
            application,
            root=settings.STATIC_ROOT,
            prefix=settings.STATIC_URL,
            add_headers_function=_add_headers,
        )

    def immutable_file_test(self, path: str, url: str) -> bool:
        """Vite's names carry a hash: browsers keep them for ever."""
        return url.startswith(f"{settings.STATIC_URL}assets/")


def _add_headers(headers: Headers, path: str, url: str) -> None:
    for name, value in HEADERS.items():
        headers[name] = value
