"""The Run log over HTTP: byte for byte the file, from any offset, also while it grows."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from http import HTTPStatus

from channels.db import database_sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from accounts import crowds
from accounts.models import ApiToken
from accounts.standing import standing_of
from files import serving
from files.serving import Part, UnsatisfiableRange
from jobs import runlog, watching
from jobs.api.base import ApiView
from jobs.api.file_views import AnyAccept
from jobs.api.problems import Problem
from jobs.models import Run


class RunLog(ApiView):
    content_negotiation_class = AnyAccept

    @extend_schema(
        operation_id="run_log",
        parameters=[
            OpenApiParameter("attempt", int, description="Default: the latest."),
            OpenApiParameter("offset", int, description="First byte wanted. Default: 0."),
            OpenApiParameter("follow", bool, description="1: goes on until the Run ends."),
            OpenApiParameter(
                "inline", bool, description="1: a browser shows it instead of saving."
            ),
        ],
        responses={
            (200, "text/plain"): OpenApiTypes.BINARY,
            (206, "text/plain"): OpenApiTypes.BINARY,
            416: OpenApiResponse(description="The range or offset lies beyond the log's end."),
        },
    )
    def get(self, request: Request, run: str) -> HttpResponseBase:
        """What the Run printed, stdout and stderr in order. Single Ranges work, too.

        X-RCluster-Attempt and X-RCluster-Offset say what the body begins with.
        """
        found = self.run(run)
        attempt = self._number("attempt") or found.attempt
        if attempt > found.attempt:
            raise Problem(HTTPStatus.NOT_FOUND, f"The Run has had {found.attempt} attempts so far.")
        offset = self._number("offset")
        follow = self.flag("follow")
        if follow and attempt == found.attempt:
            response = self._following(found, offset)
        else:
            response = self._so_far(request, found, attempt, offset)
        response["Content-Type"] = serving.PLAIN
        response["Cache-Control"] = "private, no-store"
        response["X-RCluster-Attempt"] = str(attempt)
        name = f"run-{found.number}-{found.public_id}.log"
        serving.contain(response, name, inline=self.flag("inline"))
        return response

    def _number(self, name: str) -> int:
        text = self.request.query_params.get(name, "0")
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise ValidationError({name: ["Give a whole number that is not negative."]})
        return int(text)

    def _following(self, run: Run, offset: int) -> HttpResponseBase:
        if not isinstance(self.request._request, ASGIRequest):
            raise Problem(
                HTTPStatus.NOT_IMPLEMENTED, "This server can't follow: leave out follow=1."
            )
        if crowds.is_full(self.user.pk):
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"You follow {crowds.MOST} logs already: let some of them end first.",
                headers={"Retry-After": "60"},
            )
        if self.request.method == "HEAD":
            response: HttpResponseBase = HttpResponse()
        else:
            # Following starts when the body is read, in the server's event loop; the attempt is
            # the one named in the header, or the first if there was none yet.
            response = StreamingHttpResponse(
                _one_of_few(
                    self.user.pk,
                    watching.log_bytes(
                        run.public_id,
                        attempt=run.attempt,
                        offset=offset,
                        allowed=self._still_allowed(run),
                    ),
                )
            )
        response["X-RCluster-Offset"] = str(offset)
        # nginx would otherwise hold lines back until its buffer is full.
        response["X-Accel-Buffering"] = "no"
        return response

    def _still_allowed(self, run: Run) -> Callable[[], Awaitable[bool]]:
        """Asks whether who sent this request might send it now."""
        token = self.request.auth if isinstance(self.request.auth, ApiToken) else None
        session = getattr(self.request._request, "session", None)
        standing = standing_of(self.user, token=token, session=session)

        def look() -> bool:
            user = standing.person()
            return user is not None and Run.objects.visible_to(user).filter(pk=run.pk).exists()

        ask: Callable[[], Awaitable[bool]] = database_sync_to_async(look)
        return ask

    def _so_far(self, request: Request, run: Run, attempt: int, offset: int) -> HttpResponseBase:
        try:
            size = runlog.size(run.public_id, attempt)
        except OSError as error:
            raise Problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"The log can't be read now ({error.strerror}): try again in a minute, or tell "
                "your administrator. No byte of it is lost.",
            ) from error
        part = None
        try:
            if offset > size:
                raise UnsatisfiableRange
            if not offset:
                part = serving.part_of(request.headers.get("Range", ""), size)
        except UnsatisfiableRange:
            raise Problem(
                HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                f"The log has {size} bytes so far.",
                headers={"Content-Range": f"bytes */{size}"},
            ) from None
        wanted = part or Part(offset, size)
        response: HttpResponseBase
        if request.method == "HEAD":
            response = HttpResponse()
        else:
            body = _body if isinstance(request._request, ASGIRequest) else _plain_body
            response = StreamingHttpResponse(body(run.public_id, attempt, wanted))
        response["Content-Length"] = str(wanted.end - wanted.start)
        response["Accept-Ranges"] = "bytes"
        response["X-RCluster-Offset"] = str(wanted.start)
        if part is not None:
            response.status_code = HTTPStatus.PARTIAL_CONTENT
            response["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
        return response


async def _one_of_few(user_pk: int, body: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
    """The same, counted for as long as it is read; nothing where there are too many by now."""
    async with aclosing(body):
        with contextlib.suppress(crowds.TooManyOpen), crowds.one_of_few(user_pk):
            async for piece in body:
                yield piece


def _read(run: str, attempt: int, part: Part, offset: int) -> bytes:
    return runlog.read(run, attempt, offset, min(runlog.CHUNK, part.end - offset))


def _plain_body(run: str, attempt: int, part: Part) -> Iterator[bytes]:
    offset = part.start
    while offset < part.end and (data := _read(run, attempt, part, offset)):
        yield data
        offset += len(data)


async def _body(run: str, attempt: int, part: Part) -> AsyncIterator[bytes]:
    offset = part.start
    while offset < part.end:
        data = await asyncio.to_thread(_read, run, attempt, part, offset)
        if not data:
            return
        yield data
        offset += len(data)
