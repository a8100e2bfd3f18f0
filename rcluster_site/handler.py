"""Django under ASGI, with one step into a thread per request.

All views are synchronous (docs/decisions/0019-one-thread-per-request.md). Django would run the
middleware as coroutines all the same, with a step into the request's thread and back for each of
their hooks, a dozen in all: half of what a small request cost.
"""

from __future__ import annotations

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class Handler(ASGIHandler):
    """Middleware and view run in the request's own thread, as under WSGI. An answer that is an
    asynchronous stream is still read in the event loop."""

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        return await sync_to_async(self.get_response, thread_sensitive=True)(request)
