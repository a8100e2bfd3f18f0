"""On whose authority something long is being sent, asked again while it lasts.

A request is asked once who sends it. A socket, or a log that is followed, may live for days: by then
the token may be revoked, the session signed out, the account switched off.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.utils.crypto import constant_time_compare

from accounts.models import ApiToken, Scope, User

LOOK_EVERY = 15.0
"""seconds until what is being sent is asked again, should no word come that something changed"""


@dataclass(frozen=True)
class Standing:
    """Somebody, and the one token or session that they showed. Neither: nobody."""

    user_pk: int
    token_pk: int | None = None
    session_key: str | None = None

    def person(self) -> User | None:
        """Who it is, as they are now; None if they would be refused now. Reads the database, changes
        nothing."""
        if self.token_pk is not None:
            found = ApiToken.objects.valid().select_related("user")
            token = found.filter(pk=self.token_pk, user_id=self.user_pk).first()
            return token.user if token is not None and token.allows(Scope.READ) else None
        if not self.session_key:
            return None
        session = import_module(settings.SESSION_ENGINE).SessionStore(self.session_key)
        if session.get(SESSION_KEY) != str(self.user_pk):
            return None
        user = User.objects.filter(pk=self.user_pk, is_active=True).first()
        return user if user is not None and _is_of(session, user) else None


def standing_of(user: User, *, token: ApiToken | None, session: Any) -> Standing:
    """`session`: what Django or Channels keeps of the request, None where there is none."""
    if token is not None:
        return Standing(user.pk, token_pk=token.pk)
    return Standing(user.pk, session_key=getattr(session, "session_key", None))


def _is_of(session: Any, user: User) -> bool:
    """Another password ends a session."""
    kept = session.get(HASH_SESSION_KEY, "")
    hashes = (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())
    return any(constant_time_compare(kept, each) for each in hashes)
