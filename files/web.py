"""Handing out published files: shown by a browser as on any web site, and unable to touch the portal.

A published page may run its own scripts, or no interactive report would work. So it gets an origin
of its own that is nobody's (CSP `sandbox` without `allow-same-origin`): no cookie, no storage, no
service worker, nothing of the portal can be read, no form be sent, and requests go only to the
files published beside it. They are public, so every page may read them (CORS), which a page of
such an origin needs for its own data.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from django.http import HttpResponseBase

from files.serving import IMAGES, PLAIN, TEXTS, Containment, disposition

_SANDBOX = (
    "sandbox allow-scripts allow-modals allow-downloads allow-popups allow-popups-to-escape-sandbox"
)
_PDF = "application/pdf"
_TYPES = {
    **dict.fromkeys(TEXTS, PLAIN),
    **IMAGES,
    ".svg": "image/svg+xml",
    ".ico": "image/x-icon",
    ".html": "text/html; charset=utf-8",
    ".htm": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".geojson": "application/json",
    ".map": "application/json",
    ".wasm": "application/wasm",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".ttf": "font/ttf",
    ".otf": "font/otf",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".pdf": _PDF,
}
"""What a browser shows; everything else is a download."""


def published(base: str) -> Containment:
    """For serving.respond. `base`: the whole address of the published folder, with a slash at its end."""

    def contain(response: HttpResponseBase, name: str) -> None:
        known = _TYPES.get(PurePosixPath(name).suffix.lower())
        response["Content-Type"] = known or "application/octet-stream"
        response["Content-Disposition"] = disposition(name, inline=known is not None)
        response["Content-Security-Policy"] = policy(base, pdf=known == _PDF)
        harden(response)

    return contain


def policy(base: str, *, pdf: bool = False) -> str:
    """The Content-Security-Policy. Browsers show no PDF in a sandbox; their viewers are one."""
    if pdf:
        return "base-uri 'none'; form-action 'none'"
    return (
        f"{_SANDBOX}; default-src {base} data: blob: 'unsafe-inline' 'unsafe-eval'; "
        f"base-uri 'none'; form-action 'none'"
    )


def harden(response: HttpResponseBase) -> None:
    """What every answer from a published folder carries."""
    response["X-Content-Type-Options"] = "nosniff"
    response["Cross-Origin-Resource-Policy"] = "cross-origin"
    response["Access-Control-Allow-Origin"] = "*"
    # The address is the key to it: no other site is told.
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    # Asked again each time: what is no longer published is gone at once.
    response["Cache-Control"] = "no-cache"
