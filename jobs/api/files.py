"""The files of a Task: list, download, upload, remove."""

from __future__ import annotations

import os
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from files import serving, storage
from files.safe import MAX_ENTRIES, Entry, FileTooLarge, SafeFolder
from jobs import services
from jobs.api.base import ApiView
from jobs.api.fields import Strict, Text
from jobs.api.problems import Problem, file_problems, full_disk
from jobs.api.serializers import moment

CHUNK = 1024**2
"""bytes of an upload in memory at a time"""
HEADROOM = 64 * 1024**2
"""bytes that an upload leaves free: a full disk also stops Run logs"""

_AREA = OpenApiParameter("area", str, OpenApiParameter.PATH, enum=list(storage.AREAS))
_INLINE = OpenApiParameter(
    "inline", bool, description="1: a browser shows plain text and raster images instead of saving."
)


class EntrySerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    path = serializers.CharField(help_text="within the area")
    kind = serializers.CharField(help_text='"file", "folder", or "other": a link or device')
    size = serializers.IntegerField(help_text="bytes")
    modified_at = moment()
    url = serializers.CharField()


class FolderSerializer(serializers.Serializer[Any]):
    area = serializers.CharField()
    path = serializers.CharField()
    entries = EntrySerializer(many=True)
    truncated = serializers.BooleanField(help_text=f"more than {MAX_ENTRIES} entries, not all here")


class NewFolderSerializer(Strict):
    folder = Text(help_text="name of the new folder", allow_blank=False)


class AnyAccept(DefaultContentNegotiation):
    """A download is what it is, whatever an <img> or `curl -H Accept:` says it would like."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class FilesView(ApiView):
    content_negotiation_class = AnyAccept

    def folder(self) -> SafeFolder:
        """The area that the address names, in a Task that this person may see."""
        task = self.task(self.kwargs["task"])
        if self.request.method not in SAFE_METHODS:
            services.must_edit(self.user, task)
        self.base = reverse("api-area", args=[task.public_id, self.kwargs["area"]])
        return storage.area(task.public_id, self.kwargs["area"])

    def listing(self, path: str) -> Response:
        folder = self.folder()
        with file_problems(path or self.kwargs["area"]):
            entries = folder.entries(path, limit=MAX_ENTRIES + 1)
        return Response(
            {
                "area": self.kwargs["area"],
                "path": path,
                "entries": [self.shown(entry) for entry in entries[:MAX_ENTRIES]],
                "truncated": len(entries) > MAX_ENTRIES,
            }
        )

    def made(self, entry: Entry, *, new: bool) -> Response:
        shown = self.shown(entry)
        if not new:
            return Response(shown)
        return Response(shown, status=HTTPStatus.CREATED, headers={"Location": shown["url"]})

    def shown(self, entry: Entry) -> dict[str, Any]:
        slash = "/" if entry.kind == "folder" else ""
        return {
            "name": entry.name,
            "path": entry.path,
            "kind": entry.kind,
            "size": entry.size,
            "modified_at": entry.modified_at.isoformat().replace("+00:00", "Z"),
            "url": f"{self.base}/{quote(entry.path)}{slash}",
        }

    def new_folder(self, request: Request, above: str) -> Response:
        asked = NewFolderSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        path = (
            f"{above}/{asked.validated_data['folder']}" if above else asked.validated_data["folder"]
        )
        folder = self.folder()
        with file_problems(path):
            folder.make_folder(path)
            return self.made(folder.entry(path), new=True)


class Area(FilesView):
    @extend_schema(operation_id="list_area", parameters=[_AREA], responses=FolderSerializer)
    def get(self, request: Request, task: str, area: str) -> Response:
        """What lies in code, input or output."""
        return self.listing("")

    @extend_schema(
        operation_id="create_folder_in_area",
        parameters=[_AREA],
        request=NewFolderSerializer,
        responses={201: EntrySerializer},
    )
    def post(self, request: Request, task: str, area: str) -> Response:
        """Make a folder."""
        return self.new_folder(request, "")


class File(FilesView):
    @extend_schema(
        operation_id="download_file",
        parameters=[_AREA, _INLINE],
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (200, "application/json"): FolderSerializer,
            (206, "application/octet-stream"): OpenApiTypes.BINARY,
            304: OpenApiResponse(description="The ETag of If-None-Match is still the file's."),
            416: OpenApiResponse(description="The range lies beyond the file's end."),
        },
    )
    def get(self, request: Request, task: str, area: str, path: str) -> HttpResponseBase:
        """The content of a file (single Ranges work), or what a folder holds."""
        folder = self.folder()
        with file_problems(path):
            if path.endswith("/") or folder.entry(path).kind == "folder":
                return self.listing(path.rstrip("/"))
            inline = request.query_params.get("inline", "") in ("1", "true")
            return serving.respond(request._request, folder, path, inline=inline)

    @extend_schema(
        operation_id="upload_file",
        parameters=[_AREA],
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={200: EntrySerializer, 201: EntrySerializer},
    )
    def put(self, request: Request, task: str, area: str, path: str) -> Response:
        """Upload a file: the request's body as it is. Folders above it are made; a file that is
        there is replaced at once when all has arrived."""
        folder = self.folder()
        check_room(request._request, folder)
        with file_problems(path):
            new = not exists(folder, path)
            folder.write(path, _chunks(request._request), limit=settings.RCLUSTER_UPLOAD_LIMIT)
            return self.made(folder.entry(path), new=new)

    @extend_schema(
        operation_id="remove_file", parameters=[_AREA], request=None, responses={204: None}
    )
    def delete(self, request: Request, task: str, area: str, path: str) -> Response:
        """Remove a file, or a folder with all that it holds."""
        folder = self.folder()
        with file_problems(path):
            folder.remove(path.rstrip("/"))
        return Response(status=HTTPStatus.NO_CONTENT)

    @extend_schema(
        operation_id="create_folder",
        parameters=[_AREA],
        request=NewFolderSerializer,
        responses={201: EntrySerializer},
    )
    def post(self, request: Request, task: str, area: str, path: str) -> Response:
        """Make a folder in a folder."""
        return self.new_folder(request, path.rstrip("/"))


def check_room(request: HttpRequest, folder: SafeFolder) -> None:
    """Refuse now what would be refused after hours of sending. Raises Problem or FileTooLarge."""
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    if length > settings.RCLUSTER_UPLOAD_LIMIT:
        raise FileTooLarge(settings.RCLUSTER_UPLOAD_LIMIT)
    try:
        disk = os.statvfs(folder.path)
    except FileNotFoundError:
        raise Problem(
            HTTPStatus.NOT_FOUND, "This Task's folder is missing: tell your administrator."
        ) from None
    if length + HEADROOM > disk.f_bavail * disk.f_frsize:
        raise full_disk()


def exists(folder: SafeFolder, path: str) -> bool:
    try:
        folder.entry(path)
    except FileNotFoundError:
        return False
    return True


def _chunks(request: HttpRequest) -> Iterator[bytes]:
    while chunk := request.read(CHUNK):
        yield chunk
