"""Administration of the site's settings: what can be chosen here, and what was set at the start."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from jobs.models import Site
from jobs.services import change_site
from jobs.views.guard import SignedInRequest, staff_only
from rcluster_site import env


@dataclass(frozen=True)
class Started:
    """A setting that the portal was started with."""

    name: str
    value: str
    """"": nothing in particular, as `meaning` says"""
    meaning: str
    is_given: bool
    """somebody gave it another value than the usual one"""


@staff_only
@require_http_methods(["GET", "POST"])
def site_settings(request: SignedInRequest) -> HttpResponse:
    if request.method == "POST":
        change_site(by=request.user, publishes_by_default="publishes_by_default" in request.POST)
        messages.success(request, "The settings are saved.")
        return redirect("manage_site")
    started = started_with()
    context = {
        "tab": "site",
        "site": Site.load(),
        "given": [each for each in started if each.is_given],
        "usual": [each for each in started if not each.is_given],
    }
    return render(request, "manage/site.html", context)


def started_with() -> list[Started]:
    """By what this process was started with; no secret is among it."""
    given = env.read()
    found = []
    for each in env.SETTINGS:
        value = given.text(each.name)
        is_given = value != each.default
        if each.name == "RCLUSTER_DATABASE_URL":
            value = _without_password(value)
        elif each.name == "RCLUSTER_MESOS_MASTER":
            value = _without_login(value)
        found.append(Started(each.name, value, each.meaning, is_given))
    return found


def _without_password(url: str) -> str:
    """Which database it is. What can't be read is not shown at all: it may hold a password anywhere."""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return "…"
    return f"{parts.scheme}://{host}{parts.path}"


def _without_login(master: str) -> str:
    """`zk://user:password@one:2181,two:2181/mesos`: which ensemble it is."""
    scheme, _, rest = master.rpartition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if scheme else master.rpartition("@")[2]
