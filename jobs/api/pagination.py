"""Lists: {next, previous, results}, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import BasePagination, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response


class NewestFirst(CursorPagination):
    """Pages by cursor: rows added meanwhile never shift a page. `?limit=` up to 200."""

    ordering = "-id"
    page_size_query_param = "limit"
    max_page_size = 200

    def get_page_size(self, request: Request) -> int:
        """Refuses what is no number instead of giving pages of the usual length."""
        given = request.query_params.get("limit", str(self.page_size))
        if not (given.isascii() and given.isdigit() and len(given) < 10 and int(given) > 0):
            raise ValidationError({"limit": ["Give a whole number from 1 to 200."]})
        return min(int(given), self.max_page_size)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = super().get_schema_operation_parameters(view)
        for each in found:
            if each["name"] == "limit":
                each["schema"]["minimum"] = 1
        return found

    def decode_cursor(self, request: Request) -> Any:
        cursor = super().decode_cursor(request)
        position = str(cursor.position or 0) if cursor is not None else "0"
        if not (position.isascii() and position.isdigit()):
            raise NotFound("This cursor is not one of ours: begin with the first page.")
        return cursor


class OnePage(BasePagination):
    """The same envelope for lists that are always short."""

    def paginate_queryset(
        self, queryset: QuerySet[Any] | Sequence[Any], request: Request, view: Any = None
    ) -> list[Any]:
        return list(queryset)

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"next": None, "previous": None, "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": "string", "nullable": True, "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }
