"""A streamed answer gives its database connection back before it is read.

Django keeps a request's connection until the answer has been read to its end: a log that is followed
for days would hold one for days, and some dozens of them all that there are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware


@sync_and_async_middleware
def middleware(
    get_response: Callable[[HttpRequest], Any],
) -> Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]:
    """Outermost: nothing behind it asks the database any more. A connection that is needed again
    while the answer is read is opened anew."""
    if iscoroutinefunction(get_response):

        async def later(request: HttpRequest) -> HttpResponseBase:
            response: HttpResponseBase = await get_response(request)
            if response.streaming:
                # In the thread of this request, which is the one that has the connection.
                await sync_to_async(_give_back, thread_sensitive=True)()
            return response

        return later

    def now(request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = get_response(request)
        if response.streaming:
            _give_back()
        return response

    return now


def _give_back() -> None:
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:  # as it is in most tests
            connection.close_if_unusable_or_obsolete()
