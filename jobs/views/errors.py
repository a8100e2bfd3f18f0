"""Pages that say what went wrong and what to do next (named as handlers in the site's urls)."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form from before a new sign-in, or from another site."""
    return render(request, "403_csrf.html", status=403)
