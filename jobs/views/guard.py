"""Who may see a page, and what a signed-out page fragment answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, cast

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
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
            # Back to a page after the login, never to an address that only takes POST.
            there = request.get_full_path() if request.method == "GET" else "/"
            return redirect_to_login(there)
        try:
            return view(cast(SignedInRequest, request), *args, **kwargs)
        except Forbidden as no:
            raise PermissionDenied(str(no)) from no

    return wrapper


def staff_only(view: type_of_view) -> Callable[..., HttpResponseBase]:
    """Like signed_in, and 403 for everybody but administrators."""

    @signed_in
    @wraps(view)
    def wrapper(request: SignedInRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_staff:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return wrapper
