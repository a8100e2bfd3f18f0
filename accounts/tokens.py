"""Tokens are made and revoked here, for pages, API and command line alike."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import audit
from accounts.audit import Action
from accounts.models import ApiToken, Scope, User, in_order, usual_scopes

LONGEST_NAME = 100
LONGEST_LIFE = timedelta(days=366)


class TokenRefused(Exception):
    """The token can't be made as it was asked for. The message is a sentence for `field`."""

    def __init__(self, sentence: str, *, field: str) -> None:
        super().__init__(sentence)
        self.field = field


def make(
    *,
    user: User,
    name: str,
    scopes: Iterable[str] | None = None,
    expires_at: datetime | None = None,
    by: ApiToken | None = None,
    on_machine: bool = False,
) -> tuple[ApiToken, str]:
    """A new token of `user` and its text, which exists nowhere else.

    `by`: the token that asks for it, if one does. What it makes may do no more than itself and lasts
    no longer: else one that leaked could keep itself alive for ever. `on_machine`: whoever may do
    anything there asks for it, not the user. Raises TokenRefused.
    """
    if not name.strip() or len(name) > LONGEST_NAME:
        raise TokenRefused(
            f"Give the token a name of at most {LONGEST_NAME} letters and signs.", field="name"
        )
    chosen = _scopes(scopes, by)
    end = _end(expires_at, by)
    try:
        with transaction.atomic():
            token, text = ApiToken.issue(user=user, name=name, expires_at=end, scopes=chosen)
            audit.note(
                None if on_machine else user,
                Action.TOKEN_MADE,
                subject=name,
                subject_id=token.public_id,
                detail=f"{f'of {user}, ' if on_machine else ''}for {', '.join(chosen)}; "
                f"valid until {end:%Y-%m-%d %H:%M} UTC",
            )
    except IntegrityError:
        raise TokenRefused(
            f"{f'{user} has' if on_machine else 'You have'} a token named {name} already. Choose another "
            "name or revoke that one.",
            field="name",
        ) from None
    return token, text


def revoke(token: ApiToken, *, actor: User | None, detail: str = "") -> None:
    """From now on it is worth nothing. Whoever may do that looks it up among their own, administrators
    among everybody's."""
    if actor is not None and actor.pk != token.user_id:
        detail = f"of {token.user}. {detail}".rstrip(" .")
    with transaction.atomic():
        audit.note(
            actor,
            Action.TOKEN_REVOKED,
            subject=token.name,
            subject_id=token.public_id,
            detail=detail,
        )
        token.delete()


def _scopes(wanted: Iterable[str] | None, by: ApiToken | None) -> list[str]:
    if wanted is None:
        return [each for each in usual_scopes() if by is None or by.allows(Scope(each))]
    chosen = in_order(wanted)
    if not chosen:
        raise TokenRefused("Choose what the token may be used for.", field="scopes")
    lacking = [each for each in chosen if by is not None and not by.allows(Scope(each))]
    if lacking:
        raise TokenRefused(
            f"A token can't make one that may do more than itself ({', '.join(lacking)}): sign in to make it.",
            field="scopes",
        )
    return chosen


def _end(wanted: datetime | None, by: ApiToken | None) -> datetime:
    now = timezone.now()
    if wanted is not None and wanted <= now:
        raise TokenRefused("Give a time in the future.", field="expires_at")
    if wanted is not None and wanted > now + LONGEST_LIFE:
        raise TokenRefused("A token may last a year at most.", field="expires_at")
    end = wanted or now + ApiToken.LIFETIME
    if by is None:
        return end
    if wanted is not None and wanted > by.expires_at:
        raise TokenRefused(
            "A token can't make one that outlives it: sign in to make it.", field="expires_at"
        )
    return min(end, by.expires_at)
