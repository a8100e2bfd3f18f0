"""What the API's views share."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, ClassVar, TypeVar, cast

from django.core.exceptions import RequestDataTooBig
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest
from django.urls import URLPattern, register_converter
from django.urls.converters import PathConverter
from django.urls.resolvers import RoutePattern
from rest_framework.exceptions import APIException, ParseError, ValidationError
from rest_framework.parsers import JSONParser
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.authentication import must_allow
from accounts.ids import PATTERN
from accounts.models import ApiToken, Scope, User
from jobs.api.problems import Problem
from jobs.models import Run, Task

Row = TypeVar("Row", bound=Model)
_ID = re.compile(PATTERN)
_WORDS = {"true": True, "1": True, "false": False, "0": False}


class SaneJSONParser(JSONParser):
    """Brackets nested a thousand deep are a malformed request, not a crash of ours."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError("The JSON is nested too deep.") from None


def needs(**methods: Scope) -> Mapping[str, Scope]:
    """What a token must be allowed to: needs(POST=Scope.RUN, DELETE=Scope.MANAGE)."""
    return methods


class ApiView(APIView):
    """A view that knows its user and looks rows up as that user may see them."""

    parser_classes = (SaneJSONParser,)
    scopes: ClassVar[Mapping[str, Scope]] = needs()
    """What a token must be allowed to, by method. Looking needs Scope.READ unless GET is here, too."""

    bodiless: ClassVar[Collection[str]] = ("DELETE",)
    """Methods that take no body: what one says all the same is refused, not ignored."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        method = str(request.method)
        is_taken = method not in self.bodiless or not hasattr(self, method.lower())
        if not is_taken and _says_something(request._request):
            raise ParseError("This takes no body: leave it out.")

    def perform_authentication(self, request: Request) -> None:
        """Counts the request whoever it is from: refusing costs as much as answering."""
        try:
            super().perform_authentication(request)
        except APIException:
            super().check_throttles(request)
            raise
        super().check_throttles(request)

    def check_throttles(self, request: Request) -> None:
        """Done with the authentication already."""

    def check_permissions(self, request: Request) -> None:
        super().check_permissions(request)
        if isinstance(request.auth, ApiToken):
            method = str(request.method)
            if hasattr(self, method.lower()):  # else it is 405 for everybody
                must_allow(request.auth, self.scope_of(method))

    @classmethod
    def scope_of(cls, method: str) -> Scope | None:
        """What a token needs for it; None: nobody declared it, so no token may do it."""
        if method in SAFE_METHODS:
            return cls.scopes.get("GET", Scope.READ)
        return cls.scopes.get(method)

    @property
    def user(self) -> User:
        return person(self.request)

    def flag(self, name: str) -> bool:
        """A yes or no of the address: ?zip=1. Raises ValidationError for anything else."""
        given = self.request.query_params.get(name, "")
        if given in ("1", "true"):
            return True
        if given in ("", "0", "false"):
            return False
        raise ValidationError({name: ["Give 1 or 0."]})

    def choice(self, name: str) -> bool | None:
        """The same where leaving it out means neither; None then."""
        text = self.request.query_params.get(name)
        if text is None:
            return None
        if text.lower() not in _WORDS:
            raise ValidationError({name: ["Give true or false."]})
        return _WORDS[text.lower()]

    def task(self, public_id: str) -> Task:
        """The Task, if this person may see it; 404 otherwise, as if there were none."""
        return existing(self.tasks(), public_id)

    def run(self, public_id: str) -> Run:
        """The Run, if this person may see it; 404 otherwise, as if there were none."""
        return existing(self.runs(), public_id)

    def tasks(self) -> QuerySet[Task]:
        return Task.objects.visible_to(self.user).select_related("owner", "environment")

    def runs(self) -> QuerySet[Run]:
        return (
            Run.objects.visible_to(self.user)
            .select_related("task", "environment", "submitted_by", "repeats")
            .defer("stdin", "repeats__script_text", "repeats__stdin")
        )


class Unknown(ApiView):
    """Every address that is none of ours."""

    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise Problem(HTTPStatus.NOT_FOUND, "There is no such address; see /api/docs/.")

    def get(self, request: Request, rest: str) -> None:
        """Never reached; here so that GET counts as a method."""


def _says_something(request: HttpRequest) -> bool:
    """In JSON, as bodies of the API do. An empty object is what some clients send wherever they send
    anything."""
    if request.content_type != "application/json":
        return False
    try:
        return request.body.strip() not in (b"", b"{}")
    except RequestDataTooBig:
        return True


def existing(rows: QuerySet[Row], public_id: str) -> Row:
    """The row with that id, else 404. Text that is no id (with a NUL in it, say) never gets as far
    as the database."""
    found = rows.filter(public_id=public_id).first() if _ID.fullmatch(public_id) else None
    if found is None:
        raise Http404
    return found


class AnyPath(PathConverter):
    """Like Django's <path:...>, also for names with a line break in them, which scripts can make."""

    regex = "(?s:.+)"


register_converter(AnyPath, "any")


def person(request: Request) -> User:
    return cast(User, request.user)


class _SlashOptional(RoutePattern):
    """A route without a trailing slash that also takes one, without a redirect (which loses a body)."""

    def match(self, path: str) -> Any:
        return super().match(path) or (super().match(path[:-1]) if path.endswith("/") else None)


def at(route: str, view: type[APIView], name: str) -> URLPattern:
    """Like django.urls.path, with or without a slash at the end."""
    pattern = _SlashOptional(route, name=name, is_endpoint=True)
    return URLPattern(pattern, view.as_view(), {}, name)
