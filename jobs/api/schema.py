"""The OpenAPI schema: what every operation has besides what its view says."""

from __future__ import annotations

import functools
from http import HTTPStatus
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS

from accounts.models import Scope
from jobs.api.base import ApiView
from jobs.api.fields import Strict
from jobs.api.problems import CONTENT_TYPE

_ALWAYS = {
    HTTPStatus.UNAUTHORIZED: "No token, or one that is revoked or expired; not signed in.",
    HTTPStatus.TOO_MANY_REQUESTS: "Too many requests: Retry-After says how many seconds to wait.",
}
_REFUSED = "It can't be granted as it is; `detail` and `errors` say why."
_NOT_HERE = "There is no such thing for you."
_TOO_LARGE = "Larger than the portal allows."
_OTHER_TYPE = "The body has another Content-Type than the one named here."


class ProblemSerializer(serializers.Serializer[Any]):
    """RFC 9457 problem details."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="a sentence that says what to do")
    errors = serializers.DictField(  # type: ignore[assignment] # the name is RFC 9457's habit
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="sentences for each field at fault",
    )


class Schema(AutoSchema):
    """Adds to each operation the scope that a token needs, and the problems that it may answer with.

    What can happen in one view only (409, 507) the view declares itself; a status from 400 on that it
    declares without a body is a problem, too.
    """

    def get_extensions(self) -> dict[str, Any]:
        scope = self._scope()
        return {} if scope is None else {"x-scope": scope.value}

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        responses: dict[str, Any] = super()._get_response_bodies(direction)
        for status, meaning in self._problems().items():
            responses.setdefault(str(status.value), {"description": meaning})
        problem = self.resolve_serializer(ProblemSerializer, direction).ref
        for code, response in responses.items():
            if int(code) >= HTTPStatus.BAD_REQUEST:
                response["content"] = {CONTENT_TYPE: {"schema": problem}}
        return dict(sorted(responses.items()))

    def _map_basic_serializer(self, serializer: Any, direction: Any) -> Any:
        made = super()._map_basic_serializer(serializer, direction)  # type: ignore[no-untyped-call]
        if direction == "request" and isinstance(serializer, Strict):
            made["additionalProperties"] = False
        return made

    def _problems(self) -> dict[HTTPStatus, str]:
        found = {**_ALWAYS, HTTPStatus.FORBIDDEN: self._forbidden()}
        parameters = self._get_parameters()
        queried = any(each["in"] == "query" for each in parameters)
        body = self._get_request_body()  # type: ignore[no-untyped-call]
        if queried or self.method not in SAFE_METHODS:
            found[HTTPStatus.BAD_REQUEST] = _REFUSED
        if self.method not in SAFE_METHODS:
            found[HTTPStatus.CONFLICT] = (
                "Something is in the way: a name is taken, or a Run writes there."
            )
        if parameters:
            # Of a list without an id: a cursor that is not one of ours.
            found[HTTPStatus.NOT_FOUND] = _NOT_HERE
        if body:
            found[HTTPStatus.REQUEST_ENTITY_TOO_LARGE] = _TOO_LARGE
            found[HTTPStatus.INSUFFICIENT_STORAGE] = "The storage, or your part of it, is full."
            if "application/json" in body.get("content", {}):
                found[HTTPStatus.UNSUPPORTED_MEDIA_TYPE] = _OTHER_TYPE
        return found

    def _forbidden(self) -> str:
        scope = self._scope()
        if scope is None:
            return "You may not do this."
        return f"The token lacks the scope `{scope.value}`, or you may look at it, but not do this."

    def _scope(self) -> Scope | None:
        return self.view.scope_of(self.method) if isinstance(self.view, ApiView) else None


@functools.cache
def whole() -> dict[str, Any]:
    """Made once: it only changes with the code."""
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return made
