"""Words and line numbers of a Run log, found on the server: a page need not have the whole log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from jobs import logsearch
from jobs.api.base import ApiView
from jobs.api.problems import Problem
from jobs.models import Run

_ATTEMPT = OpenApiParameter("attempt", int, description="Default: the latest.")
_AWAY = {
    503: OpenApiResponse(description="The storage does not answer, or many people search now.")
}


class MatchSerializer(serializers.Serializer[Any]):
    offset = serializers.IntegerField(help_text="Of the match's first byte in the log.")
    excerpt = serializers.CharField(help_text="The line around the match, without colours.")


class FoundSerializer(serializers.Serializer[Any]):
    attempt = serializers.IntegerField()
    matches = MatchSerializer(many=True)
    next = serializers.IntegerField(
        allow_null=True,
        help_text="Ask again with from=this. Null: the whole log was looked through.",
    )
    size = serializers.IntegerField(help_text="Bytes of the log by now.")


class PositionSerializer(serializers.Serializer[Any]):
    attempt = serializers.IntegerField()
    line = serializers.IntegerField(
        allow_null=True, help_text="From 1. Null: counting would have taken too long."
    )
    offset = serializers.IntegerField(help_text="Of the line's first byte in the log.")


class _LogView(ApiView):
    def attempt(self, run: Run) -> int:
        attempt = self.number("attempt", 0) or run.attempt
        if attempt > run.attempt:
            raise Problem(HTTPStatus.NOT_FOUND, f"The Run has had {run.attempt} attempts so far.")
        return attempt

    def number(self, name: str, default: int, *, least: int = 0, most: int = 2**62) -> int:
        text = self.request.query_params.get(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            raise ValidationError({name: ["Give a whole number that is not negative."]})
        if not least <= int(text) <= most:
            raise ValidationError({name: [f"Give a number from {least} to {most}."]})
        return int(text)


class SearchLog(_LogView):
    @extend_schema(
        operation_id="run_log_search",
        parameters=[
            OpenApiParameter("q", str, required=True, description="Up to 200 characters."),
            _ATTEMPT,
            OpenApiParameter("from", int, description="First byte of the search. Default: 0."),
            OpenApiParameter("limit", int, description="Most matches, up to 1000. Default: 100."),
        ],
        responses={200: FoundSerializer, **_AWAY},
    )
    def get(self, request: Request, run: str) -> Response:
        """Where words are in what the Run printed, in order.

        Small letters find capitals, capitals only themselves. An answer takes about a second; while
        `next` is not null there is more to look through.
        """
        found = self.run(run)
        attempt = self.attempt(found)
        words = request.query_params.get("q", "")
        if not words or len(words) > logsearch.LONGEST_WORDS or not words.isprintable():
            most = logsearch.LONGEST_WORDS
            raise ValidationError({"q": [f"Give words of one line, up to {most} characters."]})
        start = self.number("from", 0)
        limit = self.number("limit", 100, least=1, most=logsearch.AT_MOST)
        with _storage_problems():
            answer = logsearch.search(found.public_id, attempt, words, start=start, limit=limit)
        return Response({"attempt": attempt, **asdict(answer)})


class LogPosition(_LogView):
    @extend_schema(
        operation_id="run_log_position",
        parameters=[
            _ATTEMPT,
            OpenApiParameter("offset", int, description="A byte of the log. Default: 0."),
            OpenApiParameter("line", int, description="Instead of an offset: a line's number."),
        ],
        responses={200: PositionSerializer, **_AWAY},
    )
    def get(self, request: Request, run: str) -> Response:
        """Which line holds a byte, or where a line begins."""
        found = self.run(run)
        attempt = self.attempt(found)
        position: logsearch.Position | None
        with _storage_problems():
            if "line" in request.query_params:
                line = self.number("line", 1, least=1)
                position = logsearch.line_number(found.public_id, attempt, line)
                if position is None:
                    raise Problem(HTTPStatus.NOT_FOUND, f"The log has no line {line} so far.")
            else:
                position = logsearch.line_at(found.public_id, attempt, self.number("offset", 0))
        return Response({"attempt": attempt, **asdict(position)})


@contextlib.contextmanager
def _storage_problems() -> Iterator[None]:
    try:
        yield
    except (logsearch.Busy, TimeoutError):
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "The log is too large to be looked through just now: try again in a moment.",
        ) from None
    except OSError as error:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"The log can't be read now ({error.strerror}): try again in a minute, or tell your "
            "administrator. No byte of it is lost.",
        ) from error
