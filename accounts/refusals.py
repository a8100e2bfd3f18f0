"""Audit entries of what was refused to somebody. Who asks again and again is told of once in a while."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_only_middleware

from accounts import audit, origins
from accounts.audit import Action
from accounts.models import ApiToken, User
from accounts.throttle import network_of

TOLD_EVERY = 3600
"""seconds until an entry is written of the same person, address or token again"""
DOORS = ("/manage/", "/api/v1/manage/", "/admin/", "/metrics")
"""where only administrators get in"""


def sign_in_failed(username: str) -> None:
    """A wrong password, or a name that nobody has."""
    name, key = _of(username)
    audit.note(None, Action.SIGN_IN_FAILED, subject=name, subject_id=key)


def throttled(username: str, *, detail: str = "") -> None:
    """No more passwords are looked at for a while. Call it for the first one that is not."""
    name, key = _of(username)
    audit.note(None, Action.SIGN_INS_THROTTLED, subject=name, subject_id=key, detail=detail)


def wrong_present_password(person: User) -> None:
    """Of somebody who is signed in and wanted another one."""
    name, key = _of(person.get_username())
    audit.note(person, Action.PASSWORD_REFUSED, subject=name, subject_id=key)


def token_refused(why: str, token: ApiToken | None) -> None:
    """`token`: the one that was shown, if it is known; what was shown instead is not kept."""
    origin = origins.present()
    known = f" {token.name}" if token else ""
    with origins.coming(f"token{known}", origin.address):
        audit.note_once(
            f"token-refused:{token.pk if token else ''}:{network_of(origin.address or '')}",
            seconds=TOLD_EVERY,
            actor=None,
            action=Action.TOKEN_REFUSED,
            subject=token.name if token else "a token that there is not",
            subject_id=token.public_id if token else "",
            detail=f"of {token.user}: {why}" if token else why,
        )


@sync_only_middleware
def middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Notes who was kept out of the administration."""

    def looking(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.status_code == 403 and request.path.startswith(DOORS):
            _kept_out(request)
        return response

    return looking


def _kept_out(request: HttpRequest) -> None:
    person = request.user if isinstance(request.user, User) else None
    who = person.pk if person else network_of(origins.present().address or "")
    audit.note_once(
        f"kept-out:{who}",
        seconds=TOLD_EVERY,
        actor=person,
        action=Action.KEPT_OUT,
        subject=request.path,
        detail=str(request.method),
    )


def _of(username: str) -> tuple[str, str]:
    """Name and id of a person. What else was typed as a name may be a mistyped password."""
    person = User.objects.filter(username=username[:150]).first() if "\0" not in username else None
    return (person.username, f"person-{person.pk}") if person else ("a name that nobody has", "")
