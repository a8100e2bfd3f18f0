"""A streamed answer gives its database connection back before it is read.

Django keeps a request's connection until the answer has been read to its end: a log that is followed
for days would hold one for days, and some dozens of them all that there are.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_only_middleware


@sync_only_middleware
def middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Outermost: nothing behind it asks the database any more. A connection that is needed again
    while the answer is read is opened anew."""

    def giving_back(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if response.streaming:
            _give_back()
        return response

    return giving_back


def _give_back() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:  # as it is in most tests
            connection.close_if_unusable_or_obsolete()
