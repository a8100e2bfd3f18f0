"""Who asks: `Authorization: Bearer rct_...` for scripts, the session cookie for browsers."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied

from accounts import origins, refusals
from accounts.models import ApiToken, Scope, User

if TYPE_CHECKING:
    from drf_spectacular.openapi import AutoSchema
    from rest_framework.request import Request

SCHEME = "bearer"
USED_EVERY = timedelta(minutes=1)
"""How often a token's `last_used_at` is written at most: a script may ask many times a second."""


class TokenAuthentication(BaseAuthentication):
    """A valid token authenticates as its user; any other Bearer header is 401, never anonymous."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        token = token_of(request.headers.get("Authorization", ""))
        if token is None:
            return None
        origins.by_token(token.name)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="R-Cluster"'


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the OpenAPI schema describes it."""

    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {
            "type": "http",
            "scheme": SCHEME,
            "description": "A token from your account page: `Authorization: Bearer rct_...`",
        }


def token_of(header: str) -> ApiToken | None:
    """The token that an Authorization header names; None if it is no Bearer header.

    Raises AuthenticationFailed, with a sentence, for a token that can't be used.
    """
    scheme, _, text = header.partition(" ")
    if scheme.lower() != SCHEME:
        return None
    digest = ApiToken.digest_of(text.strip())
    token = ApiToken.objects.select_related("user").filter(digest=digest).first()
    if token is None:
        refusals.token_refused("It was revoked or mistyped.", None)
        raise AuthenticationFailed(
            "This token is not valid: it was revoked or mistyped. Make a new one on your account page."
        )
    now = timezone.now()
    if token.expires_at <= now:
        refusals.token_refused(f"It expired on {token.expires_at:%Y-%m-%d}.", token)
        raise AuthenticationFailed(
            f"This token expired on {token.expires_at:%Y-%m-%d}. Make a new one on your account page."
        )
    if not token.user.is_active:
        refusals.token_refused("The account is switched off.", token)
        raise AuthenticationFailed("This account is switched off. Ask your administrator.")
    if token.last_used_at is None or now - token.last_used_at > USED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)
        token.last_used_at = now
    return token


class ScopeMissing(PermissionDenied):
    """The token may not be used for this."""

    def __init__(self, scope: Scope | None) -> None:
        super().__init__(
            "No token may be used for this: sign in."
            if scope is None
            else f"This token lacks the scope “{scope.value}” ({scope.label}). "
            "Make one that has it on your account page."
        )


def must_allow(token: ApiToken, scope: Scope | None) -> None:
    """Raises ScopeMissing, which names the scope. None: no token may."""
    if scope is None or not token.allows(scope):
        raise ScopeMissing(scope)


def user_of(request: HttpRequest, scope: Scope = Scope.READ) -> User | AnonymousUser:
    """Who asks, by token or by session, outside Django REST framework. Blocks: reads the database.

    Checks no CSRF token: for requests that change nothing. Raises AuthenticationFailed for a token
    that can't be used at all, ScopeMissing for one that can't be used for this.
    """
    token = token_of(request.headers.get("Authorization", ""))
    if token is not None:
        must_allow(token, scope)
        return token.user
    user = request.user
    return user if isinstance(user, User) and user.is_active else AnonymousUser()
