"""Errors as RFC 9457 problem details: {type, title, status, detail, errors?}.

`detail` is a sentence that says what to do; `errors` maps a field of the request to sentences.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from accounts.tokens import TokenRefused
from files.archive import TooManyZips
from files.safe import FileTooLarge, UnsafePath
from files.storage import UnknownArea
from jobs.services import Forbidden, Refused, StillGoing

CONTENT_TYPE = "application/problem+json"


class Problem(exceptions.APIException):
    """An answer other than success, with its status and its sentence."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        errors: Mapping[str, list[str]] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status_code = status
        self.sentence = detail
        self.errors = errors or {}
        self.headers = headers or {}


def problem_details(error: Exception, context: dict[str, Any]) -> Response | None:
    """REST framework's exception handler. None: a defect of ours, answered and logged as 500."""
    problem = as_problem(error)
    if problem is None:
        return None
    set_rollback()
    status = HTTPStatus(problem.status_code)
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": problem.sentence,
    }
    if problem.errors:
        body["errors"] = problem.errors
    return Response(body, status.value, headers=dict(problem.headers), content_type=CONTENT_TYPE)


@contextlib.contextmanager
def file_problems(path: str) -> Iterator[None]:
    """What the file system says about a person's file, as a problem."""
    try:
        yield
    except FileNotFoundError:
        raise Problem(HTTPStatus.NOT_FOUND, f"There is no file or folder {path}.") from None
    except FileExistsError:
        raise Problem(HTTPStatus.CONFLICT, f"There is something named {path} already.") from None
    except PermissionError:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"The rights on {path} do not allow it: a script changed them. Change them back with "
            "chmod in a command, or remove it.",
        ) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise full_disk() from error
        if error.errno == errno.ENOTEMPTY:
            raise Problem(
                HTTPStatus.CONFLICT,
                f"Something keeps writing into {path}: cancel the Run that does, then try again.",
            ) from None
        if error.errno == errno.EFBIG:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The storage takes no file so large."
            ) from None
        raise


def full_disk() -> Problem:
    return Problem(
        HTTPStatus.INSUFFICIENT_STORAGE,
        "The storage is full: remove files that you no longer need, or tell your administrator.",
    )


def as_problem(error: Exception) -> Problem | None:
    """What is told of it; None: it is a defect of ours."""
    match error:
        case Problem():
            return error
        case exceptions.ValidationError():
            return _of_fields(error)
        case exceptions.Throttled():
            wait = max(1, round(getattr(error, "wait", None) or 1))
            return Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"Too many requests: wait {wait} seconds, then go on more slowly.",
                headers={"Retry-After": str(wait)},
            )
        case TooManyZips():
            return Problem(HTTPStatus.TOO_MANY_REQUESTS, str(error), headers={"Retry-After": "10"})
        case TokenRefused():
            return Problem(HTTPStatus.BAD_REQUEST, str(error), errors={error.field: [str(error)]})
        case exceptions.APIException():
            return Problem(HTTPStatus(error.status_code), _sentence(error), headers=_headers(error))
        case Forbidden():
            return Problem(HTTPStatus.FORBIDDEN, str(error))
        case StillGoing():
            return Problem(HTTPStatus.CONFLICT, str(error))
        case Refused():
            errors = {error.field: [str(error)]} if error.field else None
            return Problem(HTTPStatus.BAD_REQUEST, str(error), errors=errors)
        case UnsafePath():
            return Problem(HTTPStatus.BAD_REQUEST, str(error))
        case UnknownArea():
            return Problem(HTTPStatus.NOT_FOUND, str(error))
        case FileTooLarge():
            return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, str(error))
        case RequestDataTooBig():
            return Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "The request is too large: upload what is large as a file of the Task.",
            )
        case Http404():
            return Problem(HTTPStatus.NOT_FOUND, "There is nothing here for you.")
        case PermissionDenied():
            return Problem(HTTPStatus.FORBIDDEN, "You may not do this.")
        case _:
            return None


def _of_fields(error: exceptions.ValidationError) -> Problem:
    detail = error.detail
    if not isinstance(detail, dict):
        return Problem(HTTPStatus.BAD_REQUEST, " ".join(_flat(detail)))
    errors = {str(name): list(_flat(told)) for name, told in detail.items()}
    general = errors.pop("non_field_errors", [])
    told = general + [f"{name}: {sentence}" for name, each in errors.items() for sentence in each]
    return Problem(HTTPStatus.BAD_REQUEST, " ".join(told), errors=errors)


def _flat(detail: Any) -> Iterator[str]:
    """REST framework nests what it has to say about lists and objects."""
    if isinstance(detail, Mapping):
        for key, value in detail.items():
            for sentence in _flat(value):
                yield f"{key}: {sentence}"
    elif isinstance(detail, list):
        for value in detail:
            yield from _flat(value)
    else:
        yield str(detail)


def _sentence(error: exceptions.APIException) -> str:
    if isinstance(error, exceptions.NotAuthenticated):
        return "Sign in, or send a token: Authorization: Bearer rct_..."
    return " ".join(_flat(error.detail))


def _headers(error: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    return headers
