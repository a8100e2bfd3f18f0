"""Signing in and out, and the account page: password, tokens, colours."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth import update_session_auth_hash, views
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from accounts import audit, tokens
from accounts.audit import Action
from accounts.forms import PasswordForm, SignInForm, TokenForm
from accounts.models import ApiToken, User

_YEAR = 365 * 24 * 3600


class SignIn(views.LoginView):
    template_name = "accounts/login.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def get_redirect_url(self, request: HttpRequest | None = None) -> str:
        """Never back to this page, which Django takes for a loop of its own."""
        url = super().get_redirect_url()
        return "" if urlsplit(url).path == self.request.path else url


login = SignIn.as_view()
logout = views.LogoutView.as_view()


def _page(request: HttpRequest, user: User, *, status: int = 200, **context: Any) -> HttpResponse:
    defaults = {
        "tokens": user.api_tokens.all(),
        "password_form": PasswordForm(user),
        "token_form": TokenForm(user=user),
    }
    return render(request, "accounts/account.html", {**defaults, **context}, status=status)


@never_cache
@login_required
@require_GET
def account(request: HttpRequest) -> HttpResponse:
    return _page(request, cast(User, request.user))


@sensitive_post_parameters()
@never_cache
@login_required
@require_POST
def change_password(request: HttpRequest) -> HttpResponse:
    user = cast(User, request.user)
    form = PasswordForm(user, request.POST, address=request.META.get("REMOTE_ADDR", ""))
    if not form.is_valid():
        return _page(request, user, password_form=form, status=422)
    with transaction.atomic():
        form.save()
        audit.note(user, Action.PASSWORD_CHANGED)
    # The other sessions of this person end; this one goes on.
    update_session_auth_hash(request, user)
    messages.success(request, "Your password is changed. Other browsers are signed out.")
    return redirect("account")


@never_cache
@login_required
@require_POST
def create_token(request: HttpRequest) -> HttpResponse:
    """Not a redirect: the token's text exists only in this answer."""
    user = cast(User, request.user)
    form = TokenForm(request.POST, user=user)
    if not form.is_valid():
        return _page(request, user, token_form=form, status=422)
    try:
        token, text = form.make()
    except tokens.TokenRefused as refused:
        form.add_error(refused.field, str(refused))
        return _page(request, user, token_form=form, status=422)
    return _page(request, user, new_token=token, new_token_text=text)


@never_cache
@login_required
@require_POST
def revoke_token(request: HttpRequest, token: str) -> HttpResponse:
    found = get_object_or_404(ApiToken, user=cast(User, request.user), public_id=token)
    tokens.revoke(found, actor=found.user)
    messages.success(
        request, f"The token “{found.name}” is revoked: what used it is refused from now on."
    )
    return redirect("account")


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Remember the colours in this browser; the pages do the same without a request."""
    chosen = request.POST.get("theme", "")
    response = redirect("account")
    if chosen in ("light", "dark"):
        response.set_cookie(
            "rcluster_theme", chosen, max_age=_YEAR, samesite="Lax", secure=request.is_secure()
        )
    else:
        response.delete_cookie("rcluster_theme", samesite="Lax")
    return response
