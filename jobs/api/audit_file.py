"""The audit log as a file for a spreadsheet."""

from __future__ import annotations

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts import audit_search
from jobs.api.file_views import AnyAccept
from jobs.api.manage import AUDIT_QUERY, AuditView


class AuditFile(AuditView):
    content_negotiation_class = AnyAccept

    @extend_schema(
        operation_id="audit_file",
        parameters=AUDIT_QUERY,
        responses={(200, "text/csv"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Administrators: all of the audit log that is asked for, the newest first, as CSV."""
        name = f"audit-{timezone.localdate():%Y-%m-%d}.csv"
        return StreamingHttpResponse(
            audit_search.as_csv(self.rows()),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )
