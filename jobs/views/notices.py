"""The lines across the top of every page, as they refresh themselves."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from jobs.views.guard import SignedInRequest, signed_in


@signed_in
@require_GET
def notices(request: SignedInRequest) -> HttpResponse:
    """What concerns everybody now; nothing most of the time."""
    return render(request, "partials/notices.html")
