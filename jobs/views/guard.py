"""Who may see a page, and what a signed-out page fragment answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, cast
from urllib.parse import urlsplit, urlunsplit

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache

from accounts.models import User
from jobs.services import Forbidden


class SignedInRequest(HttpRequest):
    """A request whose user is known."""

    user: User
    htmx: Any


type_of_view = Callable[Concatenate[SignedInRequest, ...], HttpResponseBase]


def signed_in(view: type_of_view) -> Callable[..., HttpResponseBase]:
    """Only for people who are signed in. A fragment answers 401, so that the page that asks keeps
    what is typed in it and says that the session ended; a whole page goes to the login. What a
    service forbids is 403, with its sentence."""

    @wraps(view)
    @never_cache
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            if request.headers.get("HX-Request"):
                return HttpResponse(
                    "Your session has ended.", status=401, content_type="text/plain"
                )
            return redirect_to_login(_page(request))
        try:
            return view(cast(SignedInRequest, request), *args, **kwargs)
        except Forbidden as no:
            raise PermissionDenied(str(no)) from no

    return wrapper


def _page(request: HttpRequest) -> str:
    """Where to go on after the login: never to an address that only takes POST, but to the page of
    ours that sent it from there."""
    if request.method == "GET":
        return request.get_full_path()
    referer = request.headers.get("Referer", "")
    if not referer or not url_has_allowed_host_and_scheme(
        referer, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return "/"
    parts = urlsplit(referer)
    there = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    return there if url_has_allowed_host_and_scheme(there, allowed_hosts=None) else "/"


def staff_only(view: type_of_view) -> Callable[..., HttpResponseBase]:
    """Like signed_in, and 403 for everybody but administrators."""

    @signed_in
    @wraps(view)
    def wrapper(request: SignedInRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_staff:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return wrapper
