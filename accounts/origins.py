"""Where a request comes from, for the audit log: kept beside the request, not handed through every call."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import pwd
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace

from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_only_middleware


@dataclass(frozen=True)
class Origin:
    via: str = ""
    """"page", "token <name>", "command"; "": the portal itself"""
    address: str | None = None
    """of the browser or script; None where there is none"""
    given_by: str = ""
    """of a command: the account on the machine"""


_present: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039 - it is frozen


def present() -> Origin:
    return _present.get()


@contextlib.contextmanager
def coming(via: str, address: str | None = None) -> Iterator[None]:
    """What is done inside comes from there."""
    before = _present.set(Origin(via, address))
    try:
        yield
    finally:
        _present.reset(before)


@contextlib.contextmanager
def command() -> Iterator[None]:
    """What is done inside was asked for on the machine itself."""
    before = _present.set(Origin("command", given_by=_who_commands()))
    try:
        yield
    finally:
        _present.reset(before)


def _who_commands() -> str:
    """anna, or "anna as root" with sudo, which ./rcluster also says when it becomes RCLUSTER_USER."""
    try:
        account = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        account = f"user {os.geteuid()}"
    person = os.environ.get("SUDO_USER", "")
    return f"{person} as {account}" if person not in ("", account) else account


def by_token(name: str) -> None:
    """The request under way shows a token of this name; before that it counted as a page's."""
    _present.set(replace(_present.get(), via=f"token {name}"))


@sync_only_middleware
def middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Notes the origin of each request."""

    def noted(request: HttpRequest) -> HttpResponseBase:
        with coming("page", address_of(request)):
            return get_response(request)

    return noted


def address_of(request: HttpRequest) -> str | None:
    """The client's, without the zone that IPv6 may carry; None behind a socket without addresses."""
    return known_address(request.META.get("REMOTE_ADDR"))


def known_address(text: object) -> str | None:
    try:
        return str(ipaddress.ip_address(str(text).partition("%")[0]))
    except ValueError:
        return None
